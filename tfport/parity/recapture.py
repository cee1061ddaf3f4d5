"""Captures a golden folder anew as it was captured before: `pytest --parity-update`."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from typing import Any

import numpy as np

from tfport.parity.golden import Golden, read_golden
from tfport.parity.reference.errors import CaptureError
from tfport.parity.verification import Plan, run_capture


def recapture(plan: Plan, folder: str) -> str:
    """Captures `plan.reference` into `folder`, which need not exist; returns a remark, empty where there is none.

    What the plan leaves open is as in the old folder: dtypes, seed, the builder's arguments, gradients, and the inputs,
    which are the old arrays, so that a new golden differs where the reference does. Weights are drawn from the seed
    or are those of `plan.weights`. Training must be named again. Raises CaptureError as `run_capture` does, and for
    what cannot be kept; the old folder then stays.
    """
    old, remark = None, ""
    if os.path.exists(os.path.join(folder, "manifest.json")):
        try:
            old = read_golden(folder)
        except CaptureError as error:
            remark = f"the old one could not be read, so its inputs and options are not kept ({error})"
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tfport-") as kept:
        told: dict[str, Any] = {"dtypes": plan.dtypes or ("float32",)}
        if old is not None:
            steps = max((run.get("training") or {}).get("steps", 0) for run in old.runs)
            if steps and not plan.steps:
                raise CaptureError(
                    f"{folder} holds {steps} steps of training: name steps, loss and optimizer"
                )
            told = {
                "gradients": plan.gradients or any(run.get("gradients") for run in old.runs),
                "dtypes": plan.dtypes or tuple(run["dtype"] for run in old.runs),
                "call_args": plan.call_args or old.manifest.get("call_args", ""),
                "seed": plan.seed or old.manifest.get("seed", 0),
                "inputs": plan.inputs or _inputs(old, kept),
            }
        run_capture(dataclasses.replace(plan, **told), folder, update=True)
    return remark


SETTLED = {
    "reference": "references", "inputs": "inputs", "weights": "weights", "call_args": "arguments", "seed": "seeds",
    "loss": "losses", "optimizer": "optimizers", "train_step": "steps", "targets": "targets", "batches": "batches",
    "signature": "signatures",
}  # fmt: skip
"""Of what one capture has one of; tests that leave it open take what others name."""


def joined(held: Plan, plan: Plan) -> Plan:
    """What two tests that share a golden folder ask of it, together: equal to `held` where `plan` adds nothing.

    `held` names its dtypes. Raises CaptureError where the tests ask for different things.
    """
    told: dict[str, Any] = {}
    for name, what in SETTLED.items():
        one, other = getattr(held, name), getattr(plan, name)
        if one and other and one != other:
            raise CaptureError(
                f"tests that share this golden folder name different {what}, {one} and {other}: give each its own folder"
            )
        told[name] = one or other
    for name in ("dtypes", "tensors"):
        told[name] = tuple(dict.fromkeys((*getattr(held, name), *getattr(plan, name))))
    for name in ("gradients", "steps", "calibrate"):
        told[name] = max(getattr(held, name), getattr(plan, name))
    told["layers"] = max(held.layers, plan.layers, key=("none", "auto", "all").index)
    return dataclasses.replace(held, **told)


def _inputs(old: Golden, kept: str) -> list[str]:
    """The recorded inputs as files in the folder `kept`, and the specs that name them."""
    run = next((run for run in old.runs if run["dtype"] == "float32"), old.runs[0])
    tensors = old.tensors(run)
    specs = []
    for i, told in enumerate(run["inputs"]):
        value = tensors[told["tensor"]]
        if value.array.dtype.kind not in "biufc" or value.array.dtype.name != value.dtype:
            raise CaptureError(f"input {told['name'] or i} ({value.dtype}) cannot be kept: name the inputs")
        path = os.path.join(kept, f"{i}.npy")
        np.save(path, value.array)
        specs.append(f"{told['name']}={path}" if told["name"] else path)
    return specs
