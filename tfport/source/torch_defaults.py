"""Keyword arguments that say what torch does anyway, so that converted code need not.

Keys are the keyword; values are the default with the beginnings of the functions that have it ("" for all). The
proofs run every rule as converted source, so a wrong line here fails them.
"""

from __future__ import annotations

from typing import Any

_CONVOLUTIONS = (
    "F.conv",
    "nn.Conv",
    "nn.LazyConv",
    "modules.SameConv",
    "modules.CausalConv",
    "modules.CutConv",
)
_RECURRENT = ("modules.LSTM", "modules.GRU", "modules.SimpleRNN", "modules.RNN")
DEFAULTS: dict[str, list[tuple[Any, tuple[str, ...]]]] = {
    "dim": [(None, ("torch.sum", "torch.mean", "torch.amax", "torch.amin", "torch.var", "torch.std", "torch.argmax",
                    "torch.argmin", "torch.all", "torch.any", "torch.squeeze", "torch.linalg", "torch.prod")),
            (0, ("torch.cat", "torch.stack", "torch.unbind", "torch.split", "torch.chunk"))],
    "keepdim": [(False, ("",))],
    "dtype": [(None, ("",))],
    "device": [(None, ("",))],
    "bias": [(True, (*_CONVOLUTIONS, "nn.Linear", "nn.LazyLinear", "nn.LayerNorm", "nn.LSTM", "nn.GRU", "nn.RNN",
                     "modules.")), (None, ("F.",))],
    "activation": [("tanh", _RECURRENT)],
    "recurrent_activation": [("sigmoid", _RECURRENT)],
    "dropout": [(0.0, ("modules.",))],
    "recurrent_dropout": [(0.0, _RECURRENT)],
    "return_sequences": [(False, _RECURRENT)],
    "return_state": [(False, _RECURRENT)],
    "go_backwards": [(False, _RECURRENT)],
    "stateful": [(False, _RECURRENT)],
    "reset_after": [(True, _RECURRENT)],
    "gate": [(False, ("modules.",))],
    "sliding_window": [(None, ("modules.",))],
    "value_dim": [(None, ("modules.",))],
    "output": [(None, ("modules.",))],
    "scale": [(True, ("modules.",))],
    "center": [(True, ("modules.",))],
    "stride": [(1, _CONVOLUTIONS), ((1, 1), _CONVOLUTIONS), ((1,), _CONVOLUTIONS), ((1, 1, 1), _CONVOLUTIONS),
               (None, ("F.max_pool", "F.avg_pool", "nn.MaxPool", "nn.AvgPool"))],
    "padding": [(0, (*_CONVOLUTIONS, "F.max_pool", "F.avg_pool", "nn.MaxPool", "nn.AvgPool"))],
    "dilation": [(1, _CONVOLUTIONS), ((1, 1), _CONVOLUTIONS), ((1,), _CONVOLUTIONS), ((1, 1, 1), _CONVOLUTIONS)],
    "same": [(True, ("modules.CutConv",))],
    "extra": [(None, ("modules.CutConv",))],
    "groups": [(1, _CONVOLUTIONS)],
    "descending": [(False, ("",))],
    "approximate": [("none", ("F.gelu", "nn.GELU"))],
    "reduction": [("mean", ("F.", "nn."))],
    "antialias": [(False, ("F.interpolate",))],
    "affine": [(True, ("nn.BatchNorm", "nn.GroupNorm", "nn.LazyBatchNorm"))],
    "start_dim": [(1, ("nn.Flatten",)), (0, ("torch.flatten",))],
    "largest": [(True, ("torch.topk",))],
    "sorted": [(True, ("torch.topk",))],
    "alpha": [(1.0, ("F.elu", "nn.ELU"))],
}  # fmt: skip


def is_default(function: str, keyword: str, value: Any) -> bool:
    """Whether torch's ``function`` has ``value`` as its default for ``keyword``."""
    for default, beginnings in DEFAULTS.get(keyword, ()):
        if type(default) is type(value) and default == value and function.startswith(beginnings):
            return True
    return False
