"""What TensorFlow 1's recurrent cells share: variables under TensorFlow's names, states of zeros, loops over steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter, is_lazy

from tfport.compat import initial
from tfport.compat.arguments import to_tensor
from tfport.compat.dtypes import as_dtype
from tfport.compat.structure import flatten, pack_sequence_as

Shape = tuple[int | None, ...]
Fill = Callable[[list[int], torch.dtype], torch.Tensor]


def glorot_uniform(shape: list[int], dtype: torch.dtype) -> torch.Tensor:
    """What ``tf.get_variable`` draws by default."""
    return initial.variance_scaling(shape, dtype, None, 1.0, "fan_avg", "uniform")


class Variables(nn.Module):
    """The variables of one scope, with TensorFlow's names and layouts.

    ``shapes`` has None for the size that the input decides: parameters get their shapes at the first call, or from a
    checkpoint. ``initializers`` are called with a shape and a dtype. ``dtype`` None is that of the first input, and
    float32 for a checkpoint.
    """

    tensorflow_layout = True  # load_weights: names and axes are those of the checkpoint
    cls_to_become = None
    kernel: torch.Tensor
    bias: torch.Tensor

    def __init__(self, shapes: dict[str, Shape], initializers: dict[str, Fill], dtype: torch.dtype | None,
                 trainable: bool) -> None:  # fmt: skip
        super().__init__()
        self.shapes, self._fill, self._dtype = shapes, initializers, dtype
        for name in shapes:
            made: Any = UninitializedParameter(trainable, dtype=dtype or torch.float32)  # type: ignore[call-arg, arg-type]
            self.register_parameter(name, made)

    def build(self, rows: int, like: torch.Tensor) -> None:
        """Make what has no shape yet for a kernel of that many rows, on the device of ``like``."""
        for name, shape in self.shapes.items():
            held = getattr(self, name)
            if isinstance(held, UninitializedParameter):  # as is_lazy, but torch.compile reads it
                sizes = [rows if n is None else n for n in shape]
                value = self._fill[name](sizes, self._dtype or like.dtype)
                held.materialize(tuple(sizes), like.device, value.dtype)
                with torch.no_grad():
                    held.copy_(value)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        for name, shape in self.shapes.items():
            held, value = getattr(self, name), state_dict.get(prefix + name)
            if not is_lazy(held) or value is None or is_lazy(value) or len(value.shape) != len(shape):
                continue
            if all(a in (None, b) for a, b in zip(shape, value.shape, strict=True)):
                held.materialize(value.shape, dtype=value.dtype)
        super()._load_from_state_dict(state_dict, prefix, *rest)


class Cell(nn.Module):
    """The base of all cells: ``cell(inputs, state)`` is ``(output, new_state)``. Its scope's name is ``name``."""

    name: Any = None
    trainable = True
    dtype: torch.dtype | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Cell:
        """A module from the start: cells written for TensorFlow 1 need not call ``super().__init__()``."""
        made = super().__new__(cls)
        nn.Module.__init__(made)
        return made

    def __init__(self, trainable: bool = True, name: str | None = None, dtype: Any = None) -> None:
        self.name, self.trainable = name, trainable
        self.dtype = None if dtype is None else as_dtype(dtype)

    @property
    def state_size(self) -> Any:
        """The sizes of the state's rows, in the state's structure."""
        raise NotImplementedError(f"{type(self).__name__} defines no state_size")

    @property
    def output_size(self) -> Any:
        """The size of the output's rows."""
        raise NotImplementedError(f"{type(self).__name__} defines no output_size")

    def call(self, inputs: Any, state: Any) -> tuple[Any, Any]:
        """One step; what a subclass defines."""
        raise NotImplementedError(f"{type(self).__name__} defines no call")

    def forward(self, inputs: Any, state: Any, scope: Any = None) -> tuple[Any, Any]:
        """One step: the output and the state after it. ``scope`` names variables in TensorFlow; here nothing."""
        return self.call(inputs, state)

    def zero_state(self, batch_size: Any, dtype: Any) -> Any:
        """A state of zeros, in the structure of ``state_size``, on the device of the cell's parameters."""
        held = next((p for p in self.parameters()), None)
        return self._zeros(int(batch_size), as_dtype(dtype), None if held is None else held.device)

    def get_initial_state(self, inputs: Any = None, batch_size: Any = None, dtype: Any = None) -> Any:
        """A state of zeros; batch, dtype and device are those of ``inputs`` (N, ...) where it is given."""
        if inputs is not None:
            return self._zeros(len(inputs), as_dtype(dtype or inputs.dtype), inputs.device)
        if batch_size is None or dtype is None:
            raise ValueError("without inputs, batch_size and dtype are needed")
        return self.zero_state(batch_size, dtype)

    def _zeros(self, batch: int, dtype: torch.dtype, device: torch.device | None) -> Any:
        sizes = self.state_size
        shapes = [(batch, *(n if isinstance(n, torch.Size) else (int(n),))) for n in flatten(sizes)]
        return pack_sequence_as(sizes, [torch.zeros(s, dtype=dtype, device=device) for s in shapes])

    @property
    def _scope(self) -> Any:
        """The module under the cell's name, which has its variables."""
        return self._modules[self.name]

    def _add(self, place: str, shapes: dict[str, Shape], initializers: dict[str, Fill]) -> Variables:
        """Variables under a scope below the cell's own, as ``gru_cell/gates``."""
        where: nn.Module = self
        *above, last = place.split("/")
        for part in above:
            if part not in where._modules:
                where.add_module(part, nn.Module())
            where = where._modules[part]  # type: ignore[assignment]
        made = Variables(shapes, initializers, self.dtype, self.trainable)
        where.add_module(last, made)
        return made


class Wrapper(Cell):
    """The base of wrappers: sizes, zero state and parameters are those of the cell inside, under its own names."""

    wrapped_cell: Any

    def __init__(self, cell: Any, dtype: Any = None) -> None:
        super().__init__(name=getattr(cell, "name", None), dtype=dtype)
        check_cell("cell", cell)
        self.__dict__["wrapped_cell"] = cell  # no part of the names of the parameters, as in TensorFlow
        if isinstance(cell, nn.Module):
            for name, child in cell.named_children():
                self.add_module(name, child)
            for name, parameter in cell.named_parameters(recurse=False):
                self.register_parameter(name, parameter)

    @property
    def state_size(self) -> Any:
        """That of the cell."""
        return self.wrapped_cell.state_size

    @property
    def output_size(self) -> Any:
        """That of the cell."""
        return self.wrapped_cell.output_size

    def zero_state(self, batch_size: Any, dtype: Any) -> Any:
        """That of the cell."""
        return self.wrapped_cell.zero_state(batch_size, dtype)


def check_cell(argument: str, cell: Any) -> None:
    """TypeError unless ``cell`` is callable and has sizes and a zero state."""
    wanted = ("output_size", "state_size", "zero_state")
    lacking = [name for name in wanted if not hasattr(cell, name)] + ["__call__"] * (not callable(cell))
    if lacking:
        raise TypeError(f"{argument} {cell!r} is no RNNCell: it lacks {', '.join(lacking)}")


def product(variables: Variables, inputs: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
    """``[inputs, state] @ kernel + bias``."""
    variables.build(inputs.shape[1] + state.shape[1], inputs)
    return torch.cat([inputs, state], 1) @ variables.kernel + variables.bias


def projected(variables: Variables, value: torch.Tensor) -> torch.Tensor:
    """``value @ kernel + bias``."""
    variables.build(value.shape[1], value)
    return value @ variables.kernel + variables.bias


def start(cell: Any, initial_state: Any, batch: int, dtype: Any, device: torch.device) -> Any:
    """The state before the first step; ValueError where neither it nor a dtype is given."""
    if initial_state is not None:
        return pack_sequence_as(
            initial_state, [to_tensor(leaf, device=device) for leaf in flatten(initial_state)]
        )
    if dtype is None:
        raise ValueError("without initial_state, dtype is needed")
    zeros = cell.zero_state(batch, as_dtype(dtype))
    return pack_sequence_as(zeros, [leaf.to(device) for leaf in flatten(zeros)])


def run(cell: Any, steps: Sequence[Any], state: Any, lengths: torch.Tensor | None) -> tuple[list[Any], Any]:
    """A cell over the steps: the outputs and the last state. Past a row's length outputs are zero, the state stays.

    As in TensorFlow the cell does not run past the longest row, but for a first step: a counter in the state stops, and
    NaN in the padding reaches no gradient. Where the lengths are not known (torch.compile, export) it runs every step.
    """
    outputs: list[Any] = []
    longest = len(steps)
    known = lengths is not None and lengths.numel() and not lengths.is_meta
    if lengths is not None and known and not torch.compiler.is_compiling():
        longest = max(1, int(lengths.max()))
    for at, inputs in enumerate(steps):
        if at >= longest:
            outputs.append(pack_sequence_as(outputs[0], [torch.zeros_like(v) for v in flatten(outputs[0])]))
            continue
        output, after = cell(inputs, state)
        if lengths is not None:
            on = lengths > at
            output = pack_sequence_as(output, [_where(on, v, torch.zeros_like(v)) for v in flatten(output)])
            kept = zip(flatten(after), flatten(state), strict=True)
            after = pack_sequence_as(after, [_where(on, new, old) for new, old in kept])
        outputs.append(output)
        state = after
    return outputs, state


def _where(on: torch.Tensor, new: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
    return torch.where(on.reshape(-1, *[1] * (new.ndim - 1)), new, old) if new.ndim else new


def lengths_of(sequence_length: Any, inputs: torch.Tensor, batch: int) -> torch.Tensor | None:
    """The lengths as int64 on the device of the inputs; ValueError unless there is one per row."""
    if sequence_length is None:
        return None
    lengths = to_tensor(sequence_length).to(inputs.device, torch.int64)
    if tuple(lengths.shape) != (batch,):
        raise ValueError(f"sequence_length has the shape {list(lengths.shape)}, the batch is {batch}")
    return lengths


def reversed_steps(inputs: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """(T, N, ...) with the steps of each row backwards, those past its length where they were."""
    if lengths is None:
        return inputs.flip(0)
    count = len(inputs)
    if not torch.compiler.is_compiling() and bool(((lengths < 0) | (lengths > count)).any()):
        raise ValueError(f"sequence_length {lengths.tolist()}: must be between 0 and {count} to be reversed")
    at = torch.arange(count, device=inputs.device)[:, None]
    source = torch.where(at < lengths, lengths - 1 - at, at)
    return inputs[source, torch.arange(inputs.shape[1], device=inputs.device)]
