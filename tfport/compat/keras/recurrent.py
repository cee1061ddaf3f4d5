"""Keras' recurrent layers: (N, T, features) in, the last output or all outputs out, masks and states as Keras has them.

The parameters are named and laid out as those of ``nn.LSTM``, ``nn.GRU`` and ``nn.RNN``, whose kernels compute whatever
they can; other activations, masks, recurrent dropout and the GRU that resets before the product run step by step.
At a masked step states are kept, and the output is the one before it (zeros with ``zero_output_for_mask``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from tfport.compat.keras.cells import Drops, GRUStep, LSTMStep, SimpleStep, States, Step, fixed_bias


def scan(
    step: Callable[[int, Any], tuple[torch.Tensor, Any]],
    length: int,
    states: Any,
    mask: torch.Tensor | None,
    go_backwards: bool,
    zero_output: bool,
) -> tuple[torch.Tensor, Any]:
    """All outputs (N, T, ...) in the order of the steps, and the last states (nested lists)."""
    outputs: list[torch.Tensor] = []
    for t in reversed(range(length)) if go_backwards else range(length):
        made, new = step(t, states)
        if mask is not None:
            keep = mask[:, t].bool()
            before = torch.zeros_like(made) if zero_output or not outputs else outputs[-1]
            made, new = _chosen(keep, made, before), _chosen(keep, new, states)
        outputs.append(made)
        states = new
    return torch.stack(outputs, dim=1), states


def _chosen(keep: torch.Tensor, new: Any, old: Any) -> Any:
    if isinstance(new, list | tuple):
        return [_chosen(keep, a, b) for a, b in zip(new, old, strict=True)]
    return torch.where(keep.reshape(keep.shape[0], *(1,) * (new.dim() - 1)), new, old)


class Outputs(nn.Module):
    """What all recurrent layers return, and the states that ``stateful`` keeps from call to call."""

    return_sequences = return_state = go_backwards = stateful = zero_output_for_mask = False

    def options(self, return_sequences: bool = False, return_state: bool = False, go_backwards: bool = False,
                stateful: bool = False, zero_output_for_mask: bool = False) -> None:  # fmt: skip
        """Keras' arguments that every recurrent layer has."""
        self.return_sequences, self.return_state = return_sequences, return_state
        self.go_backwards, self.stateful = go_backwards, stateful
        self.zero_output_for_mask = zero_output_for_mask
        self.kept: Any = None

    def reset_states(self, states: Any = None) -> None:
        """Forget the states of a ``stateful`` layer, or set them."""
        self.kept = states

    def started(self, given: Any, zeros: Callable[[], Any]) -> Any:
        """The states that a call starts from."""
        if given is None and self.stateful and self.kept is not None:
            return self.kept
        if given is None:
            return zeros()
        return list(given) if isinstance(given, list | tuple) else [given]

    def returned(self, outputs: torch.Tensor, states: Any) -> Any:
        """Keras' result of all outputs and the last states."""
        if self.stateful:
            self.kept = _detached(states)
        result = outputs if self.return_sequences else outputs[:, -1]
        return (result, *states) if self.return_state else result


def _detached(states: Any) -> Any:
    return [_detached(s) for s in states] if isinstance(states, list | tuple) else states.detach()


class _Recurrent(Step, Outputs):
    """A layer of one kind of cell; ``native`` is whether torch's kernel has its activations."""

    weight_ih_l0: torch.Tensor
    weight_hh_l0: torch.Tensor
    native = True

    def weights(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        biases = (getattr(self, f"bias_{name}_l0", None) for name in ("ih", "hh"))
        return self.weight_ih_l0, self.weight_hh_l0, *biases  # type: ignore[return-value]

    def extra_repr(self) -> str:
        words = [f"{self.weight_ih_l0.shape[1]}, {self.hidden_size}"]
        for name in ("return_sequences", "return_state", "go_backwards", "stateful"):
            words += [f"{name}=True"] if getattr(self, name) else []
        return ", ".join(words)

    def forward(  # type: ignore[override]
        self, sequence: torch.Tensor, initial_state: Any = None, mask: torch.Tensor | None = None
    ) -> Any:
        states = self.started(initial_state, lambda: self.initial(sequence))
        drops = self.drops(sequence)
        if mask is None and self.native and not drops.states:
            return self.returned(*self._native(sequence, states, drops))
        projected = self.project(sequence, drops)
        outputs, states = scan(lambda t, s: self.step(projected[:, t], s, drops), sequence.shape[1], states, mask,
                               self.go_backwards, self.zero_output_for_mask)  # fmt: skip
        return self.returned(outputs, states)

    def _native(self, sequence: torch.Tensor, states: States, drops: Drops) -> tuple[torch.Tensor, States]:
        """torch's own kernel."""
        for mask in drops.inputs:
            sequence = sequence * mask.unsqueeze(1)
        if self.go_backwards:
            sequence = sequence.flip(1)
        start = [s.unsqueeze(0).contiguous() for s in states]
        outputs, last = self.kernel(sequence, tuple(start) if self.states > 1 else start[0])
        return outputs, [s.squeeze(0) for s in (last if self.states > 1 else [last])]

    def kernel(self, sequence: torch.Tensor, states: Any) -> Any:
        """torch's forward."""
        raise NotImplementedError


class LSTM(LSTMStep, _Recurrent, nn.LSTM):  # type: ignore[misc]
    """tf.keras.layers.LSTM on (N, T, features)."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, *, activation: Any = "tanh",
                 recurrent_activation: Any = "sigmoid", dropout: float = 0.0, recurrent_dropout: float = 0.0,
                 **options: Any) -> None:  # fmt: skip
        nn.LSTM.__init__(self, input_size, hidden_size, bias=bias, batch_first=True)
        self.configure(activation, recurrent_activation, dropout, recurrent_dropout)
        self.options(**options)
        self.native = (activation, recurrent_activation) == ("tanh", "sigmoid")
        fixed_bias(self, "bias_hh_l0")

    forward = _Recurrent.forward  # type: ignore[assignment]
    extra_repr = _Recurrent.extra_repr

    def kernel(self, sequence: torch.Tensor, states: Any) -> Any:
        return nn.LSTM.forward(self, sequence, states)


class GRU(GRUStep, _Recurrent, nn.GRU):  # type: ignore[misc]
    """tf.keras.layers.GRU on (N, T, features); ``reset_after=False`` is the form that torch does not have."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, *, activation: Any = "tanh",
                 recurrent_activation: Any = "sigmoid", dropout: float = 0.0, recurrent_dropout: float = 0.0,
                 reset_after: bool = True, **options: Any) -> None:  # fmt: skip
        nn.GRU.__init__(self, input_size, hidden_size, bias=bias, batch_first=True)
        self.configure(activation, recurrent_activation, dropout, recurrent_dropout)
        self.options(**options)
        self.reset_after = reset_after
        self.native = reset_after and (activation, recurrent_activation) == ("tanh", "sigmoid")
        if bias and not reset_after:
            self._parameters["bias_hh_l0"] = None

    forward = _Recurrent.forward  # type: ignore[assignment]
    extra_repr = _Recurrent.extra_repr

    def kernel(self, sequence: torch.Tensor, states: Any) -> Any:
        return nn.GRU.forward(self, sequence, states)


class SimpleRNN(SimpleStep, _Recurrent, nn.RNN):  # type: ignore[misc]
    """tf.keras.layers.SimpleRNN on (N, T, features)."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, *, activation: Any = "tanh",
                 dropout: float = 0.0, recurrent_dropout: float = 0.0, **options: Any) -> None:  # fmt: skip
        kind = "relu" if activation == "relu" else "tanh"
        nn.RNN.__init__(self, input_size, hidden_size, nonlinearity=kind, bias=bias, batch_first=True)
        self.configure(activation, None, dropout, recurrent_dropout)
        self.options(**options)
        self.native = activation in ("tanh", "relu")
        fixed_bias(self, "bias_hh_l0")

    forward = _Recurrent.forward  # type: ignore[assignment]
    extra_repr = _Recurrent.extra_repr

    def kernel(self, sequence: torch.Tensor, states: Any) -> Any:
        return nn.RNN.forward(self, sequence, states)


class RNN(Outputs):
    """tf.keras.layers.RNN: any cell, or several one above the other, over (N, T, features).

    A cell is called with (N, features) and its states and returns an output and new states; ``state_size`` tells the
    sizes of its states, unless it has ``get_initial_state``.
    """

    def __init__(self, cells: Sequence[nn.Module], stacked: bool, **options: Any) -> None:
        super().__init__()
        self.cells = nn.ModuleList(cells)
        self.stacked = stacked
        self.options(**options)

    def forward(
        self, sequence: torch.Tensor, initial_state: Any = None, mask: torch.Tensor | None = None
    ) -> Any:
        states = self.started(initial_state, lambda: self._zeros(sequence))
        if not self.stacked:
            states = [states]
        drops = self._drops(sequence)

        def step(t: int, states: Any) -> tuple[torch.Tensor, Any]:
            value, made = sequence[:, t], []
            for cell, state, drop in zip(self.cells, states, drops, strict=True):
                value, new = _cell_step(cell, value, state, drop)
                made.append(new)
            return value, made

        outputs, states = scan(
            step, sequence.shape[1], states, mask, self.go_backwards, self.zero_output_for_mask
        )
        return self.returned(outputs, states if self.stacked else states[0])

    def _drops(self, sequence: torch.Tensor) -> list[Drops | None]:
        """One set of masks for each cell and call."""
        found: list[Drops | None] = []
        size = sequence.shape[-1]
        for cell in self.cells:
            found.append(
                cell.drops(sequence.new_zeros(sequence.shape[0], size)) if isinstance(cell, Step) else None
            )
            size = int(getattr(cell, "output_size", 0) or size)
        return found

    def _zeros(self, sequence: torch.Tensor) -> Any:
        made = [_zeros(cell, sequence) for cell in self.cells]
        return made if self.stacked else made[0]


def _cell_step(
    cell: nn.Module, value: torch.Tensor, state: Any, drops: Drops | None
) -> tuple[torch.Tensor, Any]:
    several = isinstance(state, list | tuple)
    if isinstance(cell, Step) and drops is not None:
        out, new = cell.step(cell.project(value, drops), list(state) if several else [state], drops)
    else:
        out, new = cell(value, list(state) if several else [state])
    new = list(new) if isinstance(new, list | tuple) else [new]
    return out, new if several else new[0]


def _zeros(cell: nn.Module, sequence: torch.Tensor) -> list[torch.Tensor]:
    if isinstance(cell, Step):
        return cell.initial(sequence)
    batch = sequence.shape[0]
    if hasattr(cell, "get_initial_state"):
        made = cell.get_initial_state(batch_size=batch)  # type: ignore[operator]
        return list(made) if isinstance(made, list | tuple) else [made]
    sizes: Any = cell.state_size
    listed = list(sizes) if isinstance(sizes, list | tuple) else [sizes]
    return [sequence.new_zeros(batch, *(n if isinstance(n, list | tuple) else (n,))) for n in listed]


class Bidirectional(nn.Module):
    """tf.keras.layers.Bidirectional: two layers over the sequence, one of them backwards, and their results merged.

    The backward layer's sequence is turned round, so that step t of both is step t of the input; of the last outputs the
    backward one has seen the whole sequence (the output at step 0).
    """

    def __init__(self, forward_layer: Any, backward_layer: Any, merge_mode: str | None = "concat") -> None:
        super().__init__()
        if merge_mode not in ("concat", "sum", "mul", "ave", None):
            raise ValueError(f"merge_mode is concat, sum, mul, ave or None, not {merge_mode!r}")
        if forward_layer.go_backwards == backward_layer.go_backwards:
            raise ValueError("one of the layers of Bidirectional must go backwards, and one must not")
        self.forward_layer, self.backward_layer, self.merge_mode = forward_layer, backward_layer, merge_mode
        for layer in (forward_layer, backward_layer):
            layer.zero_output_for_mask = layer.return_sequences

    def forward(
        self, sequences: torch.Tensor, initial_state: Any = None, mask: torch.Tensor | None = None
    ) -> Any:
        half = 0 if initial_state is None else len(initial_state) // 2
        one = self.forward_layer(sequences, initial_state[:half] if half else None, mask)
        two = self.backward_layer(sequences, initial_state[half:] if half else None, mask)
        states: tuple[torch.Tensor, ...] = ()
        if self.forward_layer.return_state:
            states = (*one[1:], *two[1:])
            one, two = one[0], two[0]
        if self.forward_layer.return_sequences:
            two = two.flip(1)
        merged = self._merged(one, two)
        if self.merge_mode is None:
            return (*merged, *states)
        return (merged, *states) if self.forward_layer.return_state else merged

    def _merged(self, one: torch.Tensor, two: torch.Tensor) -> Any:
        if self.merge_mode == "concat":
            return torch.cat([one, two], dim=-1)
        if self.merge_mode == "sum":
            return one + two
        if self.merge_mode == "ave":
            return (one + two) / 2
        return one * two if self.merge_mode == "mul" else (one, two)
