"""One forward pass of the candidate, watched: each layer compared where it happens, and kept nowhere.

With `force` every module's output that differs is replaced by the reference's (teacher forcing), so that the
next layer is judged on what the reference gave it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from tfport.parity.localise.judging import Judge
from tfport.parity.localise.matching import Found, Matcher
from tfport.parity.localise.pairing import Pairing
from tfport.parity.localise.reference import RECURRENT, Call, Reference
from tfport.parity.localise.slots import WHOLE, copied, slots
from tfport.parity.localise.taps import Operation, Taps, tensors_of
from tfport.parity.reference.keras_layers import snake_case

STAGES = ("output", "before")


class Stop(BaseException):
    """Ends a walk when what it was for has been seen; not an Exception, so that user code lets it pass."""


@dataclass
class Event:
    """One call of a paired module, or the model's outputs (`call` None)."""

    call: Call | None
    path: str = ""
    start: int = 0
    """Operations of the walk before it; `end` after it."""
    end: int = 0
    inputs: str = "unknown"
    """`equal`, `padded` (equal inside a border), `differ` or `unknown`."""
    missing: list[str] = field(default_factory=list)
    """Keys of the reference's inputs that none of the module's arguments holds."""
    merged: list[str] = field(default_factory=list)
    """Keys of inputs that hold flattened images in the candidate's axis order, not the reference's."""
    aside: list[str] = field(default_factory=list)
    """Keyword arguments of the reference's call (a mask, an initial state) that none of the module's arguments holds."""
    border: str = ""
    """The padding around the reference's input, in words."""
    found: list[Found] = field(default_factory=list)
    agrees: bool | None = None
    """None where nothing could be compared."""
    alone: bool | None = None
    """Whether the module agrees when it is given the reference's input, where its own differed."""
    reason: str = ""
    elsewhere: Call | None = None
    """Another layer of the kind whose inputs the arguments are, where they are not this layer's."""
    feeding: set[int] = field(default_factory=set)
    """The operations between the values last found equal and this module's arguments."""


class Walk:
    """Watches a forward pass of `module`. `run(forward)` makes it; what was seen is in the fields."""

    def __init__(
        self,
        reference: Reference,
        pairing: Pairing,
        judge: Judge,
        module: torch.nn.Module | None,
        force: bool = False,
        quiet: Callable[[], None] = lambda: None,
    ) -> None:
        self.reference, self.pairing, self.judge, self.module = reference, pairing, judge, module
        self.force, self.quiet = force, quiet
        self.taps = Taps(self.see)
        self.events: list[Event] = []
        self.at: dict[str, int] = {}  # tensor key -> the operation at whose end it was found
        self.measures: dict[str, Found] = {}
        self.forced: set[str] = set()  # keys that were put in place of what differed
        self.feeds: list[tuple[int, ...]] = []  # for each operation those that made its arguments
        self.names: list[str] = []  # the operations' names
        self.settled: set[int] = set()  # operations whose result was found equal
        self.matcher = Matcher(reference, judge)
        self.calls = {p: [c for c in reference.calls if pairing.path(c) == p] for p in self._paths()}
        self.seen: dict[str, int] = {}  # module path -> calls so far
        self.open: list[Event] = []
        self.on_event: Callable[[Event], None] = lambda event: None
        self.on_enter: Callable[[Event, Any, Any], None] = lambda event, args, kwargs: None
        self.after: Mapping[int, Callable[[Any], Any]] = {}  # call -> what is done to its module's result
        self.off = False
        self.cut: frozenset[int] = (
            frozenset()
        )  # calls whose modules give more than the layer, which is cut later
        self.pending: dict[int, list[tuple[str, str]]] = {}  # elements -> (key, stage)
        for call in reference.calls:
            if pairing.path(call) is None:
                self._expect(call)
        home = getattr(reference.values, "home", lambda key: key)
        for key in [k for k in reference.values if k.startswith("inputs/")]:
            self._settle(home(key), -1)

    def _paths(self) -> set[str]:
        return {path for path, _ in self.pairing.paths.values()}

    # -- the run

    def run(self, forward: Callable[[], Any]) -> Any:
        """The forward pass under hooks and taps; returns what it returns, None when it was stopped."""
        handles = []
        for path in self.calls if self.module is not None else ():
            part = self.module.get_submodule(path)  # type: ignore[union-attr]
            enter, leave = self._hooks(path)
            handles.append(part.register_forward_pre_hook(enter, with_kwargs=True))
            handles.append(part.register_forward_hook(leave, with_kwargs=True))
        try:
            with self.taps:
                return forward()
        except Stop:
            return None
        finally:
            for handle in handles:
                handle.remove()

    def _hooks(self, path: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
        def enter(module: Any, args: Any, kwargs: Any) -> None:
            if not self.off:
                with self.unwatched():
                    self.enter(path, args, kwargs)

        def leave(module: Any, args: Any, kwargs: Any, result: Any) -> Any:
            if self.off or not self.open or self.open[-1].path != path:
                return None
            event = self.open.pop()
            with self.unwatched():
                return self.leave(event, module, args, kwargs, result)

        return enter, leave

    @contextlib.contextmanager
    def unwatched(self) -> Iterator[None]:
        """Inside, torch's functions are not seen and hooks do nothing."""
        off, self.off = self.off, True
        try:
            with torch._C.DisableTorchFunction(), torch.no_grad():
                yield
        finally:
            self.off = off

    # -- operations

    def see(self, operation: Operation, result: Any) -> None:
        """One torch function: where its result came from, and whether it is a value of the reference."""
        if self.off:
            return
        with self.unwatched():
            made = list(tensors_of(result))
            sources = {getattr(t, "_tfport_made", -1) for t in tensors_of((operation.args, operation.kwargs))}
            while len(self.feeds) <= operation.index:
                self.feeds.append(())
                self.names.append("")
            self.feeds[operation.index] = tuple(sources - {-1})
            self.names[operation.index] = "" if _sleeps(operation, result) else operation.name
            for tensor in made:
                if not isinstance(tensor, torch.nn.Parameter):
                    tensor._tfport_made = operation.index  # type: ignore[attr-defined]
                if self.pending.get(tensor.numel()):
                    self._recognise(tensor, operation.index)

    def _expect(self, call: Call) -> None:
        """Waits for a call's values among the results of operations."""
        for stage, keys in (("before", [call.before] if call.before else []), ("output", call.tensors)):
            for key in keys:
                waiting = self.pending.setdefault(self._elements(key), [])
                if key not in self.at and (key, stage) not in waiting:
                    waiting.append((key, stage))

    def _elements(self, key: str) -> int:
        count = 1
        for n in self.reference.shape(key):
            count *= n
        return count

    def _recognise(self, tensor: torch.Tensor, index: int) -> None:
        for key, stage in list(self.pending[tensor.numel()]):
            if key in self.at:
                continue
            found = self.matcher.recognise(key, stage, tensor)
            if found is not None:
                self.measures[key] = found
                self._settle(key, index)
                return

    def _settle(self, key: str, index: int) -> None:
        """A value was found (or put in place): so are those that identities make of it."""
        self.at.setdefault(key, index)
        if index >= 0:
            self.settled.add(index)
        self.pending.get(self._elements(key), [])[:] = [
            p for p in self.pending.get(self._elements(key), []) if p[0] != key
        ]
        for call in self.reference.identities(key):
            for name in call.tensors:
                if name not in self.at and self.pairing.path(call) is None:
                    self.at[name] = index

    def same_as(self, key: str) -> str:
        """The first tensor of a layer that has the value of an output of the model; the key itself if none has."""
        home = getattr(self.reference.values, "home", lambda key: key)(key)
        if home in self.reference.makers:
            return home
        wanted = self.reference.array(key)
        for name in self.reference.makers:
            if self.reference.shape(name) == wanted.shape and np.array_equal(
                self.reference.array(name), wanted
            ):
                return name
        return key

    # -- modules

    def enter(self, path: str, args: Any, kwargs: Any) -> None:
        """Before a paired module's forward: whether its arguments are the reference's."""
        number = self.seen.get(path, 0)
        self.seen[path] = number + 1
        calls = self.calls[path]
        if number >= len(calls):
            return
        call = calls[number]
        event = Event(call, path, start=self.taps.count)
        given = list(tensors_of((args, kwargs)))
        states = []
        for key in [k for k in call.inputs if k]:
            state, reading, border = self.matcher.match(key, given)
            states.append(state)
            if reading is not None and reading.split is not None:
                event.merged.append(key)
            event.border = event.border or border
            if state == "differ":
                event.missing.append(key)
        if event.missing and self._is_another(call, path):
            self.seen[path] = number
            self._expect(call)
            return
        event.aside = [
            name for name, key in call.arguments.items()
            if isinstance(key, str) and self.matcher.match(key, given)[0] == "differ"
        ]  # fmt: skip
        if states:
            event.inputs = max(states, key=("equal", "padded", "differ").index)
        made = {getattr(t, "_tfport_made", -1) for t in given} - {-1}
        event.feeding = self.slice_of(made, padded=event.inputs == "padded")
        if event.missing and self.force:
            event.elsewhere = self._elsewhere(call, given)
        self.open.append(event)
        self.on_enter(event, args, kwargs)

    def _is_another(self, call: Call, path: str) -> bool:
        """Whether a module without tensors, found by a name that Keras has counted, is another one of the class: it is
        called before modules that come before its layer. (A port that pads apart counts its own ZeroPadding2D.)
        """
        part = self.module.get_submodule(path) if self.module is not None else None
        counted = re.fullmatch(rf"{snake_case(call.kind)}(_\d+)?", call.name.rpartition("/")[2])
        if part is None or not counted or any(True for _ in (*part.parameters(), *part.buffers())):
            return False
        earlier = (self.pairing.path(c) for c in self.reference.calls[: call.index])
        return any(p is not None and not self.seen.get(p) for p in earlier)

    def _elsewhere(self, call: Call, given: Sequence[torch.Tensor]) -> Call | None:
        """Another call of this kind of layer whose inputs these are: two modules took each other's place."""
        for other in self.reference.calls:
            keys = [k for k in other.inputs if k]
            like = other.kind == call.kind and other.index != call.index and keys
            if like and all(self.matcher.match(key, given)[0] == "equal" for key in keys):
                return other
        return None

    def slice_of(self, made: set[int], padded: bool = False) -> set[int]:
        """The operations behind some tensors, back to values that were found equal."""
        found: set[int] = set()
        waiting = set(made)
        while waiting:
            index = waiting.pop()
            if index in found or index in self.settled or index >= len(self.feeds):
                continue
            found.add(index)
            waiting |= set(self.feeds[index])
        return found

    def leave(self, event: Event, module: Any, args: Any, kwargs: Any, result: Any) -> Any:
        """After a paired module's forward: compares, and puts the reference's values in place."""
        call = event.call
        assert call is not None
        event.end = self.taps.count
        event.found, event.agrees, event.reason = self.judge_call(call, module, result)
        other = not event.found and self.pairing.how(call) != "record"
        if event.agrees is False and (other or call.index in self.cut):
            event.agrees, event.found = None, []  # it may give more than the layer, and be cut behind it
            self._expect(call)
        cut = event.agrees is None and bool(call.tensors)  # what is made of it tells
        for tensor in tensors_of(result):
            if not isinstance(tensor, torch.nn.Parameter) and not cut:
                tensor._tfport_made = -1  # type: ignore[attr-defined]
        if event.agrees is False and event.inputs == "differ" and self.force:
            event.alone = self._alone(event, module, args, kwargs)
        self.events.append(event)
        if event.agrees or self.force:
            self._note(event)
        self.on_event(event)
        replaced = self.force and event.agrees is False and event.found
        made = self._replaced(event, result, module) if replaced else None
        after = self.after.get(call.index)
        if after is not None:
            made = after(result if made is None else made)
        return made

    def judge_call(self, call: Call, module: Any, result: Any) -> tuple[list[Found], bool | None, str]:
        """A module's result beside the layer's: its output, else the value before the activation."""
        if not call.tensors:
            return [], None, "the reference's output was not kept"
        recurrent = call.kind in RECURRENT
        images = any(isinstance(p, torch.Tensor) and p.ndim > 2 for p in module.parameters()) or hasattr(
            module, "running_mean"
        )
        tries = [("output", list(call.tensors))]
        if call.before:
            tries.append(("before", [call.before]))
        best: tuple[Any, list[Found]] | None = None
        for stage, keys in tries:
            found = self._closest(keys, stage, result, recurrent, images, module)
            complete = [f for f in found if f is not None]
            if len(complete) < len(keys):
                continue
            if all(f.measure.ok for f in complete):
                return complete, True, ""
            leaf = type(module).__module__.startswith("torch.nn.modules")
            rank = (
                stage == "output" and leaf and bool(call.before),
                max(f.measure.max_rel for f in complete),
            )
            if best is None or rank < best[0]:
                best = (rank, complete)
        if best is None:
            shown = [list(t.shape) for t in tensors_of(result)] or type(result).__name__
            return (
                [],
                False,
                f"shape {shown} instead of {[list(self.reference.shape(k)) for k in call.tensors]}",
            )
        return best[1], False, ""

    def _closest(
        self, keys: Sequence[str], stage: str, result: Any, recurrent: bool, images: bool, module: Any
    ) -> list[Found | None]:
        """Each tensor where it agrees; one that agrees nowhere in the first place that no other one has."""
        made: list[Found | None] = []
        others: list[list[Found]] = []
        for key in keys:
            made.append(None)
            others.append([])
            for slot in slots(result, len(self.reference.shape(key)), recurrent, module):
                try:
                    tensor = slot.get(result)
                except (IndexError, RuntimeError):  # the place is not there in a result of this shape
                    continue
                found = self.matcher.compare(key, stage, slot, tensor, recurrent, images)
                if found is not None and found.measure.ok:
                    made[-1] = found
                    break
                if found is not None:
                    others[-1].append(found)
        taken = {found.slot.name for found in made if found is not None}
        for i, options in enumerate(others):
            if made[i] is None and options:
                free = [f for f in options if f.slot.name not in taken] or options
                made[i] = free[0]
                taken.add(free[0].slot.name)
        return made

    def _note(self, event: Event) -> None:
        """A module's values count as found from here on."""
        for found in event.found:
            if found.measure.ok:
                self.measures[found.key] = found
            else:
                self.forced.add(found.key)
            self._settle(found.key, -1)
        call = event.call
        assert call is not None
        if event.found and event.found[0].stage == "output":
            if call.before:
                self._settle(call.before, -1)
        elif event.found:
            self._expect(call)

    def _alone(self, event: Event, module: Any, args: Any, kwargs: Any) -> bool | None:
        """Whether a module whose input differed agrees on the reference's; None where that cannot be given."""
        call = event.call
        assert call is not None
        given = self.reference_arguments(event, args, kwargs, module)
        if given is None:
            return None
        try:
            result = module.forward(*given[0], **given[1])
        except Exception:  # the module may refuse what the reference gives its layer: then nothing is known
            return None
        return self.judge_call(call, module, result)[1]

    def reference_arguments(
        self, event: Event, args: Any, kwargs: Any, module: Any
    ) -> tuple[Any, Any] | None:
        """The module's arguments with the missing one put in, where there is one and its shape fits."""
        tensors = [i for i, a in enumerate(args) if isinstance(a, torch.Tensor)]
        if len(event.missing) != 1 or len(tensors) != 1:
            return None
        key, own = event.missing[0], args[tensors[0]]
        images = any(isinstance(p, torch.Tensor) and p.ndim > 2 for p in module.parameters())
        found = self.matcher.compare(key, "input", WHOLE, own, images=images)
        if found is None:
            return None
        value = found.reading.of(self.judge.tensor(key), own.shape).to(own.dtype)
        return tuple(value if i == tensors[0] else a for i, a in enumerate(args)), kwargs

    def _replaced(self, event: Event, result: Any, module: Any) -> Any:
        """A copy of a module's result that holds the reference's values."""
        made = copied(result)
        for found in event.found:
            wanted = self.judge.tensor(found.key)
            place = found.slot.get(made)
            found.slot.write(made, found.reading.of(wanted, place.shape).to(place.dtype))
            if event.call is not None and event.call.kind in RECURRENT:
                self._same_states(found, result, made, module)
        return made

    def _same_states(self, written: Found, result: Any, made: Any, module: Any) -> None:
        """A recurrent module returns its last output in more than one place: they stay the same."""
        places = []
        for slot in slots(result, 2, True, module):
            with contextlib.suppress(IndexError, RuntimeError):  # a place that is not there
                places.append((slot, slot.get(result)))
        moved = [(s, v) for s, v in places if v.ndim == 2 and not torch.equal(s.get(made), v)]
        for slot, value in places:
            for source, original in moved:
                kept = value.shape == original.shape and torch.equal(slot.get(made), value)
                if kept and torch.equal(value, original):
                    slot.write(made, source.get(made))
                    break


def _sleeps(operation: Operation, result: Any) -> bool:
    """Whether a dropout hands on what it is given, as in eval mode."""
    given = operation.first
    if "dropout" not in operation.name or not isinstance(given, torch.Tensor):
        return False
    return isinstance(result, torch.Tensor) and result.shape == given.shape and torch.equal(result, given)
