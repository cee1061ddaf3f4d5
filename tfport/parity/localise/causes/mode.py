"""Train or eval mode: a BatchNormalization that uses the batch's statistics, a dropout that drops."""

from __future__ import annotations

from collections.abc import Iterator

from tfport.parity.localise.causes.base import Context, Fix, takes

DROPOUTS = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_dropout")


def propose(context: Context) -> Iterator[Fix]:
    """The other mode of each operation that has one."""
    operation = context.operation
    if operation is None:
        awake = [module for module in context.modules if module.training]
        if awake:
            yield Fix("train/eval mode", "eval mode", "training mode",
                      attributes=[(module, "training", False) for module in awake], told=True)  # fmt: skip
        if context.modules and takes(context.modules[0], "training"):
            yield Fix(
                "train/eval mode", "training=False", "training=True", keywords={"training": False}, told=True
            )
        return
    if operation.name in ("batch_norm", "instance_norm") and operation.get("running_mean") is not None:
        training = bool(operation.get("training", False))
        said, has = ("eval mode", "training mode") if training else ("training mode", "eval mode")
        yield Fix("train/eval mode", said, has, lambda op: op.again(training=not training), told=training)
    elif operation.name in DROPOUTS and operation.get("training", True) and operation.get("p", 0.5):
        yield Fix("train/eval mode", "eval mode", "training mode", lambda op: op.first, told=True)
