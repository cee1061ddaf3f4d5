"""Proofs with ``then``: what a rule makes (a loss, an initializer, a metric) is called, and its results are compared.

Such a proof becomes one call of ``chained(function)`` with three arguments: the positional ones, the keywords, and
the list of later calls, each a tuple whose last item may be a dict of keywords.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfport.rule import Proof


def flattened(proof: Proof) -> Proof:
    """The proof whose call ``chained`` understands."""
    calls = proof.then if isinstance(proof.then, list) else [proof.then]
    return dataclasses.replace(proof, args=(list(proof.args), dict(proof.kwargs), calls), kwargs={}, then=None)


def chained(function: Callable[..., Any]) -> Callable[..., list[Any]]:
    """Calls ``function``, then what it gave, and returns the list of the later results."""

    def call(args: Sequence[Any], kwargs: Mapping[str, Any], calls: Sequence[Sequence[Any]]) -> list[Any]:
        made = function(*args, **kwargs)
        results = []
        for each in calls:
            positional, keywords = (each[:-1], each[-1]) if each and isinstance(each[-1], Mapping) else (each, {})
            results.append(made(*positional, **keywords))
        return results

    return call
