"""Applies what the catalogue proposes, runs the layer again on the reference's inputs, and believes only what agrees."""

from __future__ import annotations

import contextlib
import inspect
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from tfport.parity.localise.causes import Context, Fix, proposals
from tfport.parity.localise.judging import Measure
from tfport.parity.localise.matching import Found
from tfport.parity.localise.reference import Call
from tfport.parity.localise.slots import WHOLE
from tfport.parity.localise.taps import Operation, Taps, tensors_of
from tfport.parity.localise.walk import Event, Stop, Walk

SECONDS = 20.0
"""How long the causes of one layer are looked for."""
BETTER = 3.0
"""How many times smaller the error must become; what agrees by a hair before and after says nothing."""
SINGLES = 12
"""Up to how many operations of one kind a proposal is also tried on one of them alone."""


@dataclass
class Cause:
    """A proposal that was applied."""

    cause: str
    layer: str
    agrees: bool
    said: str


@dataclass
class Trial:
    """One layer (or the steps before it) that is at fault, and how to run it again.

    `layers` are the reference's layers in question, the one at fault first. `inside` says that the fault lies in
    the module itself, whose arguments are equal; else the whole forward pass is repeated up to the place.
    """

    walk: Callable[[], Walk]
    forward: Callable[[], Any]
    event: Event
    layers: Sequence[Call]
    inside: bool
    outputs: Callable[[Any], Mapping[str, torch.Tensor]]
    """The model's result as named tensors in TensorFlow's axis order."""
    cut: frozenset[int] = frozenset()
    """Calls whose modules gave something of another shape: no value is put in its place, whatever a change makes of it."""
    restore: Callable[[], None] = lambda: None
    """Undoes what a run in training mode did to running statistics."""
    tried: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.deadline = time.perf_counter() + SECONDS
        self.base: Walk = self.walk()
        self.arguments: tuple[Any, Any] | None = None
        self.error: float | None = None
        self.own: list[torch.Tensor] | None = None
        if self.inside and self.event.inputs == "equal":
            self._keep_arguments()

    # -- running

    def _is_it(self, event: Event) -> bool:
        if self.event.call is None or event.call is None:
            return event.call is self.event.call
        return event.call.index == self.event.call.index

    def _keep_arguments(self) -> None:
        """The arguments that the module got in a forced pass, so that it alone can be run again."""
        walk = self.walk()

        def enter(event: Event, args: Any, kwargs: Any) -> None:
            if self._is_it(event):
                keep = [a.clone() if isinstance(a, torch.Tensor) else a for a in args]
                self.arguments = (tuple(keep), dict(kwargs))
                raise Stop

        walk.on_enter = enter
        walk.run(self.forward)

    def run(self, patches: Mapping[int, Any], fix: Fix | None = None) -> tuple[bool, float]:
        """Whether the layer agrees, and the error relative to what is allowed."""
        with contextlib.ExitStack() as stack:
            for module, name, value in fix.attributes if fix else ():
                stack.callback(setattr, module, name, getattr(module, name))
                setattr(module, name, value)
            swaps = fix.swaps if fix else {}
            value = fix.value if fix else None
            if self.arguments is not None:
                if fix is None:
                    return self._run_module(patches, swaps, value)
                return self._run_module(
                    patches, swaps, value, fix.after, fix.whole, fix.premise, fix.keywords
                )
            if fix is not None and (fix.whole is not None or fix.keywords):
                return False, float("inf")
            after, integers = (fix.after, fix.integers) if fix else (None, False)
            return self._run_all(patches, swaps, value, after, integers)

    def _run_module(
        self,
        patches: Mapping[int, Any],
        swaps: Mapping[int, torch.Tensor],
        value: Any,
        after: Any = None,
        whole: Any = None,
        premise: Any = None,
        keywords: Mapping[str, Any] | None = None,
    ) -> tuple[bool, float]:
        module = self.module
        taps = Taps(lambda operation, result: None)
        taps.patches, taps.swaps = patches, swaps
        args, kwargs = self.arguments or ((), {})
        args = tuple(a.clone() if isinstance(a, torch.Tensor) else a for a in args)
        args, kwargs = _given(module.forward, args, kwargs, keywords or {})
        self.restore()
        if premise is not None and not self._holds(premise(*args)):
            return False, float("inf")
        if whole is not None:
            result = whole(*args)
        else:
            with torch.no_grad(), taps:
                result = module.forward(*args, **kwargs)
        for change in (value, after):
            if change is not None and isinstance(result, torch.Tensor):
                result = change(result)
        found, agrees, _ = self.base.judge_call(self.event.call, module, result)  # type: ignore[arg-type]
        return bool(agrees), _error(found)

    def _holds(self, supposed: Any) -> bool:
        """Whether one of the tensors is what the module gives as it is."""
        if self.own is None:
            args, kwargs = self.arguments or ((), {})
            with torch.no_grad():
                self.own = list(tensors_of(self.module.forward(*args, **kwargs)))
        for one in tensors_of(supposed):
            for two in self.own:
                if one.shape == two.shape and torch.allclose(
                    one, two, rtol=1e-4, atol=1e-4 * float(two.abs().max())
                ):
                    return True
        return False

    def _run_all(
        self,
        patches: Mapping[int, Any],
        swaps: Mapping[int, torch.Tensor],
        value: Any,
        after: Any,
        integers: bool,
    ) -> tuple[bool, float]:
        walk = self.walk()
        walk.cut = self.cut
        walk.taps.patches, walk.taps.swaps = patches, swaps
        if after is not None and self.layers:
            walk.after = {self.layers[0].index: after}
        state: list[tuple[bool, float]] = []

        def enter(event: Event, args: Any, kwargs: Any) -> None:
            if self._is_it(event) and not self.inside:
                state.append(self._inputs(walk, event, args, kwargs, value, integers))
                if state[0][0] or event.call is None or not event.call.tensors:
                    raise Stop

        def leave(event: Event) -> None:
            if self._is_it(event):
                if self.inside or event.agrees:
                    state[:] = [(bool(event.agrees), _error(event.found))]
                raise Stop

        walk.on_enter, walk.on_event = enter, leave
        result = walk.run(self.forward)
        if self.event.call is None and result is not None:
            return self._outputs(walk, result, value)
        return state[0] if state else (False, float("inf"))

    def _inputs(
        self, walk: Walk, event: Event, args: Any, kwargs: Any, value: Any, integers: bool
    ) -> tuple[bool, float]:
        if value is None:
            return event.inputs in ("equal", "padded"), self._distance(walk, list(tensors_of((args, kwargs))))
        given = [value(t) for t in tensors_of((args, kwargs)) if t.is_floating_point() != integers]
        states = [walk.matcher.match(key, given)[0] for key in self.event.missing]
        return bool(states) and "differ" not in states, self._distance(walk, given)

    def _distance(self, walk: Walk, given: Sequence[torch.Tensor]) -> float:
        errors = []
        for key in self.event.missing:
            found = [walk.matcher.compare(key, "input", WHOLE, t) for t in given]
            errors.append(min((_ratio(f.measure) for f in found if f is not None), default=float("inf")))
        return max(errors, default=0.0)

    def _outputs(self, walk: Walk, result: Any, value: Any) -> tuple[bool, float]:
        given = self.outputs(result)
        errors = []
        for key in self.event.missing:
            tensor = given.get(key)
            if tensor is None or tuple(tensor.shape) != walk.reference.shape(key):
                return False, float("inf")
            tensor = tensor if value is None else value(tensor)
            measure = walk.judge.measure(key, walk.judge.tensor(key), tensor)
            errors.append(_ratio(measure))
        return bool(errors) and max(errors) <= 1.0, max(errors, default=float("inf"))

    @property
    def module(self) -> Any:
        """The module at fault, or the one before which the fault lies."""
        return self.base.module.get_submodule(self.event.path) if self.event.path else self.base.module  # type: ignore[union-attr]

    # -- proposals

    def causes(self) -> Iterator[Cause]:
        """The proposal that makes the layer agree, if there is one; `tried` names the causes that were tried."""
        agrees, self.error = self.run({})
        if agrees:
            return
        layer = self.layers[0].name if self.layers else self.event.path or "outputs"
        for patches, fix in self._ordered():
            if time.perf_counter() > self.deadline:
                self.tried.append("(out of time)")
                return
            if fix.cause not in self.tried:
                self.tried.append(fix.cause)
            try:
                agrees, error = self.run(patches, fix)
            except (
                Exception
            ):  # a change that the program does not take (a shape that does not fit) is no cause
                continue
            if agrees and error * BETTER <= self.error:
                yield Cause(fix.cause, layer, True, fix.words())
                return
        yield from self._fitted(layer)

    def _ordered(self) -> list[tuple[Mapping[int, Any], Fix]]:
        """All proposals, likely ones first; one for several operations of a kind is applied to all of them, too."""
        found = self._survey()
        groups: dict[tuple[str, str], dict[int, Any]] = {}
        for _, index, fix in found:
            if fix.run is not None and not fix.also:
                groups.setdefault((fix.cause, fix.said), {})[index] = fix.run
        made: list[tuple[float, Mapping[int, Any], Fix]] = []
        told: set[tuple[str, str]] = set()
        for rank, index, fix in found:
            if fix.run is None:
                made.append((rank, dict(fix.also), fix))
                continue
            group = groups.get((fix.cause, fix.said), {})
            key = (fix.cause, fix.said)
            if len(group) <= SINGLES or fix.also:
                made.append((rank, {**fix.also, index: fix.run}, fix))
            if len(group) > 1 and key not in told:
                told.add(key)
                made.append((rank + 0.5, group, fix))
        return [(patches, fix) for _, patches, fix in sorted(made, key=lambda m: m[0])]

    def _survey(self) -> list[tuple[int, int, Fix]]:
        """Runs once more and asks the catalogue at every operation in question: (rank, operation, fix)."""
        found: list[tuple[int, int, Fix]] = []
        earlier: list[Operation] = []
        weights: dict[str, torch.Tensor] = {}
        owner = self.base.module if self.arguments is None else self.module
        names = (
            {}
            if owner is None
            else {id(t): n for n, t in (*owner.named_parameters(), *owner.named_buffers())}
        )
        window = self.event.feeding if self.arguments is None else None
        inside = range(self.event.start, self.event.end) if self.inside else range(0)

        def look(operation: Operation) -> Any:
            if window is None or operation.index in window or operation.index in inside:
                for tensor in tensors_of((operation.args, operation.kwargs)):
                    if id(tensor) in names:
                        weights[names[id(tensor)]] = tensor
                context = self._context(operation, earlier)
                found.extend((rank, operation.index, fix) for rank, fix in _proposals(context))
                earlier.append(_light(operation))
            return operation.function(*operation.args, **operation.kwargs)

        with contextlib.suppress(Exception):  # what it raises without a change, `run` has raised before
            self.run(_Everywhere(look))
        context = self._context(None, earlier)
        context.weights = weights
        if self.inside and self.module is not None and self.base.module is not None:
            context.modules = list(self.module.modules())
            every = self.base.module.named_modules()
            context.others = {p: m for p, m in every if type(m) is type(self.module) and m is not self.module}
        found.extend((rank, -1, fix) for rank, fix in _proposals(context))
        return found

    def _context(self, operation: Operation | None, earlier: Sequence[Operation]) -> Context:
        call = self.layers[0] if self.layers else None
        return Context(call, self.layers[1:], self.base.reference, operation, list(earlier))

    def _fitted(self, layer: str) -> Iterator[Cause]:
        """A bias or a factor for each channel, estimated from the values, which then must agree everywhere."""
        kept: list[tuple[Found, torch.Tensor]] = []

        def keep(value: torch.Tensor) -> torch.Tensor:
            kept.append((self.event.found[0], value) if self.event.found else (None, value))  # type: ignore[arg-type]
            return value

        self.run({}, Fix("", "", value=keep))
        key = (
            self.event.missing[0]
            if self.event.missing
            else self.event.found[0].key
            if self.event.found
            else None
        )
        if not kept or key is None:
            return
        value = kept[-1][1]
        found = self.base.matcher.compare(key, "output", WHOLE, value, images=value.ndim > 3)
        if found is None or not value.is_floating_point():
            return
        wanted = found.reading.of(self.base.judge.tensor(key), value.shape).to(value.dtype)
        for cause, said, fitted in (*self._addends(key, found, value), *_fits(wanted, value)):
            measure = self.base.judge.measure(key, wanted, fitted)
            if measure.ok and _ratio(measure) * BETTER <= (self.error or float("inf")):
                yield Cause(cause, layer, True, f"with {said} it agrees")
                return
        if "bias" not in self.tried:
            self.tried += ["bias", "scale"]

    def _addends(
        self, key: str, found: Found, value: torch.Tensor
    ) -> Iterator[tuple[str, str, torch.Tensor]]:
        """A skip connection that is not there: the value with another layer's added."""
        reference = self.base.reference
        shape = reference.shape(key)
        end = self.event.call.index if self.event.call is not None else len(reference.calls)
        earlier = [(k, f"the output of {m.name}") for k, m in reference.makers.items() if m.index < end]
        inputs = [(k, k.replace("inputs/", "input ")) for k in reference.values if k.startswith("inputs/")]
        for name, said in [*inputs, *earlier]:
            if (
                name != key
                and reference.shape(name) == shape
                and self.base.judge.tensor(name).is_floating_point()
            ):
                other = found.reading.of(self.base.judge.tensor(name), value.shape).to(value.dtype)
                yield "missing addend", f"{said} added", value + other


class _Everywhere(dict[int, Any]):
    """Patches that give every operation to one function."""

    def __init__(self, look: Callable[[Operation], Any]) -> None:
        super().__init__()
        self.look = look

    def get(self, key: int, default: Any = None) -> Any:
        return self.look


def _proposals(context: Context) -> list[tuple[int, Fix]]:
    found = []
    try:
        for rank, fix in proposals(context):
            found.append((rank, fix))
    except (TypeError, ValueError, IndexError, AttributeError, RuntimeError):
        # an operation called in a way that a cause does not know: what was proposed before it stands
        return found
    return found


def _given(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], changed: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments with some set by name, however they were passed."""
    names = list(inspect.signature(function).parameters) if changed else []
    at = {names.index(n): v for n, v in changed.items() if n in names and names.index(n) < len(args)}
    named = {n: v for n, v in changed.items() if n not in names or names.index(n) not in at}
    return tuple(at.get(i, a) for i, a in enumerate(args)), {**kwargs, **named}


def _light(operation: Operation) -> Operation:
    """The operation without its tensors."""
    args = [None if isinstance(a, torch.Tensor) else a for a in operation.args]
    kwargs = {k: None if isinstance(a, torch.Tensor) else a for k, a in operation.kwargs.items()}
    return Operation(operation.index, operation.function, args, kwargs)


def _ratio(measure: Measure) -> float:
    """The error in units of what is allowed."""
    if not measure.max_abs:
        return 0.0
    return measure.max_abs / measure.limit if measure.limit else float("inf")


def _error(found: Sequence[Found]) -> float:
    return max((_ratio(f.measure) for f in found), default=float("inf"))


def _fits(wanted: torch.Tensor, given: torch.Tensor) -> Iterator[tuple[str, str, torch.Tensor]]:
    """(cause, words, the value fitted): one factor, then a factor or an addend for each channel.

    Only where there are four times as many values as numbers that are fitted.
    """
    power = float((given.double() * given.double()).sum())
    if given.numel() >= 4 and power > 0:
        factor = float((given.double() * wanted.double()).sum()) / power
        yield "scale", f"a factor of {factor:.6g}", given * factor
        addend = float((wanted.double() - given.double()).mean())
        yield "bias", f"{addend:.6g} added", given + addend
    if given.ndim < 2:
        return
    for channel in dict.fromkeys((1, given.ndim - 1)):
        axes = tuple(i for i in range(given.ndim) if i != channel)
        if given.numel() < 4 * given.shape[channel]:
            continue
        addends = (wanted.double() - given.double()).mean(axes, keepdim=True)
        yield "bias", f"an addend for each channel (axis {channel}): a bias", given + addends.to(given.dtype)
        squares = (given.double() ** 2).sum(axes, keepdim=True)
        factors = (given.double() * wanted.double()).sum(axes, keepdim=True) / squares.clamp_min(1e-300)
        yield "scale", f"a factor for each channel (axis {channel}): a scale", given * factors.to(given.dtype)
