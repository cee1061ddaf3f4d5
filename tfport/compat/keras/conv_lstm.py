"""Keras' convolutional LSTMs: (N, T, spatial..., C) in, gates i, f, g, o of convolutions."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from tfport.compat.keras import activation as activations
from tfport.compat.keras.recurrent import Outputs, scan
from tfport.compat.keras.windows import pad_same
from tfport.layers.arguments import many

CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


class ConvLSTM(Outputs):
    """tf.keras.layers.ConvLSTM1D, 2D and 3D by ``rank``; values and states are in TensorFlow's order.

    ``weight_ih`` and ``weight_hh`` are [4 * filters, channels, kernel...]; the recurrent convolution pads to its input's
    size. Dropout draws a mask of the value's size for each gate, kept for the whole sequence.
    """

    bias_ih: torch.Tensor | None

    def __init__(self, rank: int, channels: int, filters: int, kernel_size: Any, *, stride: Any = 1,
                 padding: str = "valid", dilation: Any = 1, activation: Any = "tanh",
                 recurrent_activation: Any = "sigmoid", bias: bool = True, dropout: float = 0.0,
                 recurrent_dropout: float = 0.0, **options: Any) -> None:  # fmt: skip
        super().__init__()
        self.rank, self.filters, self.padding = rank, filters, padding
        self.kernel_size, self.stride = many(kernel_size, rank), many(stride, rank)
        self.dilation = many(dilation, rank)
        self.activation, self.recurrent_activation = (
            activations.get(activation),
            activations.get(recurrent_activation),
        )
        self.dropout, self.recurrent_dropout = dropout, recurrent_dropout
        self.weight_ih = nn.Parameter(torch.empty(4 * filters, channels, *self.kernel_size))
        self.weight_hh = nn.Parameter(torch.empty(4 * filters, filters, *self.kernel_size))
        for weight in (self.weight_ih, self.weight_hh):
            nn.init.xavier_uniform_(weight)
        self.register_parameter("bias_ih", nn.Parameter(torch.zeros(4 * filters)) if bias else None)
        self.options(**options)

    def forward(
        self, sequence: torch.Tensor, initial_state: Any = None, mask: torch.Tensor | None = None
    ) -> Any:
        """(N, T, spatial..., C) to (N, spatial..., filters), or with all steps."""
        x = sequence.movedim(-1, 2)
        drops, recurrent = self._masks(x)
        projected = self._project(x, drops)
        start = self.started(initial_state, list)
        if start:
            start = [s.movedim(-1, 1) for s in start]
        else:
            start = [x.new_zeros(x.shape[0], self.filters, *projected.shape[3:]) for _ in range(2)]

        def step(t: int, states: Any) -> tuple[torch.Tensor, Any]:
            h, c = states
            gates = projected[:, t] + self._recurrent(h, recurrent)
            i, f, g, o = gates.chunk(4, dim=1)
            gate = self.recurrent_activation
            c = gate(f) * c + gate(i) * self.activation(g)
            h = gate(o) * self.activation(c)
            return h, [h, c]

        outputs, states = scan(step, x.shape[1], start, mask, self.go_backwards, self.zero_output_for_mask)
        return self.returned(outputs.movedim(2, -1), [s.movedim(1, -1) for s in states])

    def _masks(self, x: torch.Tensor) -> tuple[list[torch.Tensor], Any]:
        if not self.training:
            return [], []
        ones = torch.ones_like(x[:, 0])
        drops = [F.dropout(ones, self.dropout) for _ in range(4)] if self.dropout else []
        return drops, [None] * 4 if self.recurrent_dropout else []

    def _project(self, x: torch.Tensor, drops: list[torch.Tensor]) -> torch.Tensor:
        """The input's part of all gates for all steps: (N, T, 4 * filters, spatial...)."""
        flat = x.flatten(0, 1)
        weights = self.weight_ih.chunk(4) if drops else [self.weight_ih]
        values = [(x * m.unsqueeze(1)).flatten(0, 1) for m in drops] if drops else [flat]
        made = torch.cat(
            [self._conv(v, w, self.stride, self.dilation, self.padding) for v, w in zip(values, weights)], 1
        )
        if self.bias_ih is not None:
            made = made + self.bias_ih.reshape(-1, *(1,) * self.rank)
        return made.unflatten(0, x.shape[:2])

    def _recurrent(self, h: torch.Tensor, masks: list[Any]) -> torch.Tensor:
        one = (1,) * self.rank
        if not masks:
            return self._conv(h, self.weight_hh, one, one, "same")
        for place in range(4):
            if masks[place] is None:
                masks[place] = F.dropout(torch.ones_like(h), self.recurrent_dropout)
        parts = [self._conv(h * m, w, one, one, "same") for m, w in zip(masks, self.weight_hh.chunk(4))]
        return torch.cat(parts, dim=1)

    def _conv(
        self, x: torch.Tensor, weight: torch.Tensor, stride: Any, dilation: Any, padding: str
    ) -> torch.Tensor:
        if padding == "same":
            x = pad_same(x, self.kernel_size, stride, dilation)
        return CONVOLUTIONS[self.rank](x, weight, None, stride, 0, dilation)
