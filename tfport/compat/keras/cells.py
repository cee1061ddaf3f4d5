"""One step of Keras' recurrent layers, on weights in torch's order (gates i, f, g, o of an LSTM; r, z, n of a GRU).

Keras draws one dropout mask for a whole sequence; with ``recurrent_dropout`` each gate has masks of its own
(https://keras.io/api/layers/recurrent_layers/).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from tfport.compat.keras import activation as activations

States = list[torch.Tensor]


@dataclasses.dataclass
class Drops:
    """The dropout masks of one call: none, one for all gates, or one for each."""

    inputs: Sequence[torch.Tensor] = ()
    states: Sequence[torch.Tensor] = ()


class Step(nn.Module):
    """What a cell and a layer of the same kind share. ``gates`` is the number of blocks in a weight."""

    gates = 1
    states = 1
    implementation_of_gates = False  # one mask for each gate where recurrent_dropout is set
    hidden_size: int

    def configure(
        self, activation: Any, recurrent_activation: Any, dropout: float, recurrent_dropout: float
    ) -> None:
        """Keep the activations and the rates. Raises ValueError for an unknown activation."""
        self.activation_name, self.recurrent_activation_name = activation, recurrent_activation
        self.activation = activations.get(activation)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.input_dropout, self.recurrent_dropout = float(dropout), float(recurrent_dropout)

    def weights(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Input weight, recurrent weight and their biases."""
        raise NotImplementedError

    @property
    def state_size(self) -> int | list[int]:
        """Keras' description of the states."""
        return self.hidden_size if self.states == 1 else [self.hidden_size] * self.states

    @property
    def output_size(self) -> int:
        """The size of one output."""
        return self.hidden_size

    def initial(self, x: torch.Tensor) -> States:
        """Zeros for each state."""
        return [x.new_zeros(x.shape[0], self.hidden_size) for _ in range(self.states)]

    def drops(self, x: torch.Tensor) -> Drops:
        """Masks for a call on a batch like ``x`` (N, ..., features); nothing outside training."""
        if not self.training or not (self.input_dropout or self.recurrent_dropout):
            return Drops()
        count = self.gates if self.implementation_of_gates and self.recurrent_dropout else 1

        def masks(rate: float, size: int) -> list[torch.Tensor]:
            ones = x.new_ones(x.shape[0], size)
            return [F.dropout(ones, rate) for _ in range(count)] if rate else []

        return Drops(masks(self.input_dropout, x.shape[-1]), masks(self.recurrent_dropout, self.hidden_size))

    def project(self, x: torch.Tensor, drops: Drops) -> torch.Tensor:
        """The input's part of all gates: (N, features) or (N, T, features) to (..., gates * units)."""
        weight, _, bias, _ = self.weights()
        return self.product(x, weight, bias, drops.inputs)

    def product(
        self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, masks: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """``x @ weight.T + bias``, x under one mask or under one for each block of the weight."""
        shaped = [m.reshape(m.shape[0], *(1,) * (x.dim() - 2), m.shape[1]) for m in masks]
        if len(shaped) < 2:
            return F.linear(x * shaped[0] if shaped else x, weight, bias)
        made = torch.cat([F.linear(x * m, w) for m, w in zip(shaped, weight.chunk(len(shaped)))], dim=-1)
        return made if bias is None else made + bias

    def step(self, projected: torch.Tensor, states: States, drops: Drops) -> tuple[torch.Tensor, States]:
        """One step from the input's part and the states: output and new states."""
        raise NotImplementedError


class SimpleStep(Step):
    """SimpleRNN: ``h = activation(x W + h U + b)``."""

    def step(self, projected: torch.Tensor, states: States, drops: Drops) -> tuple[torch.Tensor, States]:
        _, weight, _, bias = self.weights()
        h = self.activation(projected + self.product(states[0], weight, bias, drops.states))
        return h, [h]


class LSTMStep(Step):
    """LSTM without peepholes."""

    gates, states, implementation_of_gates = 4, 2, True

    def step(self, projected: torch.Tensor, states: States, drops: Drops) -> tuple[torch.Tensor, States]:
        _, weight, _, bias = self.weights()
        i, f, g, o = (projected + self.product(states[0], weight, bias, drops.states)).chunk(4, dim=-1)
        gate = self.recurrent_activation
        c = gate(f) * states[1] + gate(i) * self.activation(g)
        h = gate(o) * self.activation(c)
        return h, [h, c]


class GRUStep(Step):
    """GRU; ``reset_after`` says whether the reset gate comes after the recurrent product (torch's form) or before."""

    gates, implementation_of_gates = 3, True
    reset_after = True

    def step(self, projected: torch.Tensor, states: States, drops: Drops) -> tuple[torch.Tensor, States]:
        _, weight, _, bias = self.weights()
        h, gate = states[0], self.recurrent_activation
        x_r, x_z, x_n = projected.chunk(3, dim=-1)
        if self.reset_after:
            h_r, h_z, h_n = self.product(h, weight, bias, drops.states).chunk(3, dim=-1)
            r, z = gate(x_r + h_r), gate(x_z + h_z)
            n = self.activation(x_n + r * h_n)
        else:
            w_r, w_z, w_n = weight.chunk(3)
            m_z, m_r, m_n = drops.states if drops.states else (None, None, None)
            r = gate(x_r + F.linear(h if m_r is None else h * m_r, w_r))
            z = gate(x_z + F.linear(h if m_z is None else h * m_z, w_z))
            n = self.activation(x_n + F.linear(r * (h if m_n is None else h * m_n), w_n))
        h = z * h + (1 - z) * n
        return h, [h]


class _Cell(Step):
    """A cell: ``cell(x, states)`` gives the output and the new states. Parameters are named as torch's cells name them."""

    weight_ih: torch.Tensor
    weight_hh: torch.Tensor
    bias_ih: torch.Tensor | None
    bias_hh: torch.Tensor | None

    def weights(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def forward(
        self, inputs: torch.Tensor, states: Any = None, training: Any = None
    ) -> tuple[torch.Tensor, Any]:
        several = isinstance(states, list | tuple)
        given = self.initial(inputs) if states is None else list(states) if several else [states]
        drops = self.drops(inputs)
        out, new = self.step(self.project(inputs, drops), given, drops)
        return out, new if several or states is None else new[0]

    def get_initial_state(self, batch_size: Any = None) -> States:
        """Zeros for a batch of this size."""
        return self.initial(self.weight_hh.new_zeros(int(batch_size), 1))


def fixed_bias(module: nn.Module, name: str) -> None:
    """Make torch's second bias a buffer of zeros: Keras has one bias, and two that train would count twice."""
    bias = module._parameters.get(name)
    if bias is not None:
        del module._parameters[name]
        module.register_buffer(name, torch.zeros_like(bias.detach()))
        if isinstance(module, nn.RNNBase):
            module._init_flat_weights()  # type: ignore[operator]


class SimpleRNNCell(SimpleStep, _Cell, nn.RNNCell):  # type: ignore[misc]
    """tf.keras.layers.SimpleRNNCell."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, *, activation: Any = "tanh",
                 dropout: float = 0.0, recurrent_dropout: float = 0.0) -> None:  # fmt: skip
        nn.RNNCell.__init__(self, input_size, hidden_size, bias=bias)
        self.configure(activation, None, dropout, recurrent_dropout)
        fixed_bias(self, "bias_hh")

    forward = _Cell.forward  # type: ignore[assignment]


class LSTMCell(LSTMStep, _Cell, nn.LSTMCell):  # type: ignore[misc]
    """tf.keras.layers.LSTMCell."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, *, activation: Any = "tanh",
                 recurrent_activation: Any = "sigmoid", dropout: float = 0.0,
                 recurrent_dropout: float = 0.0) -> None:  # fmt: skip
        nn.LSTMCell.__init__(self, input_size, hidden_size, bias=bias)
        self.configure(activation, recurrent_activation, dropout, recurrent_dropout)
        fixed_bias(self, "bias_hh")

    forward = _Cell.forward  # type: ignore[assignment]


class GRUCell(GRUStep, _Cell, nn.GRUCell):  # type: ignore[misc]
    """tf.keras.layers.GRUCell."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, *, activation: Any = "tanh",
                 recurrent_activation: Any = "sigmoid", dropout: float = 0.0, recurrent_dropout: float = 0.0,
                 reset_after: bool = True) -> None:  # fmt: skip
        nn.GRUCell.__init__(self, input_size, hidden_size, bias=bias)
        self.configure(activation, recurrent_activation, dropout, recurrent_dropout)
        self.reset_after = reset_after
        if bias and not reset_after:
            self._parameters["bias_hh"] = None

    forward = _Cell.forward  # type: ignore[assignment]
