"""Epsilon: Keras normalises with 1e-3, torch with 1e-5."""

from __future__ import annotations

from collections.abc import Iterator

from tfport.parity.localise.causes.base import Context, Fix, shown

USUAL = (1e-3, 1e-5, 1e-6, 1e-7, 1e-8, 1e-4, 1e-12, 0.0)
NORMS = ("batch_norm", "layer_norm", "group_norm", "rms_norm", "instance_norm", "normalize")
LARGEST = 0.05
"""A constant up to here that is added to something counts as an epsilon."""


def propose(context: Context) -> Iterator[Fix]:
    """Other values for `eps=` and for small constants that are added."""
    operation = context.operation
    if operation is None:
        return
    told = context.told("epsilon")
    values = [v for v in (told, *USUAL) if isinstance(v, (int, float))]
    if operation.name in NORMS:
        has = operation.get("eps", 1e-12 if operation.name == "normalize" else 1e-5)
        for value in dict.fromkeys(values):
            if value != has:
                yield Fix("epsilon", f"eps={shown(value)}", shown(has),
                          lambda op, v=value: op.again(eps=v), told=value == told)  # fmt: skip
    elif operation.name in ("add", "radd", "clamp_min", "clamp", "maximum") and len(operation.args) > 1:
        has = operation.args[1]
        if isinstance(has, float) and 0 <= has <= LARGEST:
            for value in dict.fromkeys(values):
                if value != has:
                    yield Fix("epsilon", f"eps={shown(value)}", shown(has),
                              lambda op, v=value: op.on(op.args[0], v), told=value == told)  # fmt: skip
