"""Where the fault lies: the first layer, in the order of the run, that differs on equal inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tfport.parity.localise.reference import RECURRENT, Call
from tfport.parity.localise.walk import Event, Walk


@dataclass
class First:
    """The first fault."""

    layer: str
    """The reference's layer, or the output (`output/0`) for steps after the last layer."""
    kind: str
    reason: str
    between: list[str] = field(default_factory=list)
    """All layers that may be meant, where the fault lies in steps that no module stands for."""
    module: str | None = None
    """The candidate's module, where there is one."""
    tried: list[str] = field(default_factory=list)
    """The causes that were tried, whether they helped or not."""

    def as_dict(self) -> dict[str, Any]:
        """As it is written into `result.json`."""
        return asdict(self)


@dataclass
class Fault:
    """A fault with what is needed to try causes on it."""

    first: First
    event: Event
    layers: list[Call]
    inside: bool
    """Whether it lies in the module, not in the steps before it."""


def fault_of(walk: Walk, event: Event, outer: Sequence[Event] = ()) -> Fault | None:
    """What an event tells: None where its layer agrees."""
    if event.agrees or (event.agrees is None and event.call is not None):
        return None
    if event.call is not None and event.inputs != "differ":
        return _inside(event, walk)
    return _before(walk, event, outer)


def _inside(event: Event, walk: Walk) -> Fault:
    call = event.call
    assert call is not None
    inputs = {
        "equal": "its inputs are equal", "padded": f"its input is equal inside the padding {event.border}".rstrip(),
        "unknown": "its input was not recorded",
    }[event.inputs]  # fmt: skip
    if event.aside:
        inputs += f" but for {' and '.join(event.aside)}, which none of its arguments holds"
    stage = " before its activation" if event.found and event.found[0].stage == "before" else ""
    reason = f"{_off(event) or event.reason}{stage}; {inputs}"
    between = []
    if event.merged:  # the order in which images were flattened and the order of these weights do not fit
        makers = [walk.reference.makers.get(key) for key in event.merged]
        between = [maker.name for maker in makers if maker is not None] + [call.name]
        reason += " but for the order in which the image was flattened"
    return Fault(First(call.name, call.kind, reason, between, event.path), event, [call], True)


def _off(event: Event) -> str:
    """`differs by 0.012 where 3e-06 is allowed`."""
    if not event.found:
        return ""
    worst = max(event.found, key=lambda f: f.measure.max_rel)
    return f"differs by {worst.measure.max_abs:.3g} where {worst.measure.limit:.2g} is allowed"


def _before(walk: Walk, event: Event, outer: Sequence[Event]) -> Fault:
    """The steps between values that were found equal and an input (or output) that was not."""
    chain: list[tuple[Call, str]] = []
    for key in event.missing:
        for link in _open(walk, walk_key(walk, key), set()):
            if link[0].index not in [c.index for c, _ in chain]:
                chain.append(link)
    chain.sort(key=lambda link: link[0].index)
    if (
        walk.reference.behind
    ):  # of a graph's operations many lie inside a module, and what they led to was found
        passed = _passed(walk)
        chain = [link for link in chain if not passed & set(link[0].tensors)] or chain
    consumer = "the output" if event.call is None else f"the input of {event.call.name}"
    if event.elsewhere is not None and event.call is not None:
        other = event.elsewhere
        reason = f"its inputs went to the module {event.path}, which stands for {event.call.name}"
        names = [other.name, event.call.name]
        return Fault(First(other.name, other.kind, reason, names, event.path), event, [other], False)
    if chain:
        call, part = chain[0]
        names = [c.name for c, _ in chain]
        drops = [
            c for key in call.inputs if key for c in walk.reference.identities(key) if c.index < call.index
        ]
        if drops and RANDOM & set(_steps(walk, event)):
            reason = f"the steps that stand for it change the value that {call.name} needs"
            return Fault(
                First(drops[0].name, drops[0].kind, reason, [drops[0].name, *names]),
                event,
                [*drops, call],
                False,
            )
        if len(chain) == 1 and not part and len(_steps(walk, event)) > 1:
            sources = [walk.reference.makers.get(key or "") for key in call.inputs]
            names = [s.name for s in sources if s is not None] + names
        what = (
            f"its activation {call.activation}"
            if part and call.activation
            else "its activation"
            if part
            else "it"
        )
        reason = f"{what} is the first step whose value is not found before {consumer}, which differs"
        path = walk.pairing.path(call)
        if path is not None and not part and not walk.seen.get(path):
            reason = f"its module {path} was not called before {consumer}, which differs"
        return Fault(First(call.name, call.kind, reason, names, path), event, [c for c, _ in chain], False)
    source = next(
        (m for m in (walk.reference.makers.get(walk_key(walk, k)) for k in event.missing) if m), None
    )
    skipped = [c for k in event.missing for c in walk.reference.identities(walk_key(walk, k))]
    skipped = [c for c in skipped if event.call is None or c.index < event.call.index]
    between = [c.name for c in (source, *skipped, event.call) if c is not None]
    if skipped and RANDOM & set(_steps(walk, event)):
        reason = f"the steps that stand for it change the value that {consumer} needs"
        return Fault(First(skipped[0].name, skipped[0].kind, reason, between), event, [*skipped], False)
    if event.call is None and not (source is not None and source.kind in RECURRENT):
        names = [key.removeprefix("outputs/") for key in event.missing]
        reason = "every layer that was compared agrees, the steps after them change the output"
        layers = [source] if source is not None else []
        return Fault(First(names[0], "output", reason, [*names, *between]), event, layers, False)
    if source is not None and (source.kind in RECURRENT or _only_activations(walk, event)):
        reason = f"its value was found equal, the steps between it and {consumer} change it"
        told = [*between, *([] if event.call else [key.removeprefix("outputs/") for key in event.missing])]
        return Fault(First(source.name, source.kind, reason, told), event, [source], False)
    owner = next((e.call for e in reversed(outer) if e.call is not None), None)
    owner = owner or _holder(walk, event.call)
    ids = event.call is not None and event.call.kind == "Embedding"
    if source is None and owner is not None and not ids:
        reason = f"its own steps before {consumer} give another value"
        inner = [c.name for c in walk.reference.calls if c.name.startswith(f"{owner.name}/")]
        consuming = event.call.name if event.call is not None else ""
        names = [owner.name, *(inner[: inner.index(consuming) + 1] if consuming in inner else inner)]
        return Fault(First(owner.name, owner.kind, reason, names), event, [owner], False)
    last = event.call
    assert last is not None  # outputs have a source that is recurrent, or were told above
    reason = "its input differs: the steps before it change a value that was found equal"
    return Fault(First(last.name, last.kind, reason, between, event.path), event, [last], False)


def _holder(walk: Walk, call: Call | None) -> Call | None:
    """The layer that makes steps of its own around this one, which it holds; a Sequential and its like make none."""
    held = {c.name: c for c in walk.reference.calls}
    name = call.name.rpartition("/")[0] if call is not None else ""
    holder = held.get(name)
    return None if holder is None or holder.kind in CONTAINERS else holder


CONTAINERS = ("Sequential", "Functional", "Model", "TimeDistributed", "Bidirectional", "RNN")
RANDOM = frozenset(("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_dropout", "bernoulli",
                    "rand", "rand_like", "randn", "randn_like", "normal"))  # fmt: skip
"""Operations of layers that change nothing at inference and something in training."""


def _only_activations(walk: Walk, event: Event) -> bool:
    from tfport.parity.localise.causes.activation import OPERATIONS

    names = [walk.names[i] for i in event.feeding if i < len(walk.names)]
    return bool(names) and all(name in OPERATIONS for name in names)


QUIET = frozenset(
    ("reshape", "view", "permute", "transpose", "contiguous", "getitem", "unsqueeze", "squeeze", "to")
)
"""Operations that compute nothing."""


def _steps(walk: Walk, event: Event) -> list[str]:
    """The operations that compute something between the values found equal and the place of the fault."""
    return [
        walk.names[i]
        for i in event.feeding
        if i < len(walk.names) and walk.names[i] and walk.names[i] not in QUIET
    ]


def _passed(walk: Walk) -> set[str]:
    """Keys of tensors from which a later one was computed that was found equal."""
    keys: set[str] = set()
    for call in reversed(walk.reference.calls):
        if any(key in walk.at or key in keys for key in call.tensors):
            keys.update(key for key in (*call.inputs, *call.behind) if key)
    return keys


def walk_key(walk: Walk, key: str) -> str:
    """The layer's tensor that an output of the model is, where one has the same value."""
    return walk.same_as(key) if key.startswith("outputs/") else key


def _open(walk: Walk, key: str, seen: set[str]) -> list[tuple[Call, str]]:
    """The calls behind a tensor whose own values were not found, back to those that were."""
    if key in walk.at or key in seen:
        return []
    seen.add(key)
    call = walk.reference.makers.get(key)
    if call is None:
        return [link for near in walk.reference.behind.get(key, ()) for link in _open(walk, near, seen)]
    if call.before and call.before in walk.at:
        return [(call, "activation")]
    found: list[tuple[Call, str]] = []
    for name in (*call.inputs, *call.behind):
        if name:
            found += _open(walk, name, seen)
    return [*found, (call, "")]
