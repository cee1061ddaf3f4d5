"""Metrics of tf.keras.metrics: update_state by batches, result as a tensor."""

from __future__ import annotations

import torch

from tfport.compat import keras_formulas as _formulas
from tfport.compat import keras_metric as _metric
from tfport.rule import Indices, Tensor, array, f32, f64, i32, i64, prove, rule

_HOT = array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


@rule("tf.keras.metrics.Metric", "tf.metrics.Metric")
@prove(then=(f32(2),), raises=True)
class Metric(_metric.Metric):
    """What a program subclasses: update_state and result over what add_weight made."""


@rule("tf.keras.metrics.Mean", "tf.metrics.Mean")
@prove(then=(f32(4),), grad=False)
@prove(then=[(f32(4),), (f32(3, seed=1),), (array(2.0),)], grad=False)
@prove(then=[(f32(4, 3), f32(4, low=0.0, high=1.0)), (f32(4, 3), f32(4, 3, low=0.0, high=1.0))], grad=False)
@prove(then=(f32(4, 3), {"sample_weight": array([0.0, 0.0, 0.0, 0.0])}), grad=False)
@prove(name="loss", dtype=torch.float64, then=(f64(5),), grad=False)
@prove("loss", then=(f32(0),), grad=False)
class Mean(_metric.Mean):
    """Weighted mean of all values so far; each example of a batch counts once."""

    def __init__(self, name="mean", dtype=None):
        super().__init__(dtype, name)

    def update_state(self, values, sample_weight=None):
        self.add(values, sample_weight)


@rule("tf.keras.metrics.Sum", "tf.metrics.Sum")
@prove(then=[(f32(4),), (f32(3, 2),)], grad=False)
@prove(then=[(f32(4, 3), f32(4, low=0.0, high=1.0))], grad=False)
class Sum(_metric.Metric):
    """Weighted sum of all values so far."""

    def __init__(self, name="sum", dtype=None):
        super().__init__(dtype, name)

    def reset_state(self):
        self.total = torch.zeros((), dtype=self.dtype)

    def update_state(self, values, sample_weight=None):
        values, _ = _metric.samples(values, sample_weight, self.dtype, mean=False)
        self.total = self.total.to(values.device) + values.sum()

    def result(self):
        return self.total


@rule("tf.keras.metrics.MeanMetricWrapper", "tf.metrics.MeanMetricWrapper")
@prove(len, raises=True, then=(f32(2),))
class MeanMetricWrapper(_metric.Mean):
    """The mean of fn(y_true, y_pred, **kwargs)."""

    def __init__(self, fn, name=None, dtype=None, **kwargs):
        self.fn, self.options = fn, kwargs
        super().__init__(dtype, name)

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.add(self.fn(y_true, y_pred, **self.options), sample_weight)


@rule("tf.keras.metrics.Accuracy", "tf.metrics.Accuracy")
@prove(
    then=[
        (i32(6, low=0, high=3), i32(6, low=0, high=3, seed=1)),
        (i32(6, low=0, high=3), i32(6, 1, low=0, high=3, seed=1)),
    ],
    grad=False,
)
@prove(then=(i32(6, low=0, high=3), i32(6, low=0, high=3, seed=1), f32(6, low=0.0, high=1.0)), grad=False)
class Accuracy(_metric.MeanOf):
    """Share of equal entries."""

    formula = staticmethod(_metric.accuracy)

    def __init__(self, name="accuracy", dtype=None):
        super().__init__(name, dtype)


@rule("tf.keras.metrics.BinaryAccuracy", "tf.metrics.BinaryAccuracy")
@prove(
    then=[
        (i32(6, low=0, high=2), f32(6, low=0.0, high=1.0)),
        (i32(6, 1, low=0, high=2), f32(6, 1, low=0.0, high=1.0)),
    ],
    grad=False,
)
@prove(threshold=0.2, then=(f32(6, 2, low=0.0, high=1.0), f32(6, 2, low=0.0, high=1.0)), grad=False)
@prove(then=(array([0, 1]), array([0.5, 0.5])), grad=False)
class BinaryAccuracy(_metric.MeanOf):
    """Share of labels met by the prediction above the threshold."""

    formula = staticmethod(_metric.binary_accuracy)

    def __init__(self, name="binary_accuracy", dtype=None, threshold=0.5):
        super().__init__(name, dtype, threshold=threshold)


@rule("tf.keras.metrics.CategoricalAccuracy", "tf.metrics.CategoricalAccuracy")
@prove(then=(_HOT, f32(4, 3)), grad=False)
@prove(then=(_HOT, f32(4, 3), f32(4, low=0.0, high=1.0)), grad=False)
class CategoricalAccuracy(_metric.MeanOf):
    """Share of examples whose greatest entry stands where the label has its own."""

    formula = staticmethod(_metric.categorical_accuracy)

    def __init__(self, name="categorical_accuracy", dtype=None):
        super().__init__(name, dtype)


@rule("tf.keras.metrics.SparseCategoricalAccuracy", "tf.metrics.SparseCategoricalAccuracy")
@prove(then=[(i64(6, low=0, high=3), f32(6, 3)), (i32(5, 1, low=0, high=3), f32(5, 3))], grad=False)
@prove(then=(i64(2, 6, low=0, high=3), f32(2, 6, 3), f32(2, 6, low=0.0, high=1.0)), grad=False)
@prove(then=(array([0, 1], "int32"), array([[1.0, 1.0], [1.0, 1.0]])), grad=False)
class SparseCategoricalAccuracy(_metric.MeanOf):
    """Share of examples whose greatest entry stands at the class number."""

    formula = staticmethod(_metric.sparse_categorical_accuracy)

    def __init__(self, name="sparse_categorical_accuracy", dtype=None):
        super().__init__(name, dtype)


@rule("tf.keras.metrics.TopKCategoricalAccuracy", "tf.metrics.TopKCategoricalAccuracy")
@prove(k=2, then=(_HOT, f32(4, 3)), grad=False)
@prove(then=(f32(4, 9), f32(4, 9, seed=1)), grad=False)
class TopKCategoricalAccuracy(_metric.MeanOf):
    """Share of examples whose label is among the k greatest."""

    formula = staticmethod(_metric.top_k_categorical_accuracy)

    def __init__(self, k=5, name="top_k_categorical_accuracy", dtype=None):
        super().__init__(name, dtype, k=k)


@rule("tf.keras.metrics.SparseTopKCategoricalAccuracy", "tf.metrics.SparseTopKCategoricalAccuracy")
@prove(k=2, then=(i32(4, low=0, high=3), f32(4, 3)), grad=False)
@prove(then=(i32(2, 4, low=0, high=9), f32(2, 4, 9, seed=1)), grad=False)
class SparseTopKCategoricalAccuracy(_metric.MeanOf):
    """Share of examples whose class number is among the k greatest."""

    formula = staticmethod(_metric.sparse_top_k_categorical_accuracy)

    def __init__(self, k=5, name="sparse_top_k_categorical_accuracy", dtype=None, from_sorted_ids=False):
        super().__init__(name, dtype, k=k, from_sorted_ids=from_sorted_ids)


@rule("tf.keras.metrics.MeanSquaredError", "tf.metrics.MeanSquaredError")
@prove(
    then=[
        (f32(4, 3, low=0.1, high=1.0), f32(4, 3, low=0.1, high=1.0, seed=1)),
        (f32(2, 3, low=0.1, high=1.0), f32(2, 3, low=0.1, high=1.0, seed=1), f32(2, low=0.1, high=1.0)),
    ],
    grad=False,
)
class MeanSquaredError(_metric.MeanOf):
    """Mean of tf.keras.losses.mean_squared_error over the examples."""

    formula = staticmethod(_formulas.mean_squared_error)

    def __init__(self, name="mean_squared_error", dtype=None):
        super().__init__(name, dtype)


@rule("tf.keras.metrics.MeanAbsoluteError", "tf.metrics.MeanAbsoluteError")
@prove(
    then=[
        (f32(4, 3, low=0.1, high=1.0), f32(4, 3, low=0.1, high=1.0, seed=1)),
        (f32(2, 3, low=0.1, high=1.0), f32(2, 3, low=0.1, high=1.0, seed=1), f32(2, low=0.1, high=1.0)),
    ],
    grad=False,
)
class MeanAbsoluteError(_metric.MeanOf):
    """Mean of tf.keras.losses.mean_absolute_error over the examples."""

    formula = staticmethod(_formulas.mean_absolute_error)

    def __init__(self, name="mean_absolute_error", dtype=None):
        super().__init__(name, dtype)


@rule("tf.keras.metrics.MeanAbsolutePercentageError", "tf.metrics.MeanAbsolutePercentageError")
@prove(
    then=[
        (f32(4, 3, low=0.1, high=1.0), f32(4, 3, low=0.1, high=1.0, seed=1)),
        (f32(2, 3, low=0.1, high=1.0), f32(2, 3, low=0.1, high=1.0, seed=1), f32(2, low=0.1, high=1.0)),
    ],
    grad=False,
)
class MeanAbsolutePercentageError(_metric.MeanOf):
    """Mean of tf.keras.losses.mean_absolute_percentage_error over the examples."""

    formula = staticmethod(_formulas.mean_absolute_percentage_error)

    def __init__(self, name="mean_absolute_percentage_error", dtype=None):
        super().__init__(name, dtype)


@rule("tf.keras.metrics.MeanSquaredLogarithmicError", "tf.metrics.MeanSquaredLogarithmicError")
@prove(
    then=[
        (f32(4, 3, low=0.1, high=1.0), f32(4, 3, low=0.1, high=1.0, seed=1)),
        (f32(2, 3, low=0.1, high=1.0), f32(2, 3, low=0.1, high=1.0, seed=1), f32(2, low=0.1, high=1.0)),
    ],
    grad=False,
)
class MeanSquaredLogarithmicError(_metric.MeanOf):
    """Mean of tf.keras.losses.mean_squared_logarithmic_error over the examples."""

    formula = staticmethod(_formulas.mean_squared_logarithmic_error)

    def __init__(self, name="mean_squared_logarithmic_error", dtype=None):
        super().__init__(name, dtype)


@rule("tf.keras.metrics.LogCoshError", "tf.metrics.LogCoshError")
@prove(
    then=[
        (f32(4, 3, low=0.1, high=1.0), f32(4, 3, low=0.1, high=1.0, seed=1)),
        (f32(2, 3, low=0.1, high=1.0), f32(2, 3, low=0.1, high=1.0, seed=1), f32(2, low=0.1, high=1.0)),
    ],
    grad=False,
)
class LogCoshError(_metric.MeanOf):
    """Mean of tf.keras.losses.log_cosh over the examples."""

    formula = staticmethod(_formulas.log_cosh)

    def __init__(self, name="logcosh", dtype=None):
        super().__init__(name, dtype)


@rule("tf.keras.metrics.Hinge", "tf.metrics.Hinge")
@prove(
    then=[
        (f32(4, 3, low=0.1, high=1.0), f32(4, 3, low=0.1, high=1.0, seed=1)),
        (f32(2, 3, low=0.1, high=1.0), f32(2, 3, low=0.1, high=1.0, seed=1), f32(2, low=0.1, high=1.0)),
    ],
    grad=False,
)
class Hinge(_metric.MeanOf):
    """Mean of tf.keras.losses.hinge over the examples."""

    formula = staticmethod(_formulas.hinge)

    def __init__(self, name="hinge", dtype=None):
        super().__init__(name, dtype)


@rule("tf.keras.metrics.SquaredHinge", "tf.metrics.SquaredHinge")
@prove(
    then=[
        (f32(4, 3, low=0.1, high=1.0), f32(4, 3, low=0.1, high=1.0, seed=1)),
        (f32(2, 3, low=0.1, high=1.0), f32(2, 3, low=0.1, high=1.0, seed=1), f32(2, low=0.1, high=1.0)),
    ],
    grad=False,
)
class SquaredHinge(_metric.MeanOf):
    """Mean of tf.keras.losses.squared_hinge over the examples."""

    formula = staticmethod(_formulas.squared_hinge)

    def __init__(self, name="squared_hinge", dtype=None):
        super().__init__(name, dtype)


@rule("tf.keras.metrics.CategoricalHinge", "tf.metrics.CategoricalHinge")
@prove(
    then=[
        (f32(4, 3, low=0.1, high=1.0), f32(4, 3, low=0.1, high=1.0, seed=1)),
        (f32(2, 3, low=0.1, high=1.0), f32(2, 3, low=0.1, high=1.0, seed=1), f32(2, low=0.1, high=1.0)),
    ],
    grad=False,
)
class CategoricalHinge(_metric.MeanOf):
    """Mean of tf.keras.losses.categorical_hinge over the examples."""

    formula = staticmethod(_formulas.categorical_hinge)

    def __init__(self, name="categorical_hinge", dtype=None):
        super().__init__(name, dtype)


@rule("tf.keras.metrics.KLDivergence", "tf.metrics.KLDivergence")
@prove(
    then=[
        (f32(4, 3, low=0.1, high=1.0), f32(4, 3, low=0.1, high=1.0, seed=1)),
        (f32(2, 3, low=0.1, high=1.0), f32(2, 3, low=0.1, high=1.0, seed=1), f32(2, low=0.1, high=1.0)),
    ],
    grad=False,
)
class KLDivergence(_metric.MeanOf):
    """Mean of tf.keras.losses.kl_divergence over the examples."""

    formula = staticmethod(_formulas.kl_divergence)

    def __init__(self, name="kl_divergence", dtype=None):
        super().__init__(name, dtype)


@rule("tf.keras.metrics.Poisson", "tf.metrics.Poisson")
@prove(
    then=[
        (f32(4, 3, low=0.1, high=1.0), f32(4, 3, low=0.1, high=1.0, seed=1)),
        (f32(2, 3, low=0.1, high=1.0), f32(2, 3, low=0.1, high=1.0, seed=1), f32(2, low=0.1, high=1.0)),
    ],
    grad=False,
)
class Poisson(_metric.MeanOf):
    """Mean of tf.keras.losses.poisson over the examples."""

    formula = staticmethod(_formulas.poisson)

    def __init__(self, name="poisson", dtype=None):
        super().__init__(name, dtype)


@rule("tf.keras.metrics.BinaryCrossentropy", "tf.metrics.BinaryCrossentropy")
@prove(then=(i32(4, 3, low=0, high=2), f32(4, 3, low=0.0, high=1.0)), grad=False)
@prove(from_logits=True, label_smoothing=0.1, then=(f32(4, 3, low=0.0, high=1.0), f32(4, 3)), grad=False)
class BinaryCrossentropy(_metric.MeanOf):
    """Mean of tf.keras.losses.binary_crossentropy."""

    formula = staticmethod(_formulas.binary_crossentropy)

    def __init__(self, name="binary_crossentropy", dtype=None, from_logits=False, label_smoothing=0):
        super().__init__(name, dtype, from_logits=from_logits, label_smoothing=label_smoothing)


@rule("tf.keras.metrics.CategoricalCrossentropy", "tf.metrics.CategoricalCrossentropy")
@prove(then=(_HOT, f32(4, 3, low=0.1, high=1.0)), grad=False)
@prove(from_logits=True, then=(_HOT, f32(4, 3)), grad=False)
class CategoricalCrossentropy(_metric.MeanOf):
    """Mean of tf.keras.losses.categorical_crossentropy."""

    formula = staticmethod(_formulas.categorical_crossentropy)

    def __init__(
        self, name="categorical_crossentropy", dtype=None, from_logits=False, label_smoothing=0, axis=-1
    ):
        super().__init__(name, dtype, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis)


@rule("tf.keras.metrics.SparseCategoricalCrossentropy", "tf.metrics.SparseCategoricalCrossentropy")
@prove(then=(i32(4, low=0, high=3), f32(4, 3, low=0.1, high=1.0)), grad=False)
@prove(from_logits=True, then=(i32(4, low=0, high=3), f32(4, 3)), grad=False)
class SparseCategoricalCrossentropy(_metric.MeanOf):
    """Mean of tf.keras.losses.sparse_categorical_crossentropy."""

    formula = staticmethod(_formulas.sparse_categorical_crossentropy)

    def __init__(self, name="sparse_categorical_crossentropy", dtype=None, from_logits=False, ignore_class=None,
                 axis=-1):  # fmt: skip
        super().__init__(name, dtype, from_logits=from_logits, ignore_class=ignore_class, axis=axis)


@rule("tf.keras.metrics.CosineSimilarity", "tf.metrics.CosineSimilarity")
@prove(then=(f32(4, 3), f32(4, 3, seed=1)), grad=False)
@prove(axis=0, then=(f32(4, 3), f32(4, 3, seed=1)), grad=False)
class CosineSimilarity(_metric.Mean):
    """Mean cosine: 1 where the directions agree, the loss of this name has the other sign."""

    def __init__(self, name="cosine_similarity", dtype=None, axis=-1):
        self.axis = axis
        super().__init__(dtype, name)

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.add(-_formulas.cosine_similarity(y_true, y_pred, self.axis), sample_weight)


@rule("tf.keras.metrics.RootMeanSquaredError", "tf.metrics.RootMeanSquaredError")
@prove(
    then=[(f32(4, 3), f32(4, 3, seed=1)), (f32(2, 3), f32(2, 3, seed=1), f32(2, low=0.1, high=1.0))],
    grad=False,
)
class RootMeanSquaredError(_metric.Mean):
    """Root of the mean of the squared errors of all entries."""

    def __init__(self, name="root_mean_squared_error", dtype=None):
        super().__init__(dtype, name)

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = _metric.same_rank(_metric.to_tensor(y_true), _metric.to_tensor(y_pred))
        self.add(torch.square(y_pred - y_true), sample_weight)

    def result(self):
        return torch.sqrt(super().result())


@rule("tf.keras.metrics.binary_accuracy", "tf.metrics.binary_accuracy")
@prove(i32(6, low=0, high=2), f32(6, low=0.0, high=1.0))
@prove(i32(6, 2, low=0, high=2), f32(6, 2, low=0.0, high=1.0), threshold=0.3)
def binary_accuracy(y_true: Indices, y_pred: Tensor, threshold=0.5):
    """1 where the label is that of the prediction above the threshold."""
    return _metric.binary_accuracy(y_true, y_pred, threshold)


@rule("tf.keras.metrics.categorical_accuracy", "tf.metrics.categorical_accuracy")
@prove(_HOT, f32(4, 3))
@prove(f32(2, 4, 3), f32(2, 4, 3, seed=1))
def categorical_accuracy(y_true: Indices, y_pred: Tensor):
    """1 where both have their greatest entry at one place."""
    return _metric.categorical_accuracy(y_true, y_pred)


@rule("tf.keras.metrics.sparse_categorical_accuracy", "tf.metrics.sparse_categorical_accuracy")
@prove(i32(4, low=0, high=3), f32(4, 3))
@prove(i64(4, 1, low=0, high=3), f32(4, 3))
@prove(i64(2, 4, low=0, high=3), f32(2, 4, 3))
def sparse_categorical_accuracy(y_true: Indices, y_pred: Tensor):
    """1 where the greatest entry stands at the class number."""
    return _metric.sparse_categorical_accuracy(y_true, y_pred)


@rule("tf.keras.metrics.top_k_categorical_accuracy", "tf.metrics.top_k_categorical_accuracy")
@prove(_HOT, f32(4, 3), k=2)
@prove(f32(2, 4, 9), f32(2, 4, 9, seed=1))
def top_k_categorical_accuracy(y_true: Indices, y_pred: Tensor, k=5):
    """1 where the label is among the k greatest."""
    return _metric.top_k_categorical_accuracy(y_true, y_pred, k)


@rule("tf.keras.metrics.sparse_top_k_categorical_accuracy", "tf.metrics.sparse_top_k_categorical_accuracy")
@prove(i32(4, low=0, high=3), f32(4, 3), k=2)
@prove(i32(2, 4, low=0, high=9), f32(2, 4, 9))
@prove(i32(4, low=0, high=9), i32(4, 9, low=0, high=9), k=3, from_sorted_ids=True)
def sparse_top_k_categorical_accuracy(y_true: Indices, y_pred: Tensor, k=5, from_sorted_ids=False):
    """1 where the class number is among the k greatest."""
    return _metric.sparse_top_k_categorical_accuracy(y_true, y_pred, k, from_sorted_ids)
