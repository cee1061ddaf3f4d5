"""Settings that the reference's configuration tells and the candidate has otherwise: stride, dilation, groups, flags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tfport.parity.localise.causes.base import Context, Fix, numbers, shown
from tfport.parity.localise.causes.padding import slid
from tfport.parity.localise.taps import Operation

SETTINGS = {"stride": "strides", "dilation": "dilation_rate", "groups": "groups", "kernel_size": "pool_size"}
OPPOSITES = ("reset_after", "go_backwards", "return_sequences", "causal", "is_causal", "use_bias", "batch_first",
             "scale", "center", "norm_first", "time_major")  # fmt: skip


def propose(context: Context) -> Iterator[Fix]:
    """The reference's value for each setting of a convolution or pool, and for attributes of the same name."""
    operation = context.operation
    if operation is None:
        yield from _attributes(context)
        return
    if operation.name[:4] not in ("conv", "max_", "avg_") or operation.name[-1:] != "d":
        return
    count = int(operation.name[-2])
    for own, named in SETTINGS.items():
        told = context.told(named)
        has = operation.get(own, 1 if operation.name.startswith("conv") else None)
        if told is None or own not in operation.parameters or has is None:
            continue
        wanted: Any = told if own == "groups" else numbers(told, count)
        if wanted != (has if own == "groups" else numbers(has, count)):
            said = f"{own}={shown(wanted)}"
            yield Fix(own, said, shown(has), lambda op, o=own, w=wanted: op.again(**{o: w}), told=True)
            if context.told("padding") == "same":
                yield Fix(own, f"{said} and SAME padding", shown(has),
                          lambda op, o=own, w=wanted: slid(op.changed(**{o: w}), "same"), told=True)  # fmt: skip
    yield from _as_told(context, operation, count)
    has = operation.get("dilation", 1)
    for value in (1, 2, 3):
        if numbers(has, count) != (value,) * count:
            yield Fix(
                "dilation",
                f"dilation={value}",
                shown(has),
                lambda op, v=value: op.again(dilation=(v,) * count),
            )


def _as_told(context: Context, operation: Operation, count: int) -> Iterator[Fix]:
    """All settings of a convolution at once with the reference's padding: a port pads by what it takes for the dilation."""
    padding = context.told("padding")
    if padding not in ("same", "valid", "causal") or not operation.name.startswith("conv"):
        return
    wanted = {own: numbers(context.told(named), count) for own, named in SETTINGS.items()
              if own in ("stride", "dilation") and context.told(named) is not None}  # fmt: skip
    other = [own for own, value in wanted.items() if value != numbers(operation.get(own, 1), count)]
    if not other:
        return
    said = " and ".join(f"{own}={shown(wanted[own])}" for own in other)
    has = " and ".join(shown(operation.get(own, 1)) for own in other)
    earlier = {op.index: lambda op: op.first for op in context.before if op.name == "pad"}
    for also in [{}, earlier] if earlier else [{}]:
        yield Fix(other[0], f"{said} and {padding} padding", has,
                  lambda op: slid(op.changed(**wanted), padding), also=also, told=True)  # fmt: skip


def _attributes(context: Context) -> Iterator[Fix]:
    """A module's own attribute that is named as in Keras: the reference's value, else the opposite of a flag."""
    calls = [c for c in (context.call, *context.chain) if c is not None]
    config = {key: value for call in reversed(calls) for key, value in call.config.items()}
    for module in context.modules:
        for name, has in list(vars(module).items()):
            if name in ("training", "name", "dtype", "trainable") or not isinstance(
                has, (bool, int, float, str, type(None))
            ):
                continue
            wanted = config.get(name)
            if name in config and isinstance(wanted, (bool, int, float, str)) and wanted != has:
                yield Fix(
                    name,
                    f"{name}={shown(wanted)}",
                    shown(has),
                    attributes=[(module, name, wanted)],
                    told=True,
                )
            elif name in OPPOSITES and isinstance(has, bool):
                yield Fix(name, f"{name}={not has}", str(has), attributes=[(module, name, not has)])
