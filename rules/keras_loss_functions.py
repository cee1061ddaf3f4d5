"""Losses of tf.keras.losses as functions: one number per example."""

from __future__ import annotations

from tfport.compat import keras_formulas as _formulas
from tfport.rule import Indices, Tensor, array, f32, f64, i32, i64, prove, rule

_HOT = array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
_EDGES = array([0.0, 1.0, 1e-9, 0.5])


@rule(
    "tf.keras.losses.mean_squared_error",
    "tf.keras.losses.mse",
    "tf.keras.losses.MSE",
    "tf.keras.metrics.mean_squared_error",
    "tf.keras.metrics.mse",
    "tf.keras.metrics.MSE",
    "tf.losses.mse",
    "tf.losses.MSE",
    "tf.metrics.mse",
    "tf.metrics.MSE",
)
@prove(f32(4, 3), f32(4, 3, seed=1))
@prove(f64(2, 3, 4), f64(2, 3, 4, seed=1))
@prove(i32(4, 3), f32(4, 3))
def mean_squared_error(y_true: Indices, y_pred: Tensor):
    """mean((t - p) ** 2) over the last axis."""
    return _formulas.mean_squared_error(y_true, y_pred)


@rule(
    "tf.keras.losses.mean_absolute_error",
    "tf.keras.losses.mae",
    "tf.keras.losses.MAE",
    "tf.keras.metrics.mean_absolute_error",
    "tf.keras.metrics.mae",
    "tf.keras.metrics.MAE",
    "tf.losses.mean_absolute_error",
    "tf.losses.mae",
    "tf.losses.MAE",
    "tf.metrics.mae",
    "tf.metrics.MAE",
)
@prove(f32(4, 3), f32(4, 3, seed=1))
@prove(f64(2, 3, 4), f64(2, 3, 4, seed=1))
@prove(i32(4, 3), f32(4, 3))
@prove(array([1.0, 0.0]), array([1.0, 2.0]))
def mean_absolute_error(y_true: Indices, y_pred: Tensor):
    """mean(|t - p|) over the last axis."""
    return _formulas.mean_absolute_error(y_true, y_pred)


@rule(
    "tf.keras.losses.mean_absolute_percentage_error",
    "tf.keras.losses.mape",
    "tf.keras.losses.MAPE",
    "tf.keras.metrics.mean_absolute_percentage_error",
    "tf.keras.metrics.mape",
    "tf.keras.metrics.MAPE",
    "tf.losses.mean_absolute_percentage_error",
    "tf.losses.mape",
    "tf.losses.MAPE",
    "tf.metrics.mape",
    "tf.metrics.MAPE",
)
@prove(f32(4, 3), f32(4, 3, seed=1))
@prove(f64(2, 3, 4), f64(2, 3, 4, seed=1))
@prove(i32(4, 3), f32(4, 3))
@prove(array([1.0, 0.0]), array([1.0, 2.0]))
def mean_absolute_percentage_error(y_true: Indices, y_pred: Tensor):
    """100 * mean(|t - p| / max(|t|, 1e-7))."""
    return _formulas.mean_absolute_percentage_error(y_true, y_pred)


@rule(
    "tf.keras.losses.mean_squared_logarithmic_error",
    "tf.keras.losses.msle",
    "tf.keras.losses.MSLE",
    "tf.keras.metrics.mean_squared_logarithmic_error",
    "tf.keras.metrics.msle",
    "tf.keras.metrics.MSLE",
    "tf.losses.mean_squared_logarithmic_error",
    "tf.losses.msle",
    "tf.losses.MSLE",
    "tf.metrics.msle",
    "tf.metrics.MSLE",
)
@prove(f32(4, 3, low=0.0, high=3.0), f32(4, 3, low=0.1, high=3.0, seed=1))
def mean_squared_logarithmic_error(y_true: Indices, y_pred: Tensor):
    """Squared difference of log(x + 1), x clipped at 1e-7."""
    return _formulas.mean_squared_logarithmic_error(y_true, y_pred)


@rule(
    "tf.keras.losses.cosine_similarity",
    "tf.keras.metrics.cosine_similarity",
    "tf.losses.cosine_similarity",
)
@prove(f32(4, 3), f32(4, 3, seed=1))
@prove(f64(2, 3, 4), f64(2, 3, 4, seed=1))
@prove(f32(4), f32(4, 1, seed=1), grad=False)
@prove(i32(4, 3), f32(4, 3))
@prove(f32(2, 3, 1), f32(2, 3, seed=1))
@prove(f32(4, 3), f32(4, 3, seed=1), axis=0)
def cosine_similarity(y_true: Indices, y_pred: Tensor, axis=-1):
    """Minus the cosine of the angle; torch has the other sign."""
    return _formulas.cosine_similarity(y_true, y_pred, axis)


@rule("tf.keras.losses.huber", "tf.keras.metrics.huber", "tf.losses.huber")
@prove(f32(4, 3), f32(4, 3, seed=1))
@prove(f64(2, 3, 4), f64(2, 3, 4, seed=1))
@prove(f32(4), f32(4, 1, seed=1))
@prove(i32(4, 3), f32(4, 3))
@prove(f32(2, 3, 1), f32(2, 3, seed=1))
@prove(f32(4, 3), f32(4, 3, seed=1), 0.3)
@prove(array([[0.0]]), array([[1.0]]))
def huber(y_true: Indices, y_pred: Tensor, delta=1.0):
    """Half the square up to delta; torch smooth_l1 divides by its beta."""
    return _formulas.huber(y_true, y_pred, delta)


@rule(
    "tf.keras.losses.logcosh",
    "tf.keras.losses.log_cosh",
    "tf.keras.metrics.logcosh",
    "tf.losses.logcosh",
)
@prove(f32(4, 3), f32(4, 3, seed=1))
@prove(f64(2, 3, 4), f64(2, 3, 4, seed=1), rtol=1e-7)
@prove(i32(4, 3), f32(4, 3))
def log_cosh(y_true: Indices, y_pred: Tensor):
    """mean(log(cosh(p - t)))."""
    return _formulas.log_cosh(y_true, y_pred)


@rule(
    "tf.keras.losses.kld",
    "tf.keras.losses.kl_divergence",
    "tf.keras.losses.KLD",
    "tf.keras.losses.kullback_leibler_divergence",
    "tf.keras.metrics.kl_divergence",
    "tf.keras.metrics.kld",
    "tf.keras.metrics.KLD",
    "tf.keras.metrics.kullback_leibler_divergence",
    "tf.losses.kl_divergence",
    "tf.losses.kld",
    "tf.losses.KLD",
    "tf.losses.kullback_leibler_divergence",
    "tf.metrics.kld",
    "tf.metrics.KLD",
    "tf.metrics.kullback_leibler_divergence",
)
@prove(f32(4, 3, low=0.0, high=1.0), f32(4, 3, low=0.0, high=1.0, seed=1))
@prove(_EDGES, array([0.0, 1.0, 0.5, 1e-9]))
def kl_divergence(y_true: Indices, y_pred: Tensor):
    """sum(t * log(t / p)), both clipped to [1e-7, 1]."""
    return _formulas.kl_divergence(y_true, y_pred)


@rule("tf.keras.losses.poisson", "tf.keras.metrics.poisson", "tf.losses.poisson")
@prove(f32(4, 3, low=0.0, high=3.0), f32(4, 3, low=0.1, high=3.0, seed=1))
def poisson(y_true: Indices, y_pred: Tensor):
    """mean(p - t * log(p + 1e-7)); torch poisson_nll_loss takes logarithms by default."""
    return _formulas.poisson(y_true, y_pred)


@rule("tf.keras.losses.hinge", "tf.keras.metrics.hinge", "tf.losses.hinge")
@prove(i32(4, 3, low=0, high=2), f32(4, 3, seed=1))
@prove(array([[-1.0, 1.0, 1.0]]), array([[1.0, 1.0, -3.0]]))
def hinge(y_true: Indices, y_pred: Tensor):
    """mean(max(1 - t * p, 0)); labels 0 and 1 become -1 and 1."""
    return _formulas.hinge(y_true, y_pred)


@rule("tf.keras.losses.squared_hinge", "tf.keras.metrics.squared_hinge", "tf.losses.squared_hinge")
@prove(i32(4, 3, low=0, high=2), f32(4, 3, seed=1))
@prove(array([[-1.0, 1.0, 1.0]]), array([[1.0, 1.0, -3.0]]))
def squared_hinge(y_true: Indices, y_pred: Tensor):
    """mean(max(1 - t * p, 0) ** 2)."""
    return _formulas.squared_hinge(y_true, y_pred)


@rule(
    "tf.keras.losses.categorical_hinge",
    "tf.keras.metrics.categorical_hinge",
    "tf.losses.categorical_hinge",
)
@prove(_HOT, f32(4, 3, seed=1))
def categorical_hinge(y_true: Indices, y_pred: Tensor):
    """max(0, best wrong score - right score + 1)."""
    return _formulas.categorical_hinge(y_true, y_pred)


@rule(
    "tf.keras.losses.binary_crossentropy",
    "tf.keras.metrics.binary_crossentropy",
    "tf.losses.binary_crossentropy",
)
@prove(i32(4, 3, low=0, high=2), f32(4, 3, low=0.0, high=1.0, seed=1))
@prove(i32(4, 3, low=0, high=2), f32(4, 3), from_logits=True)
@prove(i32(4, 3, low=0, high=2), f32(4, 3, low=0.0, high=1.0, seed=1), label_smoothing=0.1)
@prove(i32(4, 3, low=0, high=2), f32(4, 3, low=0.0, high=1.0, seed=1), axis=0)
@prove(array([0.0, 1.0, 0.0, 1.0]), array([0.0, 0.0, 1.0, 1.0]))
@prove(f32(4, 1, low=0.0, high=1.0), f32(4, 3), raises=True)
@prove(f64(2, 3, low=0.0, high=1.0), f64(2, 3, low=0.0, high=1.0))
def binary_crossentropy(
    y_true: Indices, y_pred: Tensor, from_logits=False, label_smoothing=0.0, axis=-1
):  # fmt: skip
    """Probabilities by default, clipped to [1e-7, 1 - 1e-7]; mean over the axis."""
    return _formulas.binary_crossentropy(y_true, y_pred, from_logits, label_smoothing, axis)


@rule(
    "tf.keras.losses.binary_focal_crossentropy",
    "tf.keras.metrics.binary_focal_crossentropy",
    "tf.losses.binary_focal_crossentropy",
)
@prove(i32(4, 3, low=0, high=2), f32(4, 3, low=0.0, high=1.0, seed=1))
@prove(i32(4, 3, low=0, high=2), f32(4, 3, low=0.0, high=1.0, seed=1), True)
@prove(i32(4, 3, low=0, high=2), f32(4, 3, low=0.0, high=1.0, seed=1), alpha=0.4, gamma=1.5)
@prove(i32(4, 3, low=0, high=2), f32(4, 3), from_logits=True)
@prove(i32(4, 3, low=0, high=2), f32(4, 3, low=0.0, high=1.0, seed=1), label_smoothing=0.1)
def binary_focal_crossentropy(
    y_true: Indices, y_pred: Tensor, apply_class_balancing=False, alpha=0.25, gamma=2.0, from_logits=False,
    label_smoothing=0.0, axis=-1,
):  # fmt: skip
    """Binary cross entropy times (1 - p) ** gamma."""
    return _formulas.binary_focal_crossentropy(
        y_true, y_pred, apply_class_balancing, alpha, gamma, from_logits, label_smoothing, axis
    )


@rule(
    "tf.keras.losses.categorical_crossentropy",
    "tf.keras.metrics.categorical_crossentropy",
    "tf.losses.categorical_crossentropy",
)
@prove(_HOT, f32(4, 3, low=0.01, high=1.0, seed=1))
@prove(_HOT, f32(4, 3), from_logits=True)
@prove(_HOT, f32(4, 3, low=0.01, high=1.0, seed=1), label_smoothing=0.1)
@prove(array([[0.0, 1.0]]), array([[1.0, 0.0]]))
def categorical_crossentropy(
    y_true: Indices, y_pred: Tensor, from_logits=False, label_smoothing=0.0, axis=-1
):  # fmt: skip
    """Probabilities by default, divided by their sum and clipped to [1e-7, 1 - 1e-7]."""
    return _formulas.categorical_crossentropy(y_true, y_pred, from_logits, label_smoothing, axis)


@rule(
    "tf.keras.losses.categorical_focal_crossentropy",
    "tf.keras.metrics.categorical_focal_crossentropy",
    "tf.losses.categorical_focal_crossentropy",
)
@prove(_HOT, f32(4, 3, low=0.01, high=1.0, seed=1))
@prove(_HOT, f32(4, 3, low=0.01, high=1.0, seed=1), alpha=0.4, gamma=1.5)
@prove(_HOT, f32(4, 3), from_logits=True)
@prove(_HOT, f32(4, 3, low=0.01, high=1.0, seed=1), label_smoothing=0.1)
def categorical_focal_crossentropy(
    y_true: Indices, y_pred: Tensor, alpha=0.25, gamma=2.0, from_logits=False, label_smoothing=0.0, axis=-1
):  # fmt: skip
    """Categorical cross entropy times alpha * (1 - p) ** gamma."""
    return _formulas.categorical_focal_crossentropy(
        y_true, y_pred, alpha, gamma, from_logits, label_smoothing, axis
    )


@rule(
    "tf.keras.losses.sparse_categorical_crossentropy",
    "tf.keras.metrics.sparse_categorical_crossentropy",
    "tf.losses.sparse_categorical_crossentropy",
)
@prove(i32(4, low=0, high=3), f32(4, 3, low=0.01, high=1.0, seed=1))
@prove(i32(4, low=0, high=3), f32(4, 3), from_logits=True)
@prove(array([0, -1, 2, 1], "int32"), f32(4, 3), from_logits=True, ignore_class=-1)
@prove(i64(2, 4, low=0, high=3), f32(2, 4, 3), True)
@prove(i64(4, 1, low=0, high=3), f32(4, 3, low=0.0, high=1.0))
@prove(array([0, 1], "int32"), array([[0.0, 1.0], [0.0, 1.0]]))
def sparse_categorical_crossentropy(
    y_true: Indices, y_pred: Tensor, from_logits=False, ignore_class=None, axis=-1
):  # fmt: skip
    """Class numbers; probabilities by default, clipped at 1e-7 and normalised by a softmax."""
    return _formulas.sparse_categorical_crossentropy(y_true, y_pred, from_logits, ignore_class, axis)


@rule("tf.keras.losses.dice", "tf.keras.metrics.dice", "tf.losses.dice")
@prove(f32(4, 3, low=0.0, high=1.0), f32(4, 3, low=0.0, high=1.0, seed=1))
@prove(f32(4, 3, low=0.0, high=1.0), f32(4, 3, low=0.0, high=1.0, seed=1), axis=0)
def dice(y_true: Indices, y_pred: Tensor, axis=None):
    """1 - 2 * overlap / (sum of both)."""
    return _formulas.dice(y_true, y_pred, axis)


@rule("tf.keras.losses.tversky", "tf.keras.metrics.tversky", "tf.losses.tversky")
@prove(f32(4, 3, low=0.0, high=1.0), f32(4, 3, low=0.0, high=1.0, seed=1))
@prove(f32(4, 3, low=0.0, high=1.0), f32(4, 3, low=0.0, high=1.0, seed=1), 0.3, 0.8)
@prove(f32(4, 3, low=0.0, high=1.0), f32(4, 3, low=0.0, high=1.0, seed=1), axis=0)
def tversky(y_true: Indices, y_pred: Tensor, alpha=0.5, beta=0.5, axis=None):
    """Dice with a weight each for misses and inventions."""
    return _formulas.tversky(y_true, y_pred, alpha, beta, axis)
