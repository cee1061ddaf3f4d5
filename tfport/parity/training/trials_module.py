"""Changes of the module and its loss that are tried where a step's loss, gradients or running statistics differ."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from tfport.parity.training import penalties
from tfport.parity.training.causes import Proposal
from tfport.parity.training.context import Context, leaves
from tfport.parity.training.loop import Loop, Trial

RATIO = 1e-3
"""How near to a whole number the ratio of two losses must be for a sum in the place of a mean to be tried."""


# The loss.


def of_loss(loop: Loop, result: Mapping[str, Any]) -> Iterator[Proposal]:
    """A sum for a mean, probabilities for logits and the other way round."""
    pairs = zip(result["losses"]["reference"], result["losses"]["equal"], strict=True)
    ratios = [b / a for a, b in pairs if a and b and math.isfinite(b / a)]
    for ratio, word in ((ratios[0], "sum"), (1 / ratios[0], "mean")) if ratios else ():
        times = round(ratio)
        if times > 1 and abs(ratio / times - 1) < RATIO:
            factor = 1 / times if word == "sum" else float(times)
            done = "divided" if word == "sum" else "multiplied"
            said = (
                f"with the loss {done} by {times}{_what(loop, times)} it agrees: the candidate has the {word}"
            )
            yield Proposal("loss reduction", Trial(factor=factor), said)
    for name, function in (("log", torch.log), ("softmax", lambda x: torch.softmax(x, _axis(loop, x))),
                           ("sigmoid", torch.sigmoid), ("logit", torch.logit)):  # fmt: skip
        takes = "logits" if name in ("log", "logit") else "probabilities"
        gets = "probabilities" if takes == "logits" else "logits"
        said = f"with {name} before the loss it agrees: it takes {takes}, and gets {gets} (from_logits)"
        yield Proposal("from_logits", Trial(around=_through(function)), said)


def of_penalties(loop: Loop, result: Mapping[str, Any]) -> Iterator[Proposal]:
    """The reference's regularisers in the place of the candidate's, or none at all."""
    told = loop.told.get("regularizers") or {}
    wanted = (loop.told.get("penalties") or [None])[0]
    found = penalties.own(loop.context)
    has = None if found is None else float(found.detach())
    if loop.told["train_step"] or (wanted is None and has is None):
        return
    if wanted is None:
        said = f"without its terms beside the loss ({has:.6g} here) it agrees: the reference has none"
        yield Proposal("regularisation", Trial(penalty=lambda context, penalty: None), said)
    elif told:
        shown = "none" if has is None else f"{has:.6g} at first"
        said = f"with the reference's regularisers it agrees (their terms are {wanted:.6g} at first, the candidate's "
        yield Proposal(
            "regularisation",
            Trial(penalty=lambda c, penalty: penalties.reference(c, told)),
            f"{said}{shown})",
        )


def _what(loop: Loop, times: int) -> str:
    shape = loop.context.stored[loop.told["batches"][0][0]].array.shape
    return ", the size of the batch" if shape and shape[0] == times else ""


def _axis(loop: Loop, x: torch.Tensor) -> int:
    return 1 if x.ndim > 2 and loop.context.orders else -1


def _through(function: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    @contextlib.contextmanager
    def around(context: Context) -> Iterator[None]:
        assert context.module is not None

        def hook(module: Any, args: Any, result: Any) -> Any:
            found = leaves(result)
            if len(found) != 1 or not isinstance(result, torch.Tensor):
                return result
            return function(result)

        handle = context.module.register_forward_hook(hook)
        try:
            yield
        finally:
            handle.remove()

    return around


# Modes.


def of_mode(loop: Loop) -> Iterator[Proposal]:
    """All in training mode, all in inference mode, whatever the candidate says."""
    if loop.context.module is None:
        return
    said = "in {} mode it agrees"
    yield Proposal("train/eval mode", Trial(around=_mode(True)), said.format("training"))
    yield Proposal("train/eval mode", Trial(around=_mode(False)), said.format("inference"))
    for name, part in loop.context.module.named_modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) or hasattr(part, "running_var"):
            for mode, word in ((True, "training"), (False, "inference")):
                told = f"with {name} in {word} mode it agrees"
                yield Proposal("train/eval mode", Trial(around=_mode(mode, name)), told)


def of_frozen(loop: Loop) -> Iterator[Proposal]:
    """Parameters frozen that the reference does not train or does not have; trained that it trains."""
    context, trained = loop.context, set(loop.context.variables["trained"])
    names = loop.left_over()
    if names:
        why = "torch's LSTM and GRU have two biases where Keras has one"
        why = f" ({why})" if all(".bias_hh_l" in f".{name}" for name in names) else ""
        said = f"with {', '.join(names)} frozen it agrees{why}"
        yield Proposal("a parameter too many", Trial(around=_needing(names, False)), said)
    live, targets = context.parameters_of(), context.targets()
    for names, needs, word in (
        ([n for n in live if targets.get(n) and not set(targets[n]) & trained], False, "frozen"),
        ([n for n, own in targets.items() if set(own) & trained and n not in live], True, "trained"),
    ):
        parts = dict(context.module.named_parameters()) if context.module is not None else {}
        names = [name for name in names if name in parts]
        if names:
            said = f"with {', '.join(names[:4])}{' ...' * (len(names) > 4)} {word} it agrees, as in the reference"
            yield Proposal("what is trained", Trial(around=_needing(names, needs)), said)


def _needing(names: list[str], needs: bool) -> Any:
    @contextlib.contextmanager
    def around(context: Context) -> Iterator[None]:
        parts = [context.tensors()[name] for name in names]
        for part in parts:
            part.requires_grad_(needs)
        try:
            yield
        finally:
            for part in parts:
                part.requires_grad_(not needs)

    return around


def _mode(mode: bool, only: str | None = None) -> Any:
    @contextlib.contextmanager
    def around(context: Context) -> Iterator[None]:
        assert context.module is not None
        parts = dict(context.module.named_modules())
        held = [part for name, part in parts.items() if only is None or name == only]
        for part in held:
            part.training = mode and not getattr(part, "frozen", False)
            part.__dict__["train"] = lambda mode=True, part=part: part
        try:
            yield
        finally:
            for part in held:
                part.__dict__.pop("train", None)

    return around


# Normalisations.


def _norms(context: Context) -> dict[str, Any]:
    if context.module is None:
        return {}
    return {n: m for n, m in context.module.named_modules() if isinstance(getattr(m, "eps", None), float)}


def _told(loop: Loop, setting: str) -> dict[str, float]:
    """The reference's setting of each of the candidate's modules: by the record, else where all agree."""
    recorded = loop.context.entry.get("layers") or loop.told.get("norms") or []
    layers = [e for e in recorded if isinstance(e.get("config", {}).get(setting), float)]
    by_name = {key: e["config"][setting] for e in layers for key in (e["name"], e["attribute"]) if key}
    models = loop.context.record.get("models") or {}
    module = loop.context.module
    lines = models.get(loop.context.model) or models.get(type(module).__name__)
    if lines is None and len(models) == 1:
        lines = next(iter(models.values()))
    found = {}
    for line in (lines or {}).get("layers", []):
        for key in (line.get("keras_path"), line.get("name")):
            if key in by_name and line.get("path"):
                found[line["path"]] = by_name[key]
                break
    values = {e["config"][setting] for e in layers}
    if len(values) == 1:
        (value,) = values
        found = {name: found.get(name, value) for name in _norms(loop.context)}
    return found


def of_epsilon(loop: Loop) -> Iterator[Proposal]:
    """The reference's epsilon in every normalisation that has another."""
    told, norms = _told(loop, "epsilon"), _norms(loop.context)
    apart = {n: v for n, v in told.items() if n in norms and not math.isclose(norms[n].eps, v, rel_tol=1e-6)}
    if apart:
        name, value = next(iter(apart.items()))
        said = f"with eps={value:g} it agrees ({name} has {norms[name].eps:g})"
        yield Proposal("epsilon", Trial(around=_attributes("eps", apart)), said)


def of_statistics(loop: Loop) -> Iterator[Proposal]:
    """Momentum of the running statistics in torch's sense, the biased and the unbiased variance, both."""
    norms = {n: m for n, m in _norms(loop.context).items() if hasattr(m, "running_var")}
    if not norms:
        return
    told = {n: 1 - v for n, v in _told(loop, "momentum").items() if n in norms}
    apart = {n: v for n, v in told.items() if not math.isclose(norms[n].momentum or 0.0, v, rel_tol=1e-6)}
    said = ""
    if apart:
        name, value = next(iter(apart.items()))
        said = (
            f"momentum={value:.4g} it agrees ({name} has {norms[name].momentum:.4g}; torch's is 1 - Keras')"
        )
        yield Proposal("BatchNorm momentum", Trial(around=_attributes("momentum", apart)), "with " + said)
    for biased, word in ((True, "biased"), (False, "unbiased")):
        variance = Trial(around=_variance(biased))
        yield Proposal("biased variance", variance, f"with the {word} running variance it agrees")
        if apart:
            both = _both(_attributes("momentum", apart), _variance(biased))
            told_both = f"with the {word} running variance and {said}"
            yield Proposal("biased variance and BatchNorm momentum", Trial(around=both), told_both)


def _attributes(attribute: str, values: Mapping[str, float]) -> Any:
    @contextlib.contextmanager
    def around(context: Context) -> Iterator[None]:
        parts = {n: m for n, m in _norms(context).items() if n in values}
        before = {n: getattr(m, attribute) for n, m in parts.items()}
        for name, part in parts.items():
            setattr(part, attribute, values[name])
        try:
            yield
        finally:
            for name, part in parts.items():
                setattr(part, attribute, before[name])

    return around


def _both(first: Any, second: Any) -> Any:
    @contextlib.contextmanager
    def around(context: Context) -> Iterator[None]:
        with first(context), second(context):
            yield

    return around


def _variance(biased: bool) -> Any:
    """After each call of a BatchNorm in training mode its running variance is set anew from what went in."""

    @contextlib.contextmanager
    def around(context: Context) -> Iterator[None]:
        handles, before = [], {}
        for name, part in _norms(context).items():
            if not hasattr(part, "running_var"):
                continue

            def keep(module: Any, args: Any, name: str = name) -> None:
                before[name] = module.running_var.clone()

            def renew(module: Any, args: Any, result: Any, name: str = name) -> None:
                x = args[0]
                if not module.training or not isinstance(x, torch.Tensor) or module.momentum is None:
                    return
                axes = [i for i in range(x.ndim) if i != 1]
                with torch.no_grad():
                    fresh = x.var(axes, unbiased=not biased)
                    # .data: autograd keeps the statistics for the backward pass, which does not use them here
                    module.running_var.data.copy_(before[name].lerp(fresh, module.momentum))

            handles += [part.register_forward_pre_hook(keep), part.register_forward_hook(renew)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    return around


# Gradients.


def of_gradients(loop: Loop, result: Mapping[str, Any]) -> Iterator[Proposal]:
    """Gradients that add up from step to step, and gradients of a loss that is scaled before it goes back."""
    yield Proposal(
        "gradients add up", Trial(fresh=True), "with the gradients set to zero before each step it agrees"
    )
    rows = [r for step in result["per_step"][:1] for r in step["differing"] if r["in"] == "gradient"]
    for row in rows[:1]:
        ratio = row.get("ratio")
        if ratio and math.isfinite(ratio):
            said = f"with the gradients multiplied by {ratio:.6g} it agrees"
            yield Proposal("scale of the gradients", Trial(gradient_factor=ratio), said)
