"""The call of a proof as TensorFlow source text, in every spelling that a program may use."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from tfport.proving.calls import Call, Drawn, Unwritable, literal
from tfport.proving.reference import METHOD, is_property
from tfport.proving.trees import leaves, tree_map
from tfport.rule import Rule

EITHER = "tf.compat.either."  # rules for programs that do not say which TensorFlow they are for
IMPORTS = {
    0: "import tensorflow as tf",
    1: "import tensorflow.compat.v1 as tf",
    2: "import tensorflow.compat.v2 as tf",
}


@dataclasses.dataclass(frozen=True)
class Spelling:
    """One function of TensorFlow source: ``label`` says which spelling it is.

    ``parameters`` are the tensors ``a0``, ``a1`` ... followed by those values of the call that are handed in at run
    time, ``extras``. ``version`` is the TensorFlow that the program imports, 0 where it does not tell.
    """

    label: str
    version: int
    lines: tuple[str, ...]
    parameters: tuple[str, ...]
    extras: tuple[Any, ...] = ()
    may_raise: bool = (
        False  # an input is presumed floating and is not: an error is right, another result is not
    )

    def text(self, name: str) -> str:
        """The function under this name, without the import."""
        return f"def {name}({', '.join(self.parameters)}):\n" + "".join(
            f"    {line}\n" for line in self.lines
        )


def spellings(rule: Rule, call: Call, known: frozenset[str]) -> Iterator[Spelling]:
    """Every spelling of ``call``. ``known`` are the names that the rules cover: tf.cast and tf.reshape, where they
    are covered, tell the converter the dtype and the rank of an input.
    """
    presumed = _presumed_wrongly(rule, call)
    for spelling in _all(rule, call, known):
        typed = spelling.label in ("typed inputs", "shaped inputs")
        yield dataclasses.replace(spelling, may_raise=presumed and not typed)


def _presumed_wrongly(rule: Rule, call: Call) -> bool:
    """Whether a ``Float`` parameter receives another dtype, which only a typed input tells the converter."""
    parameters = list(inspect.signature(rule.function).parameters.values())
    given = [*zip(parameters, call.args, strict=False)]
    given += [(p, call.kwargs[p.name]) for p in parameters if p.name in call.kwargs]
    return any(p.annotation == "Float" and isinstance(v, Drawn) and not v.floating for p, v in given)


def _all(rule: Rule, call: Call, known: frozenset[str]) -> Iterator[Spelling]:
    version = rule.version or 0
    name = rule.primary
    yield _spelling("as written", rule, call, name, version, call.args, call.kwargs)
    if rule.version is None and not name.startswith(EITHER):
        yield _spelling("as written, compat.v1", rule, call, name, 1, call.args, call.kwargs)
    for other in rule.names[1:]:
        yield _spelling(f"under the name {other}", rule, call, other, version, call.args, call.kwargs)
    signature = inspect.signature(rule.function)
    kinds = {p.kind for p in signature.parameters.values()}
    if kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}:
        yield from _typed(rule, call, known)
        return
    kwargs = {rule.renamed.get(key, key): value for key, value in call.kwargs.items()}
    given = dict(signature.bind(*call.args, **kwargs).arguments)
    lead = 1 if name.startswith(METHOD) else 0  # the receiver of a method stays where it is
    first, named = tuple(given.values())[:lead], dict(list(given.items())[lead:])
    yield _spelling("positional", rule, call, name, version, *_positional(signature, given))
    yield _spelling("keywords", rule, call, name, version, first, named)
    yield _spelling("keywords, other order", rule, call, name, version, first, dict(reversed(named.items())))
    for old, new in rule.renamed.items():
        if new in named:
            respelled = {old if key == new else key: value for key, value in named.items()}
            yield _spelling(f"keyword {old}", rule, call, name, rule.version or 1, first, respelled)
    defaults = {key: p.default for key, p in signature.parameters.items() if p.default is not p.empty}
    short = {k: v for k, v in named.items() if not (k in defaults and _same(defaults[k], v))}
    if short != named:
        yield _spelling("defaults left out", rule, call, name, version, first, short)
    full = {**named, **{k: v for k, v in defaults.items() if k not in given}}
    if "name" in full:
        full["name"] = "some_name"
    yield _spelling("defaults written out", rule, call, name, version, first, full)
    late = frozenset(
        n
        for n, p in signature.parameters.items()
        if p.annotation not in ("Tensor", "Float", "Tensors", "Indices")
    )
    if any(n in late and not _holds_input(value) for n, value in named.items()):
        yield _spelling("values at run time", rule, call, name, version, first, named, late=late)
    yield from _typed(rule, call, known)


def _typed(rule: Rule, call: Call, known: frozenset[str]) -> Iterator[Spelling]:
    version, name = rule.version or 0, rule.primary
    if call.inputs and "tf.cast" in known and name not in ("tf.cast", "tf.reshape"):
        casts = [f"x{d.place} = tf.cast({d.name}, tf.{d.dtype})" for d in call.inputs]
        yield _spelling("typed inputs", rule, call, name, version, call.args, call.kwargs, casts)
        if "tf.reshape" in known:
            made = [
                f"x{d.place} = tf.reshape(tf.cast({d.name}, tf.{d.dtype}), {list(d.array.shape)})"
                for d in call.inputs
            ]
            yield _spelling("shaped inputs", rule, call, name, version, call.args, call.kwargs, made)


def _positional(
    signature: inspect.Signature, given: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Every argument positional, gaps filled with defaults; what is keyword-only stays a keyword."""
    order = [n for n, p in signature.parameters.items() if p.kind is not p.KEYWORD_ONLY]
    last = max((order.index(n) for n in given if n in order), default=-1)
    args = tuple(given.get(n, signature.parameters[n].default) for n in order[: last + 1])
    return args, {n: v for n, v in given.items() if n not in order}


def _spelling(label: str, rule: Rule, call: Call, name: str, version: int, args: tuple[Any, ...],
              kwargs: Mapping[str, Any], made: list[str] | None = None,
              late: frozenset[str] = frozenset()) -> Spelling:  # fmt: skip
    parameters = [d.name for d in call.inputs]
    extras: list[Any] = []

    def written(value: Any, key: str = "") -> str:
        if key not in late or _holds_input(value):
            try:
                text = literal(value)
            except Unwritable:
                if isinstance(value, list | tuple) and _holds_input(value):
                    inside = "".join(written(item) + ", " for item in value)
                    return f"[{inside}]" if isinstance(value, list) else f"({inside})"
                if _holds_input(value):
                    raise
            else:
                return literal(_localise(value)) if made else text
        extras.append(value)
        parameters.append(f"v{len(extras) - 1}")
        return parameters[-1]

    parts = [written(value) for value in args]
    parts += [f"{key}={written(value, key)}" for key, value in kwargs.items()]
    if name.startswith(METHOD):
        member = name.removeprefix(METHOD)
        expression = f"{parts[0]}.{member}" + ("" if is_property(member) else f"({', '.join(parts[1:])})")
    else:
        spelled = name
        for room in ("tf.compat.v1.", EITHER):
            spelled = f"tf.{spelled.removeprefix(room)}" if spelled.startswith(room) else spelled
        expression = f"{spelled}({', '.join(parts)})"
    lines = [*(made or ())]
    if call.then:
        lines.append(f"made = {expression}")
        calls = []
        for positional, named in call.then:
            texts = [written(value) for value in positional] + [f"{k}={written(v)}" for k, v in named.items()]
            calls.append(f"made({', '.join(texts)})")
        expression = f"[{', '.join(calls)}]" if call.several else calls[0]
    return Spelling(label, version, (*lines, f"return {expression}"), tuple(parameters), tuple(extras))


class _Local(Drawn):
    """An input under the local name that the typed spellings give it."""

    @property
    def name(self) -> str:
        return f"x{self.place}"


def _localise(value: Any) -> Any:
    def leaf(item: Any) -> Any:
        return _Local(item.place, item.array, item.dtype) if isinstance(item, Drawn) else item

    return tree_map(leaf, value)


def _holds_input(value: Any) -> bool:
    return any(isinstance(leaf, Drawn) for _, leaf in leaves(value))


def _same(default: Any, value: Any) -> bool:
    return not _holds_input(value) and type(default) is type(value) and bool(default == value)
