"""Which tensor is which parameter, by their names made canonical: one-to-one, or not at all.

``bert/encoder/layer_0/attention/self/query/kernel:0`` and ``encoder.layer.0.attention.self.query.weight`` are one name:
separators, capitals and the ways to count go, the last word is what the owner's class calls it (a Linear's ``weight`` is
a kernel, a norm's is a gamma), and a prefix that all tensors of a side share is dropped.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import re
from collections.abc import Iterable, Mapping, Sequence

from tfport.weights.checkpoint import Entry
from tfport.weights.derive import Slot
from tfport.weights.keras_weights import CONTAINERS

__all__ = ["AUTOMATIC", "COUNTED", "NAMED", "Pairing", "pair_by_names", "roles"]

NAMED = "canonical name"
COUNTED = "canonical name, Keras' counters from the first"
Parts = tuple[str, ...]

_ROLES = {
    "kernel": ("kernel",), "weight": ("kernel", "gamma", "embeddings"), "weights": ("kernel", "embeddings"), "w": ("kernel",),
    "filter": ("kernel",), "filters": ("kernel",), "depthwise_kernel": ("kernel",), "depthwise_weights": ("kernel",),
    "recurrent_kernel": ("recurrent_kernel",),
    "gamma": ("gamma",), "scale": ("gamma",), "g": ("gamma",),
    "bias": ("bias",), "biases": ("bias",), "b": ("bias",), "beta": ("bias",), "offset": ("bias",),
    "moving_mean": ("moving_mean",), "running_mean": ("moving_mean",),
    "moving_variance": ("moving_variance",), "running_var": ("moving_variance",), "moving_var": ("moving_variance",),
    "embeddings": ("embeddings",), "embedding": ("embeddings",), "embedding_table": ("embeddings",),
}  # fmt: skip
AUTOMATIC = re.compile(
    r"(dense|embedding|(?:depthwise_|separable_)?conv[123]d(?:_transpose)?|(?:batch|layer|group|unit)_normalization"
    r"|sequential|model|functional|conv|fully_connected)(?:_?(\d+))?"
)
"""Names that Keras, tf.layers and slim give by class and counter; torch code has them too, and counts as it likes."""
_ITEM = re.compile(
    r"(dense|einsum_dense|embedding|(depthwise_|separable_)?conv[123]d(_transpose)?|(batch|layer|group|rms)_normalization"
    r"|lstm|gru|simple_rnn|rnn|bidirectional|time_distributed|conv_lstm[123]d|multi_head_attention|sequential|functional)(_\d+)?"
)
"""What Keras calls an item of a list in a ``.weights.h5``."""
_COUNTS = re.compile("|".join([*CONTAINERS, "_operations", r"layer(_with_weights)?-\d+"]))
"""Places whose numbers count Keras' layers and are no names."""
_CELL = re.compile(r"cell|(lstm|gru|simple_rnn)_cell(_\d+)?")
"""The object inside a recurrent layer that has its weights."""
_MOST = 8  # hypotheses on the prefix that are looked at in full


@dataclasses.dataclass
class Pairing:
    """Pairs of slot and entry with the level that made each, and a line for each name that has several partners."""

    pairs: list[tuple[Slot, Entry, str]] = dataclasses.field(default_factory=list)
    ambiguous: list[str] = dataclasses.field(default_factory=list)
    disputed: set[str] = dataclasses.field(default_factory=set)
    """Targets and keys that the ambiguous lines name."""


@dataclasses.dataclass(frozen=True)
class _Name:
    """One reading of a tensor's name: the scope that owns it, and what it is there ("" for a plain variable)."""

    scope: Parts
    role: str


def roles(variable: str) -> tuple[str, ...]:
    """What a variable of that name may be to its layer (``w`` is a kernel); empty where the name tells nothing."""
    return _ROLES.get(variable.lower().lstrip("_"), ())


def pair_by_names(slots: Sequence[Slot], entries: Sequence[Entry], others: Iterable[str] = ()) -> Pairing:
    """Pair parameters and tensors whose canonical names are equal, one-to-one. ``others`` are names of the module's
    that cannot be paired, but count.
    """
    held = collections.Counter(path for entry in entries for path in entry.paths)
    lists = _lists(path for entry in entries if entry.index is not None for path in entry.paths)
    readings = _with_separable({entry.key: _source_names(entry, held, lists) for entry in entries})
    by_key = {entry.key: entry for entry in entries}
    wanted = [(slot, _slot_names(slot)) for slot in slots]
    results: list[tuple[int, dict[str, tuple[str, str]], dict[str, set[str]]]] = []
    for below, above in _hypotheses(wanted, readings):
        results.append(_paired(wanted, readings, below, above, [_split(name) for name in others]))
    best = max(score for score, _, _ in results)
    if best == 0:
        results = [max(results, key=lambda r: len(r[2]))]
    tied = sorted(
        ((pairs, conflicts) for score, pairs, conflicts in results if score == best), key=lambda r: len(r[1])
    )
    slot_of = {slot.target: slot for slot in slots}
    found = Pairing()
    common, conflicts = tied[0]
    for pairs, _ in tied[1:]:
        for target in common.keys() | pairs.keys():
            one, other = common.get(target, ("", ""))[0], pairs.get(target, ("", ""))[0]
            if one != other:
                conflicts.setdefault(target, set()).update({one, other} - {""})
    for target, (key, level) in common.items():
        if target not in conflicts:
            found.pairs.append((slot_of[target], by_key[key], level))
    for target, keys in conflicts.items():
        found.ambiguous.append(f"{target} has the name of {' and of '.join(sorted(keys))}")
        found.disputed.update({target, *keys})
    return found


def _lists(paths: Iterable[str]) -> set[str]:
    """Attributes of which a ``.weights.h5`` may have a list or dict: all that they hold is named by class and number."""
    inside: dict[str, set[str]] = {}
    for path in paths:
        parts = path.split("/")
        for at in range(1, len(parts)):
            inside.setdefault("/".join(parts[:at]), set()).add(parts[at])
    return {place for place, names in inside.items() if all(map(_ITEM.fullmatch, names))}


def _is_counted(path: str, lists: set[str]) -> bool:
    """Whether a place counts layers, so that it is no name."""
    if any(map(_COUNTS.fullmatch, _split(path))):
        return True
    parts = path.split("/")
    return any("/".join(parts[:at]) in lists for at in range(1, len(parts)))


def _source_names(entry: Entry, held: Mapping[str, int], lists: set[str]) -> list[_Name]:
    """Every reading of a tensor's name in the checkpoint; ``held`` counts the variables of each object."""
    scopes = [*entry.layers[:1], *(path for path in entry.paths if not _is_counted(path, lists))]
    if entry.variable is None and entry.index is not None:
        role = f"#{entry.index}/{held[entry.paths[0]] if entry.paths else 0}"
        return [_Name(way, role) for scope in dict.fromkeys(scopes) for way in _outside(_split(scope))]
    full = [f"{scope}/{entry.variable}" for scope in scopes if entry.variable is not None]
    if not entry.layers and not entry.paths:
        full = [re.sub(r"(:\d+|/\.ATTRIBUTES/VARIABLE_VALUE)$", "", entry.key)]
    found: list[_Name] = []
    for name in dict.fromkeys(full):
        *scope, leaf = _split(name) or ("",)
        word = leaf.lower().lstrip("_")
        found += [_Name(way, role) for role in _ROLES.get(word, ()) for way in _outside(tuple(scope))]
        head, _, last = leaf.rpartition("_")
        if (
            head == "output"
        ):  # google-research's heads: cls/seq_relationship/output_weights, cls/predictions/output_bias
            found += [_Name(tuple(scope), role) for role in _ROLES.get(last.lower(), ())]
            found.append(_Name((*scope, last), ""))
        if head:  # pointwise_kernel is the kernel of `pointwise`
            found += [_Name((*scope, head), role) for role in _ROLES.get(last.lower(), ())]
        found.append(_Name((*scope, leaf), ""))
    return found


def _outside(scope: Parts) -> list[Parts]:
    """A scope, and for a recurrent layer's cell that of the layer, with its direction in Keras' Bidirectional."""
    if len(scope) < 2 or not _CELL.fullmatch(scope[-1]):
        return [scope]
    layer = scope[:-1]
    found = [scope, layer]
    for direction in ("forward", "backward"):
        if len(layer) > 1 and layer[-1].startswith(f"{direction}_"):
            found.append((*layer[:-1], direction))
    return found


def _with_separable(readings: dict[str, list[_Name]]) -> dict[str, list[_Name]]:
    """A separable convolution's bias is its pointwise one's: ``sep/bias`` beside ``sep/pointwise_kernel``."""
    names = {name for found in readings.values() for name in found}
    for found in readings.values():
        for name in [n for n in found if n.role == "bias"]:
            inner = (*name.scope, "pointwise")
            if _Name(inner, "kernel") in names and _Name(inner, "bias") not in names:
                found.append(_Name(inner, "bias"))
    return readings


def _slot_names(slot: Slot) -> list[_Name]:
    """Every name of a parameter that a checkpoint may have for it."""
    path = _split(slot.path)
    if not slot.role:
        return [_Name((*path, slot.target.rpartition(".")[2]), "")]
    role = {"beta": "bias"}.get(slot.role, slot.role)
    found = [_Name(path, role)]
    if slot.index >= 0:
        found.append(_Name(path, f"#{slot.index}/{slot.count}"))
    if role == "embeddings":
        found.append(_Name(path, ""))
    return found


def _split(name: str) -> Parts:
    """The parts of a name. transformers in TensorFlow puts a head's own name before its parent's: ``mlm___cls``."""
    return tuple(part.rpartition("___")[2] or part for part in re.split(r"[/.]", name) if part)


@functools.lru_cache(maxsize=65536)
def _tokens(part: str) -> tuple[str, ...]:
    return tuple(str(int(t)) if t.isdecimal() else t.lower() for t in re.findall(r"[^\W\d_]+|\d+", part))


def _canonical(scope: Parts) -> str:
    """A scope in one spelling: ``layer_0/LayerNorm``, ``layer.0.layer_norm`` and ``Layer0/layernorm`` are one."""
    return _joined(token for part in scope for token in _tokens(part))


def _joined(tokens: Iterable[str]) -> str:
    return "".join(f"|{token}|" if token.isdecimal() else token for token in tokens)


def _collapsed(scope: Parts) -> str:
    """The same without a scope inside a scope of its own name, as Keras writes them in `.h5`."""
    kept = [p for at, p in enumerate(scope) if at == 0 or p != scope[at - 1] or p.isdecimal()]
    return _canonical(tuple(kept))


def _hypotheses(
    wanted: Sequence[tuple[Slot, list[_Name]]], readings: dict[str, list[_Name]]
) -> list[tuple[Parts, Parts]]:
    """Prefixes to drop (the module's, the checkpoint's): none, and those that would bring most names together."""
    votes: collections.Counter[tuple[Parts, Parts]] = collections.Counter({((), ()): 0})
    for below in _own_prefixes([slot for slot, _ in wanted]):
        names = {
            (spell(name.scope[len(below) :]), name.role)
            for _, found in wanted for name in found if name.scope[: len(below)] == below
            for spell in (_canonical, _collapsed)
        }  # fmt: skip
        for found in readings.values():
            fitting = {
                name.scope[:at]
                for name in found for at in range(len(name.scope) + 1) for spell in (_canonical, _collapsed)
                if (spell(name.scope[at:]), name.role) in names
            }  # fmt: skip
            votes.update((below, above) for above in fitting)
    return list(dict.fromkeys([((), ()), *(hypothesis for hypothesis, _ in votes.most_common(_MOST))]))


def _own_prefixes(slots: Sequence[Slot]) -> list[Parts]:
    """Prefixes of most of the module's parameters, that leave more than a single layer (``module.``, ``bert.``)."""
    paths = [_split(slot.path) for slot in slots]
    under = collections.Counter(path[:at] for path in paths for at in range(1, len(path) + 1))
    owners = collections.Counter(path[:at] for path in set(paths) for at in range(1, len(path) + 1))
    found: list[Parts] = [()]
    for prefix, count in under.items():
        if count == len(paths) or (2 * count > len(paths) and owners[prefix] > 1):
            found.append(prefix)
    return found


def _paired(
    wanted: Sequence[tuple[Slot, list[_Name]]],
    readings: dict[str, list[_Name]],
    below: Parts,
    above: Parts,
    others: Sequence[Parts],
) -> tuple[int, dict[str, tuple[str, str]], dict[str, set[str]]]:
    """The pairs under one hypothesis (target -> key and level), how many, and what has several partners."""
    mine = [(slot, [_Name(_without(n.scope, below), n.role) for n in found]) for slot, found in wanted]
    theirs = {k: [_Name(_without(n.scope, above), n.role) for n in found] for k, found in readings.items()}
    pairs: dict[str, tuple[str, str]] = {}
    conflicts: dict[str, set[str]] = {}
    counted = (
        _ranks(n.scope for _, found in mine for n in found),
        _ranks(n.scope for f in theirs.values() for n in f),
    )
    shifted = _shifted(
        _numbers(
            [*(n.scope for _, found in mine for n in found), *(_without(scope, below) for scope in others)]
        ),
        _numbers([n.scope for found in theirs.values() for n in found]),
    )
    automatic = {
        _canonical((*scope, base)) for ranks in counted for (scope, base) in ranks
    }  # their numbers are compared by rank
    levels = (
        (NAMED, _canonical, _canonical), (NAMED, _collapsed, _collapsed),
        (COUNTED, functools.partial(_ranked, counted[0]), functools.partial(_ranked, counted[1])),
    )  # fmt: skip
    for level, spell, spell_theirs in levels:
        gone = {key for key, _ in pairs.values()} | {key for keys in conflicts.values() for key in keys}
        placed = {slot.tensor for slot, _ in mine if slot.target in pairs or slot.target in conflicts}
        places: dict[tuple[str, str], list[Slot]] = {}
        doubtful = shifted - automatic if level == COUNTED else shifted
        for slot, found in mine:
            if slot.tensor not in placed:
                for name in dict.fromkeys(
                    (spell(n.scope), n.role) for n in found if not _within(n.scope, doubtful)
                ):
                    places.setdefault(name, []).append(slot)
        hits = {
            key: {
                s.target: s for n in found if not _within(n.scope, doubtful)
                for s in places.get((spell_theirs(n.scope), n.role), ())
            }
            for key, found in theirs.items() if key not in gone
        }  # fmt: skip
        _settle(hits, level, pairs, conflicts)
    return len(pairs), pairs, conflicts


def _settle(
    hits: dict[str, dict[str, Slot]],
    level: str,
    pairs: dict[str, tuple[str, str]],
    conflicts: dict[str, set[str]],
) -> None:
    """Keep what is one-to-one; names of one tensor count as one where they have the same pattern."""
    claims: dict[int, set[str]] = {}
    for key, slots in hits.items():
        for slot in slots.values():
            claims.setdefault(slot.tensor, set()).add(key)
    for key, slots in hits.items():
        if not slots:
            continue
        first = next(iter(slots.values()))
        alike = {(slot.tensor, slot.pattern) for slot in slots.values()}
        if len(alike) == 1 and claims[first.tensor] == {key}:
            pairs[first.target] = (key, level)
        else:
            for slot in slots.values():
                conflicts.setdefault(slot.target, set()).update(claims[slot.tensor])


def _counts(scope: Parts) -> list[tuple[str, int | None]]:
    """What a scope counts: the name before each number that ends a part; None where such a part has no number."""
    found: list[tuple[str, int | None]] = []
    for at, part in enumerate(scope):
        tokens = _tokens(part)
        if tokens and tokens[-1].isdecimal():
            found.append((_canonical(scope[:at]) + _joined(tokens[:-1]), int(tokens[-1])))
        elif not (at + 1 < len(scope) and _is_number(scope[at + 1])):
            found.append((_canonical(scope[: at + 1]), None))
    return found


def _is_number(part: str) -> bool:
    """Whether a part is a number alone: ``0``, and the ``_0`` of ``layer_._0``."""
    tokens = _tokens(part)
    return len(tokens) == 1 and tokens[0].isdecimal()


def _numbers(scopes: Iterable[Parts]) -> dict[str, list[int]]:
    """The numbers under each name that is counted; a sibling without one is the first."""
    found: dict[str, set[int | None]] = {}
    for scope in set(scopes):
        for name, number in _counts(scope):
            found.setdefault(name, set()).add(number)
    return {name: sorted({n or 0 for n in held}) for name, held in found.items() if held != {None}}


def _shifted(mine: dict[str, list[int]], theirs: dict[str, list[int]]) -> set[str]:
    """Names that both sides count, but not from the same number: 0 1 2 and 1 2 3. Equal numbers mean nothing there."""
    return {
        n for n, m in mine.items() if n in theirs and any(a != b for a, b in zip(m, theirs[n], strict=False))
    }


def _within(scope: Parts, names: set[str]) -> bool:
    return bool(names) and any(number is not None and name in names for name, number in _counts(scope))


def _without(scope: Parts, prefix: Parts) -> Parts:
    return scope[len(prefix) :] if scope[: len(prefix)] == prefix else scope


Ranks = dict[tuple[Parts, str], list[int]]


def _ranks(scopes: Iterable[Parts]) -> Ranks:
    """The numbers that automatic names have, by what stands before them."""
    found: dict[tuple[Parts, str], set[int]] = {}
    for scope in scopes:
        for at, part in enumerate(scope):
            if match := AUTOMATIC.fullmatch(part):
                found.setdefault((scope[:at], match[1]), set()).add(int(match[2] or 0))
    return {place: sorted(numbers) for place, numbers in found.items()}


def _ranked(ranks: Ranks, scope: Parts) -> str:
    """A scope with Keras' counters as ranks: ``dense_7`` of dense_7 and dense_8 is the first of two."""
    words = []
    for at, part in enumerate(scope):
        match = AUTOMATIC.fullmatch(part)
        if match:
            numbers = ranks[scope[:at], match[1]]
            words.append(f"{match[1]}#{numbers.index(int(match[2] or 0))}/{len(numbers)}")
        else:
            words.append(_canonical((part,)))
    return "/".join(words)
