"""The call of a proof: its inputs drawn, its arguments for either framework, its text."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfport.inputs import Input
from tfport.proving.trees import tree_map
from tfport.rule import Proof


@dataclasses.dataclass(frozen=True)
class Drawn:
    """An input with its array; ``place`` numbers the inputs of a call from 0."""

    place: int
    array: np.ndarray
    dtype: str

    @property
    def name(self) -> str:
        """The parameter that carries it in source text."""
        return f"a{self.place}"

    @property
    def floating(self) -> bool:
        """Whether a gradient with respect to it is compared."""
        return self.dtype in ("float16", "bfloat16", "float32", "float64")


@dataclasses.dataclass(frozen=True)
class Call:
    """Arguments with every Input drawn, and the drawn inputs in order."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    inputs: tuple[Drawn, ...]
    then: tuple[tuple[tuple[Any, ...], Mapping[str, Any]], ...] = ()  # calls of what the first call gives
    several: bool = False  # whether ``then`` is a list of calls: the result is the list of theirs

    def run(
        self, function: Callable[..., Any], tensors: Mapping[int, Any], other: Callable[[Any], Any]
    ) -> Any:
        """Call ``function`` with ``tensors`` for the inputs and ``other(x)`` for everything else."""

        def leaf(value: Any) -> Any:
            return tensors[value.place] if isinstance(value, Drawn) else other(value)

        def called(target: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
            return target(
                *(tree_map(leaf, a) for a in args), **{k: tree_map(leaf, v) for k, v in kwargs.items()}
            )

        made = called(function, self.args, self.kwargs)
        if not self.then:
            return made
        results = [called(made, args, kwargs) for args, kwargs in self.then]
        return results if self.several else results[0]


def draw(proof: Proof) -> Call:
    """Draw the inputs of a proof. Equal descriptions within a call give different arrays."""
    inputs: list[Drawn] = []

    def leaf(value: Any) -> Any:
        if not isinstance(value, Input):
            return value
        place = len(inputs)
        fresh = dataclasses.replace(value, seed=value.seed + 1000 * place)
        inputs.append(Drawn(place, fresh.draw(), value.dtype))
        return inputs[-1]

    args = tuple(tree_map(leaf, a) for a in proof.args)
    kwargs = {key: tree_map(leaf, v) for key, v in proof.kwargs.items()}
    then = []
    for step in proof.then if isinstance(proof.then, list) else [] if proof.then is None else [proof.then]:
        named = step[-1] if step and isinstance(step[-1], dict) else {}
        plain = step[:-1] if named else step
        then.append(
            (tuple(tree_map(leaf, a) for a in plain), {k: tree_map(leaf, v) for k, v in named.items()})
        )
    return Call(args, kwargs, tuple(inputs), tuple(then), isinstance(proof.then, list))


def described(proof: Proof) -> str:
    """The proof as it stands in the rule file, for messages."""
    parts = [_outline(a) for a in proof.args]
    parts += [f"{key}={_outline(value)}" for key, value in proof.kwargs.items()]
    then = "" if proof.then is None else f" then {_outline(proof.then)}"
    return f"({', '.join(parts)}){then}"


def _outline(value: Any) -> str:
    if isinstance(value, Input):
        return (
            f"{value.dtype}{list(value.shape)}" if value.values is None else f"{value.values!r}:{value.dtype}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_outline(item) for item in value) + "]"
    return getattr(value, "__name__", None) or repr(value)


class Unwritable(Exception):
    """An argument that has no literal form; it is handed in as a parameter."""


def literal(value: Any) -> str:
    """``value`` as TensorFlow source text. Raises Unwritable for functions, arrays and other objects."""
    if isinstance(value, Drawn):
        return value.name
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    if value is None or value is Ellipsis or isinstance(value, bool | int | float | complex | str | bytes):
        return "..." if value is Ellipsis else repr(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    if type(value) is tuple:
        return (
            "("
            + "".join(literal(item) + ", " for item in value).removesuffix(" " if len(value) < 2 else ", ")
            + ")"
        )
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(k)}: {literal(v)}" for k, v in value.items()) + "}"
    if type(value).__module__ == "torch" and type(value).__name__ == "dtype":
        return f"tf.{str(value).removeprefix('torch.')}"
    raise Unwritable(f"{value!r} has no literal form")
