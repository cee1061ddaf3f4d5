"""``tfport weights --optimizer``: weights and optimizer state in one ``.pt`` file, ready to resume from.

The file holds ``{"model": state_dict, "optimizer": state_dict, "optimizer_class": name, "iterations": count}``.
"""

from __future__ import annotations

from typing import Any

from tfport.weights.detect import read_checkpoint
from tfport.weights.errors import WeightsError
from tfport.weights.fitting import fit
from tfport.weights.optimizer.loading import load_optimizer
from tfport.weights.optimizer.slots import OptimizerState, read_optimizer
from tfport.weights.writers.atomic import atomic_file
from tfport.weights.writers.torch_errors import disk_errors

__all__ = ["export", "optimizer_for"]

NAMES = {
    "adam": "Adam", "adamw": "AdamW", "sgd": "SGD", "rmsprop": "RMSprop", "adagrad": "Adagrad", "adadelta": "Adadelta",
    "adamax": "Adamax", "nadam": "Nadam", "ftrl": "Ftrl", "lion": "Lion", "lamb": "Lamb",
}  # fmt: skip


def optimizer_for(state: OptimizerState, parameters: list[Any]) -> Any:
    """tfport.compat's optimizer with the formula that wrote the state: torch's differ in the place of epsilon. The
    learning rate is the stored one; other hyperparameters are TensorFlow's defaults."""
    from tfport import compat

    used = {slot for slots in state.slots.values() for slot in slots}
    options: dict[str, Any] = {"params": parameters}
    if state.rate is not None:
        options["learning_rate"] = state.rate
    if state.family == "adam" and "velocity_hat" in used:
        options["amsgrad"] = True
    if "momentum" in used and state.family in ("sgd", "rmsprop"):
        options["momentum"] = 0.9
    if "average_gradient" in used:
        options["centered"] = True
    kind = getattr(compat.keras.optimizers, NAMES[state.family], None)
    if kind is None:
        raise WeightsError(f"no optimizer for the state of {state.family} in tfport.compat.keras.optimizers")
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
    state = read_optimizer(checkpoint, fitted.trainable(), ordered=fitted.ordered)
    optimizer = optimizer_for(state, list(module.parameters()))
    report = load_optimizer(optimizer, module, path, record=record, name=name, map=map)
    made = {
        "model": module.state_dict(),
        "optimizer": optimizer.state_dict(),
        "optimizer_class": f"tfport.compat.keras.optimizers.{type(optimizer).__name__}",
        "iterations": report.iterations,
    }
    with atomic_file(output) as file, disk_errors(output):
        torch.save(made, file)
    told = f"{report}\n{output}: model, optimizer ({made['optimizer_class']}) and iterations; set its hyperparameters"
    return told, {"output": output, "optimizer": made["optimizer_class"], "iterations": report.iterations}
