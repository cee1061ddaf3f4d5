"""Every torch operation of a forward pass, in order: seen, named, and changed where a trial asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

SILENT = frozenset(
    ("__set__", "size", "dim", "stride", "numel", "is_floating_point", "is_complex", "__len__", "item",
     "__bool__", "__int__", "__float__", "__index__", "is_contiguous", "ndimension", "element_size", "data_ptr",
     "get_device", "requires_grad_", "storage_offset", "__repr__", "__format__", "tolist", "__hash__", "_is_view")
)  # fmt: skip
"""Functions that make no tensor worth a look."""

PARAMETERS: dict[str, tuple[str, ...]] = {
    "conv1d": ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    "conv_transpose1d": ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation"),
    "linear": ("input", "weight", "bias"),
    "batch_norm": ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps"),
    "layer_norm": ("input", "normalized_shape", "weight", "bias", "eps"),
    "group_norm": ("input", "num_groups", "weight", "bias", "eps"),
    "rms_norm": ("input", "normalized_shape", "weight", "eps"),
    "normalize": ("input", "p", "dim", "eps", "out"),
    "softmax": ("input", "dim", "dtype"),
    "log_softmax": ("input", "dim", "dtype"),
    "leaky_relu": ("input", "negative_slope", "inplace"),
    "elu": ("input", "alpha", "inplace"),
    "gelu": ("input",),
    "pad": ("input", "pad", "mode", "value"),
    "max_pool1d": ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"),
    "avg_pool1d": ("input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"),
    "dropout": ("input", "p", "training", "inplace"),
    "embedding": ("input", "weight", "padding_idx", "max_norm", "norm_type", "scale_grad_by_freq", "sparse"),
    "interpolate": ("input", "size", "scale_factor", "mode", "align_corners", "recompute_scale_factor", "antialias"),
    "lstm": ("input", "hx", "params", "has_biases", "num_layers", "dropout", "train", "bidirectional", "batch_first"),
    "cat": ("tensors", "dim"),
    "flatten": ("input", "start_dim", "end_dim"),
    "mean": ("input", "dim", "keepdim"),
    "var": ("input", "dim"),
    "scaled_dot_product_attention": ("query", "key", "value", "attn_mask", "dropout_p", "is_causal"),
    "multi_head_attention_forward": (
        "query", "key", "value", "embed_dim_to_check", "num_heads", "in_proj_weight", "in_proj_bias", "bias_k", "bias_v",
        "add_zero_attn", "dropout_p", "out_proj_weight", "out_proj_bias", "training", "key_padding_mask", "need_weights",
        "attn_mask", "use_separate_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight", "static_k", "static_v",
        "average_attn_weights", "is_causal",
    ),
    "masked_fill": ("input", "mask", "value"),
    "pixel_shuffle": ("input", "upscale_factor"),
}  # fmt: skip
"""Names of positional parameters, by the first of the functions that share them."""

SAME = {
    "conv2d": "conv1d", "conv3d": "conv1d", "conv_transpose2d": "conv_transpose1d",
    "conv_transpose3d": "conv_transpose1d", "max_pool2d": "max_pool1d", "max_pool3d": "max_pool1d",
    "avg_pool2d": "avg_pool1d", "gru": "lstm", "rnn_tanh": "lstm", "rnn_relu": "lstm", "concat": "cat",
    "concatenate": "cat", "sum": "mean", "amax": "mean", "amin": "mean", "max": "mean", "std": "var",
    "dropout1d": "dropout", "dropout2d": "dropout", "dropout3d": "dropout", "alpha_dropout": "dropout",
    "feature_dropout": "dropout", "argmax": "mean", "logsumexp": "mean", "stack": "cat",
}  # fmt: skip


class Operation:
    """One call of a torch function."""

    def __init__(
        self, index: int, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        self.index, self.function, self.args, self.kwargs = index, function, tuple(args), dict(kwargs)
        name = getattr(function, "__name__", "")
        self.name = name[1:] if name.startswith("_") and not name.startswith("__") else name
        if self.name.endswith("_") and not self.name.endswith("__"):
            self.name = self.name[:-1]
        self.name = self.name.strip("_") if self.name.startswith("__") else self.name
        self.parameters = PARAMETERS.get(SAME.get(self.name, self.name), ())

    def get(self, name: str, default: Any = None) -> Any:
        """An argument by name, however it was passed."""
        if name in self.kwargs:
            return self.kwargs[name]
        at = self.parameters.index(name) if name in self.parameters else len(self.args)
        return self.args[at] if at < len(self.args) else default

    @property
    def first(self) -> Any:
        """The first argument."""
        return self.args[0] if self.args else next(iter(self.kwargs.values()), None)

    def changed(self, **changed: Any) -> Operation:
        """The same call with some arguments changed, not made yet."""
        args, kwargs = list(self.args), dict(self.kwargs)
        for name, value in changed.items():
            at = self.parameters.index(name) if name in self.parameters else len(args)
            if at < len(args):
                args[at] = value
            else:
                kwargs[name] = value
        return Operation(self.index, self.function, args, kwargs)

    def again(self, **changed: Any) -> Any:
        """The same call with some arguments changed."""
        made = self.changed(**changed)
        return made.function(*made.args, **made.kwargs)

    def on(self, *args: Any) -> Any:
        """The same call with its first arguments replaced."""
        if len(self.args) >= len(args):
            return self.function(*args, *self.args[len(args) :], **self.kwargs)
        names = list(self.kwargs)[: len(args)]
        return self.function(**{**self.kwargs, **dict(zip(names, args, strict=True))})


def tensors_of(x: Any) -> Iterator[torch.Tensor]:
    """The tensors in nested arguments."""
    if isinstance(x, torch.Tensor):
        yield x
    elif isinstance(x, (tuple, list)):
        for part in x:
            yield from tensors_of(part)
    elif isinstance(x, dict):
        for part in x.values():
            yield from tensors_of(part)


def exchanged(x: Any, swaps: Mapping[int, torch.Tensor]) -> Any:
    """Nested arguments with some tensors, known by `id`, replaced."""
    if isinstance(x, torch.Tensor):
        return swaps.get(id(x), x)
    if type(x) in (tuple, list):
        return type(x)(exchanged(part, swaps) for part in x)
    return x


class Taps(TorchFunctionMode):
    """Calls `see(operation, result)` for every torch function that makes a tensor, in the order of the calls.

    `patches` maps an operation's number to a function that computes its result instead; `swaps` replaces
    tensors (weights) wherever they are an argument. Statistics that a normalisation in training mode would
    move are kept as they are.
    """

    def __init__(self, see: Callable[[Operation, Any], None]) -> None:
        super().__init__()
        self.see = see
        self.count = 0
        self.patches: Mapping[int, Callable[[Operation], Any]] = {}
        self.swaps: Mapping[int, torch.Tensor] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in SILENT:
            return func(*args, **kwargs)
        if getattr(func, "__name__", "") == "__get__" and not isinstance(func(*args), torch.Tensor):
            return func(*args)  # a shape or a dtype; `weight.T` is an operation
        if self.swaps:
            args = tuple(exchanged(a, self.swaps) for a in args)
            kwargs = {name: exchanged(a, self.swaps) for name, a in kwargs.items()}
        operation = Operation(self.count, func, args, kwargs)
        self.count += 1
        patch = self.patches.get(operation.index)
        kept = self._statistics(operation)
        result = patch(operation) if patch is not None else func(*args, **kwargs)
        for tensor, value in kept:
            tensor.copy_(value)
        if operation.name == "setitem":
            self.see(operation, args[0])
        elif isinstance(result, (torch.Tensor, tuple, list)):
            self.see(operation, result)
        return result

    @staticmethod
    def _statistics(operation: Operation) -> list[tuple[torch.Tensor, torch.Tensor]]:
        if operation.name not in ("batch_norm", "instance_norm"):
            return []
        moved = [operation.get("running_mean"), operation.get("running_var")]
        return [(t, t.clone()) for t in moved if isinstance(t, torch.Tensor)]
