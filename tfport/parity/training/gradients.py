"""Gradients of the candidate in inference mode beside the reference's."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import torch

from tfport.parity import golden
from tfport.parity.reference.errors import CaptureError
from tfport.parity.training.context import Context
from tfport.parity.training.limits import GRADIENT, NOISE, Tolerance, compared, scale_of


def replay_gradients(context: Context, asked: Tolerance | None = None) -> dict[str, Any]:
    """Vector-Jacobian products of the candidate, compared with the recorded ones.

    The loss is the sum of outputs times the recorded cotangents, in TensorFlow's axis order. Returns
    {"ok", "reason", "loss", "parameters": [...], "inputs": [...], "compared", "notes"}, where a tensor is a dict
    as `limits.compared` makes it, under its torch name. Raises CaptureError where the candidate has no
    gradients to give (nothing requires them, the output is cut off from its inputs).
    """
    asked = asked or Tolerance()
    told = context.entry["gradients"]
    values = golden.read_tensors(context.folder / context.entry["tensors"])
    inputs = []
    for entry in context.entry["inputs"]:
        tensor = torch.from_numpy(values[entry["tensor"]].array.copy()).to(context.device)
        inputs.append(tensor.requires_grad_(tensor.is_floating_point()))
    parameters = context.parameters_of()
    if context.module is not None:
        context.module.eval()
    with _without_cudnn_rnn(), torch.enable_grad():
        outputs = dict(context.outputs(context.forward(inputs)))
        loss = _loss(outputs, told, context)
        sources = [*parameters.values(), *(t for t in inputs if t.requires_grad)]
        if not loss.requires_grad:
            raise CaptureError("gradients: no output of the candidate depends on its weights or inputs")
        found = context.guard(lambda: torch.autograd.grad(loss, sources, allow_unused=True))
    given: dict[str, np.ndarray | None] = {
        name: None if g is None else g.detach().cpu().numpy()
        for name, g in zip(parameters, found, strict=False)
    }
    by_input = iter(found[len(parameters) :])
    made = [None if not t.requires_grad else next(by_input) for t in inputs]
    return _judged(context, asked, float(loss.detach()), given, made)


def _loss(outputs: dict[str, torch.Tensor], told: dict[str, Any], context: Context) -> torch.Tensor:
    terms = []
    for name, key in told["cotangents"].items():
        if name not in outputs:
            raise CaptureError(f"gradients: the candidate returns no floating {name}")
        cotangent = context.array(key)
        assert cotangent is not None
        if tuple(outputs[name].shape) != cotangent.shape:
            shapes = f"{list(outputs[name].shape)} instead of {list(cotangent.shape)}"
            raise CaptureError(f"gradients: {name} has shape {shapes}")
        factor = torch.from_numpy(cotangent.copy()).to(outputs[name].device, outputs[name].dtype)
        terms.append((outputs[name] * factor).sum())
    return torch.stack([t.double() if t.dtype == torch.float64 else t for t in terms]).sum()


def _judged(
    context: Context, asked: Tolerance, loss: float, given: dict[str, np.ndarray | None], inputs: list[Any]
) -> dict[str, Any]:
    told = context.entry["gradients"]
    wander = told.get("wander") or {}
    dtype = str(context.dtype).removeprefix("torch.")
    weights = {i: context.array(key) for i, key in enumerate(told["weights"])}
    wanted = context.carry(weights)
    around = max((scale_of(a) for a in weights.values()), default=0.0)
    spread = wander.get("weights")
    frozen = set(range(len(told["weights"]))) - set(context.variables["trained"])
    parameters, notes = [], []
    same = shared(context.tensors())
    for name in context.tensors():
        numbers = context.targets().get(name, ())
        gradient = given.get(same.get(name, name))
        if not numbers or set(numbers) <= frozen:
            if name in given and numbers:
                notes.append(f"{name} is trained here, and frozen in the reference")
            elif name in given:
                parameters.append(_left_out(name, "no weight of the reference belongs to it"))
            continue
        far = None if spread is None else worst([spread[i] for i in numbers if told["weights"][i]])
        row = compared(name, wanted.get(name), gradient, dtype, far, asked, around, slack=GRADIENT)
        row["variable"] = ", ".join(context.variables["names"][i] for i in numbers)
        row["noise"] = is_noise(row["scale"], far, around)
        parameters.append(row)
    rows = []
    for i, (key, gradient) in enumerate(zip(told["inputs"], inputs, strict=True)):
        reference = context.array(key)
        candidate = None if gradient is None else gradient.detach().cpu().numpy()
        if reference is None and candidate is None:
            continue
        far = (wander.get("inputs") or [None] * (i + 1))[i]
        name = context.entry["inputs"][i]["name"] or str(i)
        rows.append(compared(f"inputs/{name}", reference, candidate, dtype, far, asked, slack=GRADIENT))
    total = compared(
        "loss", context.array(told["loss"]), np.asarray(loss), dtype, wander.get("loss"), asked, slack=4.0
    )
    wrong = [r for r in (*rows, *parameters) if r["status"] == "differs"][
        ::-1
    ]  # the nearest to the loss first
    counted = [r for r in (*parameters, *rows) if r["status"] != "not compared"]
    reason = f"gradient of {wrong[0]['name']}: {wrong[0]['reason']}" if wrong else ""
    if len(wrong) > 1:
        reason += f", and {len(wrong) - 1} more"
    if not counted:
        reason = "no gradient was compared"
    return {"ok": not reason, "reason": reason, "loss": total, "parameters": parameters, "inputs": rows,
            "compared": len(counted), "notes": notes}  # fmt: skip


def is_noise(scale: float, wander: float | None, around: float) -> bool:
    """Whether a gradient is nothing but rounding: tiny beside the others, and not the same in float64."""
    tiny = scale <= NOISE * around
    return tiny and (wander is None or wander >= 0.1 * scale)


def worst(wanders: list[float | None]) -> float | None:
    """The largest of several wanders; None where one is not known."""
    known = [w for w in wanders if w is not None]
    return max(known) if len(known) == len(wanders) and known else None


def shared(tensors: dict[str, torch.Tensor]) -> dict[str, str]:
    """The first name of each tensor that has several."""
    first: dict[int, str] = {}
    return {name: first.setdefault(id(tensor), name) for name, tensor in tensors.items()}


def _left_out(name: str, why: str) -> dict[str, Any]:
    return {"name": name, "status": "not compared", "max_abs": 0.0, "max_rel": 0.0, "scale": 0.0,
            "allowed": 0.0, "reason": why}  # fmt: skip


@contextlib.contextmanager
def _without_cudnn_rnn() -> Any:
    """cuDNN's recurrent layers have no backward in inference mode: without cuDNN torch uses its own."""
    with torch.backends.cudnn.flags(enabled=False):
        yield
