"""Statistics that took each other's place: mean and variance, gamma and beta, variance and deviation."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from tfport.parity.localise.causes.base import Context, Fix

PAIRS = 40


def propose(context: Context) -> Iterator[Fix]:
    """Exchanges the statistics of a normalisation, and any two weights of one shape; the other variance."""
    operation = context.operation
    if operation is None:
        yield from _weights(context)
        yield from _others(context)
        return
    if operation.name == "batch_norm":
        mean, variance = operation.get("running_mean"), operation.get("running_var")
        if isinstance(mean, torch.Tensor) and isinstance(variance, torch.Tensor):
            yield Fix("statistics swapped", "mean and variance exchanged", "them the other way round",
                      lambda op: op.again(running_mean=variance, running_var=mean))  # fmt: skip
            yield Fix("statistics swapped", "the variance squared", "standard deviations for variances",
                      lambda op: op.again(running_var=variance.square()))  # fmt: skip
            yield Fix("statistics swapped", "the root of the variance", "squared variances",
                      lambda op: op.again(running_var=variance.abs().sqrt()))  # fmt: skip
            yield Fix("statistics swapped", "the inverse of the variance", "inverse variances",
                      lambda op: op.again(running_var=1 / variance))  # fmt: skip
    if operation.name in ("batch_norm", "layer_norm", "group_norm"):
        gamma, beta = operation.get("weight"), operation.get("bias")
        if isinstance(gamma, torch.Tensor) and isinstance(beta, torch.Tensor):
            yield Fix("statistics swapped", "gamma and beta exchanged", "them the other way round",
                      lambda op: op.again(weight=beta, bias=gamma))  # fmt: skip
        for name, value, said in (("weight", gamma, "gamma"), ("bias", beta, "beta")):
            if isinstance(value, torch.Tensor):
                yield Fix("statistics swapped", f"no {said}", said, lambda op, n=name: op.again(**{n: None}))
    if operation.name in ("var", "std"):
        unbiased = bool(operation.get("unbiased", operation.get("correction", 1)))
        said, has = ("the biased variance", "the unbiased one")
        said, has = (said, has) if unbiased else (has.replace("one", "variance"), "the biased one")
        yield Fix("biased variance", said, has, lambda op: _variance(op, not unbiased), told=unbiased)


def _variance(operation, unbiased: bool):  # type: ignore[no-untyped-def]
    kwargs = {k: v for k, v in operation.kwargs.items() if k not in ("unbiased", "correction")}
    args = tuple(a for a in operation.args if not isinstance(a, bool))
    return operation.function(*args, **kwargs, correction=int(unbiased))


def _others(context: Context) -> Iterator[Fix]:
    """The weights of another module of the same class and sizes."""
    if not context.modules:
        return
    own = dict(context.modules[0].named_parameters()) | dict(context.modules[0].named_buffers())
    for path, other in context.others.items():
        given = dict(other.named_parameters()) | dict(other.named_buffers())
        if own and own.keys() == given.keys() and all(own[n].shape == given[n].shape for n in own):
            swaps = {id(own[n]): given[n] for n in own}
            if len(own) == len(swaps):
                yield Fix("weights swapped", f"the weights of {path}", "those of another layer", swaps=swaps)
            for name, tensor in own.items() if len(own) > 1 else ():
                yield Fix("weights swapped", f"the {name} of {path}", "that of another layer",
                          swaps={id(tensor): given[name]})  # fmt: skip


def _weights(context: Context) -> Iterator[Fix]:
    names = list(context.weights)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    pairs = [(a, b) for a, b in pairs if context.weights[a].shape == context.weights[b].shape]
    for a, b in pairs[:PAIRS]:
        one, two = context.weights[a], context.weights[b]
        yield Fix("weights swapped", f"{a} and {b} exchanged", "them the other way round",
                  swaps={id(one): two, id(two): one})  # fmt: skip
