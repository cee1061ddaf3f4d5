"""What Keras' metrics share: state that is updated by batches, a weighted mean of it.

Unless given, the dtype is torch's default dtype, the counterpart of Keras' floatx.
"""

from __future__ import annotations

from typing import Any

import torch

from tfport.compat.arguments import to_tensor
from tfport.compat.dtypes import as_dtype
from tfport.compat.keras_loss import same_rank


class Metric:
    """``tf.keras.metrics.Metric``: ``update_state`` takes a batch, ``result`` gives a tensor, ``reset_state`` forgets."""

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self.dtype = torch.get_default_dtype() if dtype is None else as_dtype(dtype)
        self.name = name or type(self).__name__.lower()
        self.state: dict[str, torch.Tensor] = {}
        self.reset_state()

    def __call__(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Update, then the result."""
        self.update_state(*args, **kwargs)
        return self.result()

    def add_weight(
        self, shape: Any = (), initializer: Any = None, dtype: Any = None, name: str | None = None
    ) -> Any:
        """A zero tensor kept as state under ``name`` and set back to zero by ``reset_state``."""
        if initializer not in (None, "zeros", "zero", "Zeros"):
            raise ValueError(f"state starts at zero; initializer {initializer!r} is not carried over")
        size = [shape] if isinstance(shape, int) else list(shape)
        made = torch.zeros(size, dtype=self.dtype if dtype is None else as_dtype(dtype))
        self.state[name or f"state_{len(self.state)}"] = made
        return made

    add_variable = add_weight

    @property
    def variables(self) -> list[torch.Tensor]:
        """The tensors of the state."""
        return list(self.state.values())

    def reset_state(self) -> None:
        """Back to the start."""
        for value in self.state.values():
            value.zero_()

    def reset_states(self) -> None:
        """Keras 2's name of reset_state."""
        self.reset_state()

    def update_state(self, *args: Any, **kwargs: Any) -> Any:
        """Take a batch."""
        raise NotImplementedError(f"{type(self).__name__} defines no update_state")

    def result(self) -> torch.Tensor:
        """The value so far."""
        raise NotImplementedError(f"{type(self).__name__} defines no result")

    def get_config(self) -> dict[str, Any]:
        """Name and dtype."""
        return {"name": self.name, "dtype": str(self.dtype).removeprefix("torch.")}


def samples(
    values: Any, sample_weight: Any, dtype: torch.dtype, mean: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """One value per example, and its weight: further axes are reduced by mean, or by sum."""
    values = to_tensor(values).detach().to(dtype)
    weight = None

    def reduce(tensor: torch.Tensor, start: int) -> torch.Tensor:
        axes = list(range(start, tensor.ndim))
        return tensor.mean(axes) if mean else tensor.sum(axes)

    if sample_weight is not None:
        weight = to_tensor(sample_weight).detach().to(dtype).to(values.device)
        values, weight = same_rank(values, weight)
        rank = weight.ndim
        values = reduce(values, rank) if values.ndim > rank else values
        weight = weight.broadcast_to(values.shape)
        values = values * weight
        weight = reduce(weight, 1) if rank > 1 else weight
    return (reduce(values, 1) if values.ndim > 1 else values), weight


class Mean(Metric):
    """Total and count."""

    def reset_state(self) -> None:
        """Nothing seen yet."""
        super().reset_state()
        self.total = self.count = torch.zeros((), dtype=self.dtype)

    @property
    def variables(self) -> list[torch.Tensor]:
        """Total and count."""
        return [self.total, self.count, *self.state.values()]

    def add(self, values: Any, sample_weight: Any = None) -> None:
        """Count a batch of values."""
        values, weight = samples(values, sample_weight, self.dtype, mean=True)
        number = (
            weight.sum() if weight is not None else values.new_tensor(values.shape[0] if values.ndim else 1)
        )
        self.total = self.total.to(values.device) + values.sum()
        self.count = self.count.to(values.device) + number

    def result(self) -> torch.Tensor:
        """The mean, 0 of nothing."""
        safe = torch.where(self.count == 0, torch.ones_like(self.count), self.count)
        return torch.where(self.count == 0, torch.zeros_like(self.total), self.total / safe)


class MeanOf(Mean):
    """The mean of ``formula(y_true, y_pred)`` with the keywords of ``options``."""

    formula: Any = None

    def __init__(self, name: str | None = None, dtype: Any = None, **options: Any) -> None:
        self.options = options
        super().__init__(dtype, name)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch."""
        self.add(type(self).formula(to_tensor(y_true), to_tensor(y_pred), **self.options), sample_weight)


def accuracy(y_true: Any, y_pred: Any) -> torch.Tensor:
    """1 where equal."""
    y_pred = to_tensor(y_pred)
    y_true, y_pred = same_rank(to_tensor(y_true).to(y_pred.dtype), y_pred)
    return (y_true == y_pred).float()


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> torch.Tensor:
    """1 where the label is that of the prediction above the threshold."""
    y_true, y_pred = same_rank(to_tensor(y_true), to_tensor(y_pred))
    return (y_true == (y_pred > threshold).to(y_true.dtype)).float()


def categorical_accuracy(y_true: Any, y_pred: Any) -> torch.Tensor:
    """1 where both have their greatest entry at one place."""
    return (to_tensor(y_true).argmax(-1) == to_tensor(y_pred).argmax(-1)).float()


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> torch.Tensor:
    """1 where the greatest entry stands at the class number."""
    y_true, y_pred = to_tensor(y_true), to_tensor(y_pred)
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        matches = (y_true.squeeze(-1).to(y_pred.dtype) == y_pred.argmax(-1).to(y_pred.dtype)).reshape(
            y_true.shape
        )
    else:
        matches = y_true.to(y_pred.dtype) == y_pred.argmax(-1).to(y_pred.dtype)
    matches = matches.float()
    return matches.squeeze(-1) if matches.ndim > 1 and matches.shape[-1] == 1 else matches


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5,
                                      from_sorted_ids: bool = False) -> torch.Tensor:  # fmt: skip
    """1 where fewer than k classes beat the class number, ties with it not counted.

    ``from_sorted_ids``: y_pred holds class numbers, best first.
    """
    y_true, y_pred = to_tensor(y_true), to_tensor(y_pred)
    labels = y_true.reshape(-1).long()
    scores = y_pred.reshape(-1, y_pred.shape[-1])
    if from_sorted_ids:
        return (labels.unsqueeze(1).to(scores.dtype) == scores[:, :k]).any(1).float().reshape(y_true.shape)
    own = scores.gather(1, labels.unsqueeze(1))
    hit = ((scores > own).sum(1) < k) & torch.isfinite(own.squeeze(1))
    return hit.float().reshape(y_true.shape)


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> torch.Tensor:
    """As the sparse one, the class being where y_true is greatest."""
    return sparse_top_k_categorical_accuracy(to_tensor(y_true).argmax(-1), y_pred, k)
