"""tf.GradientTape, tf.gradients, tf.custom_gradient: torch's autograd with TensorFlow's meaning."""

from __future__ import annotations

import contextlib
import functools
import warnings
import weakref
from collections.abc import Iterator
from typing import Any

import torch

from tfport.compat import autograd_graph, differentiation
from tfport.compat.differentiation import NONE, differentiable, differentiate, fill_unconnected
from tfport.compat.structure import flatten, pack_sequence_as
from tfport.rule import rule

CONSTANTS = {"tf.UnconnectedGradients.NONE": "none", "tf.UnconnectedGradients.ZERO": "zero"}

_RECORDING: list[GradientTape] = []


@rule("tf.GradientTape", "tf.autodiff.GradientTape", pure=False, proved_by="tests/compat/test_tape.py")
class GradientTape:
    """Record what happens inside ``with``, then ask for gradients. None stands for "not connected".

    torch records all the time; the tape keeps TensorFlow's meaning: an operation outside the ``with`` is
    not recorded, so a tensor made before it is a constant (a target network, an old value), and gradients
    are new tensors that do not add up in ``.grad``. ``watch(x)`` makes a plain tensor require gradients
    until the tape is used up. Gradients computed while another tape records are themselves differentiable.
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self._persistent = persistent
        self._automatic = watch_accessed_variables
        self._spent = False
        self._recording = False
        self._intervals: list[tuple[int, float]] = []
        self._watched: dict[int, torch.Tensor] = {}
        self._lent: list[torch.Tensor] = []
        self._beside: weakref.WeakSet[GradientTape] = weakref.WeakSet()
        self._modes: list[Any] = []

    def __enter__(self) -> GradientTape:
        self._start()
        mode = torch.enable_grad()
        mode.__enter__()
        self._modes.append(mode)
        return self

    def __exit__(self, *error: Any) -> None:
        self._modes.pop().__exit__(*error)
        if self._recording:
            self._stop()

    def __del__(self) -> None:
        self._give_back()

    def _start(self) -> None:
        if self._recording:
            raise ValueError("the tape records already")
        for other in _RECORDING:
            self._beside.add(other)
            other._beside.add(self)
        _RECORDING.append(self)
        self._recording = True
        self._intervals.append((autograd_graph.now(), float("inf")))

    def _stop(self) -> None:
        _RECORDING.remove(self)
        self._recording = False
        self._intervals[-1] = (self._intervals[-1][0], autograd_graph.now())

    def _recorded(self, node: Any) -> bool:
        number = node._sequence_nr()
        return any(start <= number < end for start, end in self._intervals)

    def watch(self, tensor: Any) -> None:
        """Watch a tensor, or all in a nested structure; only floating and complex ones can have gradients."""
        for t in flatten(tensor):
            if not isinstance(t, torch.Tensor):
                raise TypeError(f"a tape watches tensors, not {type(t).__name__}")
            if not differentiable(t):
                warnings.warn(f"a watched tensor must be floating, not {t.dtype}", stacklevel=2)
                continue
            self._watched[id(t)] = t
            tapes = getattr(t, "_tfport_watchers", 0)
            if tapes or not t.requires_grad:
                t._tfport_watchers = tapes + 1  # type: ignore[attr-defined]
                t.requires_grad_()
                self._lent.append(t)

    def _give_back(self) -> None:
        """What was watched requires no gradient any more, once no tape needs it."""
        while self._lent:
            t = self._lent.pop()
            t._tfport_watchers -= 1  # type: ignore[attr-defined]
            if not t._tfport_watchers and t.is_leaf:  # type: ignore[attr-defined]
                t.requires_grad_(False)

    @contextlib.contextmanager
    def stop_recording(self) -> Iterator[None]:
        """Inside this ``with`` the tape records nothing; other tapes do."""
        if not self._recording:
            raise RuntimeError("the tape does not record")
        self._stop()
        try:
            yield
        finally:
            self._start()

    def reset(self) -> None:
        """Forget what was recorded and what is watched."""
        if not self._recording:
            raise ValueError("the tape does not record")
        self._stop()
        self._give_back()
        self._intervals, self._watched = [], {}
        self._start()

    def watched_variables(self) -> tuple[torch.Tensor, ...]:
        """Not known here: torch does not tell which variables were read."""
        raise NotImplementedError(
            "torch does not tell which variables were read: pass model.parameters() instead"
        )

    def gradient(self, target: Any, sources: Any, output_gradients: Any = None,
                 unconnected_gradients: str = NONE) -> Any:  # fmt: skip
        """Gradients of the sum of ``target`` with respect to ``sources``, in the structure of ``sources``.

        Raises RuntimeError at a second call, unless the tape is persistent.
        """
        self._check()
        if target is None:
            raise TypeError("the target is a tensor or a structure of tensors, not None")
        seeds = None if output_gradients is None else flatten(output_gradients)
        flat = flatten(sources)
        grads = self._differentiate(flatten(target), flat, seeds)
        return pack_sequence_as(sources, fill_unconnected(grads, flat, unconnected_gradients))

    def jacobian(self, target: torch.Tensor, sources: Any, unconnected_gradients: str = NONE,
                 parallel_iterations: int | None = None,
                 experimental_use_pfor: bool = True) -> Any:  # fmt: skip
        """d target / d source, of shape ``target.shape + source.shape``, for each source.

        ``experimental_use_pfor`` computes all rows at once by torch's vmap; False makes one pass per element.
        """
        self._check()
        flat = flatten(sources)
        seeds = torch.eye(target.numel(), dtype=target.dtype, device=target.device).reshape(-1, *target.shape)
        rows = self._rows(target, flat, seeds, experimental_use_pfor)
        grads = [
            None if g is None else g.reshape(*target.shape, *s.shape) for g, s in zip(rows, flat, strict=True)
        ]
        return pack_sequence_as(sources, fill_unconnected(grads, flat, unconnected_gradients, target.shape))

    def batch_jacobian(self, target: torch.Tensor, source: torch.Tensor, unconnected_gradients: str = NONE,
                       parallel_iterations: int | None = None,
                       experimental_use_pfor: bool = True) -> torch.Tensor:  # fmt: skip
        """The Jacobian of each row: [b, ...] by [b, ...] gives ``target.shape + source.shape[1:]``.

        Rows do not mix.
        """
        self._check()
        if target.ndim < 2 or source.ndim < 2 or target.shape[0] != source.shape[0]:
            raise ValueError(
                f"first axes must agree: target {tuple(target.shape)}, source {tuple(source.shape)}"
            )
        size = target[0].numel()
        eye = torch.eye(size, dtype=target.dtype, device=target.device)
        seeds = eye.reshape(size, 1, *target.shape[1:]).expand(size, *target.shape).contiguous()
        (rows,) = self._rows(target, [source], seeds, experimental_use_pfor)
        if rows is None:
            return target.new_zeros((*target.shape, *source.shape[1:]))
        return rows.movedim(0, 1).reshape(*target.shape, *source.shape[1:])

    def _check(self) -> None:
        if self._spent:
            raise RuntimeError("a tape that is not persistent computes one set of gradients (or Jacobians)")

    def _rows(self, target: torch.Tensor, sources: list[Any], seeds: torch.Tensor,
              at_once: bool) -> list[Any]:  # fmt: skip
        """Gradients for each seed (first axis), stacked."""
        if at_once:
            return self._differentiate([target], sources, [seeds], batched=True)
        if not self._persistent:
            raise RuntimeError("without experimental_use_pfor the tape must be persistent")
        rows = [self._differentiate([target], sources, [seed]) for seed in seeds]
        return [None if column[0] is None else torch.stack(column) for column in zip(*rows, strict=True)]

    def _differentiate(self, targets: list[Any], sources: list[Any], seeds: Any,
                       batched: bool = False) -> list[Any]:  # fmt: skip
        if self._recording and not self._persistent:
            self._stop()
        again = bool(_RECORDING)
        others = any(not tape._spent for tape in self._beside)
        with torch.autograd.set_multithreading_enabled(not again):  # operations are numbered per thread
            retain = self._persistent or again or others
            grads = differentiate(
                targets, sources, seeds, self._recorded, self._watches, again, retain, batched=batched
            )
        if not self._persistent:
            self._spent = True
            self._give_back()
        return grads

    def _watches(self, source: torch.Tensor) -> bool:
        """Whether a source counts that the tape did not see made: watched, or a variable."""
        variable = source.is_leaf and not getattr(source, "_tfport_watchers", 0)
        return id(source) in self._watched or (self._automatic and variable)


@rule("tf.gradients", pure=False, proved_by="tests/compat/test_tape.py")
def gradients(ys, xs, grad_ys=None, name="gradients", colocate_gradients_with_ops=False, gate_gradients=False,
              aggregation_method=None, stop_gradients=None, unconnected_gradients="none"):  # fmt: skip
    """The gradients of the sum of ``ys`` by each of ``xs``, a list; they can be differentiated again.

    ``stop_gradients`` are constants. torch.autograd.grad is the same for a single number ``ys``, but raises
    for what is not connected, where TensorFlow gives None.
    """
    return _gradients(ys, xs, grad_ys, stop_gradients, unconnected_gradients)


def _gradients(ys, xs, grad_ys, stop_gradients, unconnected):
    sources = flatten(xs)
    stops = {autograd_graph.node_of(t) for t in flatten(stop_gradients) if isinstance(t, torch.Tensor)}
    seeds = None if grad_ys is None else flatten(grad_ys)
    grads = differentiate(flatten(ys), sources, seeds, lambda node: node not in stops, create_graph=True)
    return fill_unconnected(grads, sources, unconnected)


@rule("tf.custom_gradient", pure=False, proved_by="tests/compat/test_tape.py")
def custom_gradient(f):
    """A decorator: ``f`` returns (value, gradient function), the latter from upstream to the arguments.

    If ``f`` reads variables, the gradient function takes ``variables`` and returns (gradients, gradients of
    variables).
    """
    return _custom_gradient(f)


def _custom_gradient(f):
    @functools.wraps(f)
    def call(*args, **kwargs):
        return differentiation.with_gradient(f, args, kwargs)

    return call
