"""``tfport weights --optimizer``: weights and optimizer state in one ``.pt`` file, ready to resume from.

The file holds ``{"model": state_dict, "optimizer": state_dict, "optimizer_class": name, "hyperparameters": Keras'
configuration where the checkpoint tells it, "iterations": count, "loss_scale": number or None}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfport.weights.detect import read_checkpoint
from tfport.weights.errors import WeightsError
from tfport.weights.fitting import fit
from tfport.weights.optimizer.hyperparameters import rate_of_schedule, schedule_of, settings
from tfport.weights.optimizer.loading import load_optimizer
from tfport.weights.optimizer.slots import read_optimizer
from tfport.weights.optimizer.state import OptimizerState
from tfport.weights.writers.atomic import atomic_file
from tfport.weights.writers.torch_errors import disk_errors

__all__ = ["export", "optimizer_for"]

NAMES = {
    "adam": "Adam", "adamw": "AdamW", "sgd": "SGD", "rmsprop": "RMSprop", "adagrad": "Adagrad", "adadelta": "Adadelta",
    "adamax": "Adamax", "nadam": "Nadam", "ftrl": "Ftrl", "lion": "Lion", "lamb": "Lamb",
}  # fmt: skip
V1_NAMES = {
    "adam": "AdamOptimizer", "sgd": "MomentumOptimizer", "rmsprop": "RMSPropOptimizer", "adagrad": "AdagradOptimizer",
    "adadelta": "AdadeltaOptimizer", "ftrl": "FtrlOptimizer",
}  # fmt: skip


def optimizer_for(state: OptimizerState, parameters: list[Any], config: Mapping[str, Any]) -> Any:
    """The optimizer with the formula that wrote the state, tfport.compat's: Keras', its legacy classes', TensorFlow 1's.

    Hyperparameters are those of ``config``; where it is empty, the ones that the slots and the stored rate tell, and
    TensorFlow's defaults.
    """
    from tfport import compat

    used = {slot for slots in state.slots.values() for slot in slots}
    if state.v1 and state.family in V1_NAMES:
        train: Any = compat.train  # type: ignore[attr-defined]  # compat mirrors TensorFlow's names when they are asked for
        return _of_v1(state, parameters, used, getattr(train, V1_NAMES[state.family]))
    place = compat.keras.optimizers
    old = state.legacy and state.family in ("rmsprop", "adagrad", "nadam")
    kind = getattr(place.legacy if old else place, NAMES[state.family], None)
    if kind is None:
        raise WeightsError(f"no optimizer for the state of {state.family} in tfport.compat.keras.optimizers")
    options: dict[str, Any] = {"params": parameters}
    rate = rate_of_schedule(config) if schedule_of(config) else config.get("learning_rate", state.rate)
    if rate is None and state.rate is not None:
        rate = state.rate
    if rate is not None:
        options["learning_rate"] = rate
    if config:
        known = set(kind(params=parameters).get_config()) - {"learning_rate", "name"}
        return kind(**options, **{n: v for n, v in config.items() if n in known}, **_decay(config))
    if state.family == "adam" and "velocity_hat" in used:
        options["amsgrad"] = True
    if "momentum" in used and state.family in ("sgd", "rmsprop"):
        options["momentum"] = 0.9
    if "average_gradient" in used:
        options["centered"] = True
    if "average" in used:
        options["use_ema"] = True
    return kind(**options)


def _decay(config: Mapping[str, Any]) -> dict[str, Any]:
    return {"decay": config["decay"]} if config.get("decay") else {}


def _of_v1(state: OptimizerState, parameters: list[Any], used: set[str], kind: Any) -> Any:
    options: dict[str, Any] = {
        "params": parameters,
        "learning_rate": 0.001 if state.rate is None else state.rate,
    }
    if state.family == "sgd":
        options["momentum"] = 0.9
    if "average_gradient" in used:
        options["centered"] = True
    return kind(**options)


def export(
    output: str, module: Any, path: str, *, record: Any = None, name: str | None = None, map: Any = None
) -> tuple[str, dict[str, Any]]:
    """Write the file; ``module`` holds the weights already. Returns what to say, as text and as data."""
    import torch

    if not output.endswith((".pt", ".pth")):
        raise WeightsError(f"{output}: optimizer state is written with --optimizer to a .pt file")
    checkpoint = read_checkpoint(path)
    fitted = fit(module, checkpoint, record=record, name=name, map=map)
    parameters = [p for p in module.parameters() if p.requires_grad]
    state = read_optimizer(checkpoint, fitted.trainable({id(p) for p in parameters}), ordered=fitted.ordered)
    config = settings(checkpoint, state)
    optimizer = optimizer_for(state, parameters, config)
    report = load_optimizer(optimizer, module, checkpoint, record=record, name=name, map=map)
    made = {
        "model": module.state_dict(),
        "optimizer": optimizer.state_dict(),
        "optimizer_class": _name(optimizer),
        "hyperparameters": _plain(config),
        "iterations": report.iterations,
        "loss_scale": report.loss_scale,
    }
    with atomic_file(output) as file, disk_errors(output):
        torch.save(made, file)
    told = (
        f"{report}\n{output}: model, optimizer ({made['optimizer_class']}, over the parameters that require a gradient) and"
        f" iterations; "
        + (
            "the checkpoint's hyperparameters stand beside it"
            if config
            else "the checkpoint tells no hyperparameters: give it those of the run"
        )
    )
    return told, {"output": output, "optimizer": made["optimizer_class"], "iterations": report.iterations}


def _name(optimizer: Any) -> str:
    """Where a program finds the class."""
    kind = type(optimizer).__name__
    if kind.endswith("Optimizer"):
        return f"tfport.compat.train.{kind}"
    legacy = "legacy." if kind.startswith("Legacy") else ""
    return f"tfport.compat.keras.optimizers.{legacy}{kind.removeprefix('Legacy')}"


def _plain(value: Any) -> Any:
    """A configuration as what torch.load reads with ``weights_only``: numbers, texts, lists, dictionaries."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)
