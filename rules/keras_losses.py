"""Losses of tf.keras.losses as objects: weighted and reduced, float32 unless a dtype is given."""

from __future__ import annotations

from tfport.compat import keras_formulas as _formulas
from tfport.compat.keras_loss import Loss as _Loss
from tfport.compat.keras_loss import Wrapped as _Wrapped
from tfport.rule import array, f32, f64, i32, prove, rule

_SOME = array([1.0, 0.0, 2.0, 0.0])
_HOT = array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


@rule("tf.keras.losses.Loss", "tf.losses.Loss")
@prove(then=(f32(2, 3), f32(2, 3)), raises=True)
class Loss(_Loss):
    """What a program subclasses: call(y_true, y_pred) gives one loss per example, the object weighs and reduces."""


@rule("tf.keras.losses.MeanSquaredError", "tf.losses.MeanSquaredError")
@prove(then=(f32(4, 3), f32(4, 3, seed=1)))
@prove(reduction="sum", then=(f32(4, 3), f32(4, 3, seed=1)))
@prove(reduction="none", then=(f32(4, 3), f32(4, 3, seed=1)))
@prove(then=(f32(4, 3), f32(4, 3, seed=1), f32(4, low=0.0, high=2.0)))
@prove(reduction=None, then=(f32(4, 3), f32(4, 3, seed=1), {"sample_weight": _SOME}))
@prove(reduction="mean_with_sample_weight", then=(f32(4, 3), f32(4, 3, seed=1), _SOME))
@prove(dtype="float64", then=(f64(4, 3), f64(4, 3, seed=1)))
@prove(then=(f64(4, 3), f64(4, 3, seed=1)))
@prove(then=(f32(2, 3, 4), f32(2, 3, 4, seed=1), f32(2, 3, low=0.0, high=1.0)))
@prove(then=(f32(4), f32(4, 1, seed=1)))
@prove(then=(f32(2, 3, 4), f32(2, 3, 4, seed=1), f32(2, 1, low=0.0, high=1.0)))
@prove(then=(f32(0, 3), f32(0, 3)))
@prove(reduction="wrong", raises=True)
class MeanSquaredError(_Wrapped):
    """mean((t - p) ** 2) over the last axis."""

    formula = staticmethod(_formulas.mean_squared_error)

    def __init__(self, reduction="sum_over_batch_size", name="mean_squared_error", dtype=None):
        super().__init__(name, reduction, dtype)


@rule("tf.keras.losses.MeanAbsoluteError", "tf.losses.MeanAbsoluteError")
@prove(then=(f32(4, 3), f32(4, 3, seed=1)))
@prove(reduction="sum", then=(f32(4, 3), f32(4, 3, seed=1)))
@prove(reduction="none", then=(f32(4, 3), f32(4, 3, seed=1)))
@prove(then=(f32(4, 3), f32(4, 3, seed=1), f32(4, low=0.0, high=2.0)))
@prove(reduction=None, then=(f32(4, 3), f32(4, 3, seed=1), {"sample_weight": _SOME}))
@prove(reduction="mean_with_sample_weight", then=(f32(4, 3), f32(4, 3, seed=1), _SOME))
class MeanAbsoluteError(_Wrapped):
    """mean(|t - p|) over the last axis."""

    formula = staticmethod(_formulas.mean_absolute_error)

    def __init__(self, reduction="sum_over_batch_size", name="mean_absolute_error", dtype=None):
        super().__init__(name, reduction, dtype)


@rule("tf.keras.losses.MeanAbsolutePercentageError", "tf.losses.MeanAbsolutePercentageError")
@prove(then=(f32(4, 3), f32(4, 3, seed=1)))
@prove(reduction="sum", then=(f32(4, 3), f32(4, 3, seed=1)))
@prove(reduction="none", then=(f32(4, 3), f32(4, 3, seed=1)))
@prove(then=(f32(4, 3), f32(4, 3, seed=1), f32(4, low=0.0, high=2.0)))
@prove(reduction=None, then=(f32(4, 3), f32(4, 3, seed=1), {"sample_weight": _SOME}))
@prove(reduction="mean_with_sample_weight", then=(f32(4, 3), f32(4, 3, seed=1), _SOME))
class MeanAbsolutePercentageError(_Wrapped):
    """100 * mean(|t - p| / max(|t|, 1e-7))."""

    formula = staticmethod(_formulas.mean_absolute_percentage_error)

    def __init__(
        self, reduction="sum_over_batch_size", name="mean_absolute_percentage_error", dtype=None
    ):  # fmt: skip
        super().__init__(name, reduction, dtype)


@rule("tf.keras.losses.MeanSquaredLogarithmicError", "tf.losses.MeanSquaredLogarithmicError")
@prove(then=(f32(4, 3, low=0.0, high=3.0), f32(4, 3, low=0.1, high=3.0, seed=1)))
@prove(reduction="sum", then=(f32(4, 3, low=0.0, high=3.0), f32(4, 3, low=0.1, high=3.0, seed=1)))
@prove(reduction="none", then=(f32(4, 3, low=0.0, high=3.0), f32(4, 3, low=0.1, high=3.0, seed=1)))
@prove(then=(f32(4, 3, low=0.0, high=3.0), f32(4, 3, low=0.1, high=3.0, seed=1), f32(4, low=0.0, high=2.0)))
@prove(
    reduction=None,
    then=(f32(4, 3, low=0.0, high=3.0), f32(4, 3, low=0.1, high=3.0, seed=1), {"sample_weight": _SOME}),
)
@prove(
    reduction="mean_with_sample_weight",
    then=(f32(4, 3, low=0.0, high=3.0), f32(4, 3, low=0.1, high=3.0, seed=1), _SOME),
)
class MeanSquaredLogarithmicError(_Wrapped):
    """Squared difference of log(x + 1), x clipped at 1e-7."""

    formula = staticmethod(_formulas.mean_squared_logarithmic_error)

    def __init__(
        self, reduction="sum_over_batch_size", name="mean_squared_logarithmic_error", dtype=None
    ):  # fmt: skip
        super().__init__(name, reduction, dtype)


@rule("tf.keras.losses.CosineSimilarity", "tf.losses.CosineSimilarity")
@prove(then=(f32(4, 3), f32(4, 3, seed=1)))
@prove(reduction="sum", then=(f32(4, 3), f32(4, 3, seed=1)))
@prove(reduction="none", then=(f32(4, 3), f32(4, 3, seed=1)))
@prove(then=(f32(4, 3), f32(4, 3, seed=1), f32(4, low=0.0, high=2.0)))
@prove(reduction=None, then=(f32(4, 3), f32(4, 3, seed=1), {"sample_weight": _SOME}))
@prove(reduction="mean_with_sample_weight", then=(f32(4, 3), f32(4, 3, seed=1), _SOME))
class CosineSimilarity(_Wrapped):
    """Minus the cosine of the angle; torch has the other sign."""

    formula = staticmethod(_formulas.cosine_similarity)

    def __init__(
        self, axis=-1, reduction="sum_over_batch_size", name="cosine_similarity", dtype=None
    ):  # fmt: skip
        super().__init__(name, reduction, dtype)
        self.axis = axis

    def options(self):
        return {"axis": self.axis}


@rule("tf.keras.losses.Huber", "tf.losses.Huber")
@prove(then=(f32(4, 3), f32(4, 3, seed=1)))
@prove(reduction="sum", then=(f32(4, 3), f32(4, 3, seed=1)))
@prove(reduction="none", then=(f32(4, 3), f32(4, 3, seed=1)))
@prove(then=(f32(4, 3), f32(4, 3, seed=1), f32(4, low=0.0, high=2.0)))
@prove(reduction=None, then=(f32(4, 3), f32(4, 3, seed=1), {"sample_weight": _SOME}))
@prove(reduction="mean_with_sample_weight", then=(f32(4, 3), f32(4, 3, seed=1), _SOME))
@prove(delta=0.4, then=(f32(4, 3), f32(4, 3, seed=1)))
class Huber(_Wrapped):
    """Half the square up to delta; torch smooth_l1 divides by its beta."""

    formula = staticmethod(_formulas.huber)

    def __init__(self, delta=1.0, reduction="sum_over_batch_size", name="huber_loss", dtype=None):
        super().__init__(name, reduction, dtype)
        self.delta = delta

    def options(self):
        return {"delta": self.delta}


@rule("tf.keras.losses.LogCosh", "tf.losses.LogCosh")
@prove(then=(f32(4, 3), f32(4, 3, seed=1)))
@prove(reduction="sum", then=(f32(4, 3), f32(4, 3, seed=1)))
@prove(reduction="none", then=(f32(4, 3), f32(4, 3, seed=1)))
@prove(then=(f32(4, 3), f32(4, 3, seed=1), f32(4, low=0.0, high=2.0)))
@prove(reduction=None, then=(f32(4, 3), f32(4, 3, seed=1), {"sample_weight": _SOME}))
@prove(reduction="mean_with_sample_weight", then=(f32(4, 3), f32(4, 3, seed=1), _SOME))
class LogCosh(_Wrapped):
    """mean(log(cosh(p - t)))."""

    formula = staticmethod(_formulas.log_cosh)

    def __init__(self, reduction="sum_over_batch_size", name="log_cosh", dtype=None):
        super().__init__(name, reduction, dtype)


@rule("tf.keras.losses.KLDivergence", "tf.losses.KLDivergence")
@prove(then=(f32(4, 3, low=0.0, high=1.0), f32(4, 3, low=0.0, high=1.0, seed=1)))
@prove(reduction="sum", then=(f32(4, 3, low=0.0, high=1.0), f32(4, 3, low=0.0, high=1.0, seed=1)))
@prove(reduction="none", then=(f32(4, 3, low=0.0, high=1.0), f32(4, 3, low=0.0, high=1.0, seed=1)))
@prove(then=(f32(4, 3, low=0.0, high=1.0), f32(4, 3, low=0.0, high=1.0, seed=1), f32(4, low=0.0, high=2.0)))
@prove(
    reduction=None,
    then=(f32(4, 3, low=0.0, high=1.0), f32(4, 3, low=0.0, high=1.0, seed=1), {"sample_weight": _SOME}),
)
@prove(
    reduction="mean_with_sample_weight",
    then=(f32(4, 3, low=0.0, high=1.0), f32(4, 3, low=0.0, high=1.0, seed=1), _SOME),
)
class KLDivergence(_Wrapped):
    """sum(t * log(t / p)), both clipped to [1e-7, 1]."""

    formula = staticmethod(_formulas.kl_divergence)

    def __init__(self, reduction="sum_over_batch_size", name="kl_divergence", dtype=None):
        super().__init__(name, reduction, dtype)


@rule("tf.keras.losses.Poisson", "tf.losses.Poisson")
@prove(then=(f32(4, 3, low=0.0, high=3.0), f32(4, 3, low=0.1, high=3.0, seed=1)))
@prove(reduction="sum", then=(f32(4, 3, low=0.0, high=3.0), f32(4, 3, low=0.1, high=3.0, seed=1)))
@prove(reduction="none", then=(f32(4, 3, low=0.0, high=3.0), f32(4, 3, low=0.1, high=3.0, seed=1)))
@prove(then=(f32(4, 3, low=0.0, high=3.0), f32(4, 3, low=0.1, high=3.0, seed=1), f32(4, low=0.0, high=2.0)))
@prove(
    reduction=None,
    then=(f32(4, 3, low=0.0, high=3.0), f32(4, 3, low=0.1, high=3.0, seed=1), {"sample_weight": _SOME}),
)
@prove(
    reduction="mean_with_sample_weight",
    then=(f32(4, 3, low=0.0, high=3.0), f32(4, 3, low=0.1, high=3.0, seed=1), _SOME),
)
class Poisson(_Wrapped):
    """mean(p - t * log(p + 1e-7)); torch poisson_nll_loss takes logarithms by default."""

    formula = staticmethod(_formulas.poisson)

    def __init__(self, reduction="sum_over_batch_size", name="poisson", dtype=None):
        super().__init__(name, reduction, dtype)


@rule("tf.keras.losses.Hinge", "tf.losses.Hinge")
@prove(then=(i32(4, 3, low=0, high=2), f32(4, 3, seed=1)))
@prove(reduction="sum", then=(i32(4, 3, low=0, high=2), f32(4, 3, seed=1)))
@prove(reduction="none", then=(i32(4, 3, low=0, high=2), f32(4, 3, seed=1)))
@prove(then=(i32(4, 3, low=0, high=2), f32(4, 3, seed=1), f32(4, low=0.0, high=2.0)))
@prove(reduction=None, then=(i32(4, 3, low=0, high=2), f32(4, 3, seed=1), {"sample_weight": _SOME}))
@prove(reduction="mean_with_sample_weight", then=(i32(4, 3, low=0, high=2), f32(4, 3, seed=1), _SOME))
class Hinge(_Wrapped):
    """mean(max(1 - t * p, 0)); labels 0 and 1 become -1 and 1."""

    formula = staticmethod(_formulas.hinge)

    def __init__(self, reduction="sum_over_batch_size", name="hinge", dtype=None):
        super().__init__(name, reduction, dtype)


@rule("tf.keras.losses.SquaredHinge", "tf.losses.SquaredHinge")
@prove(then=(i32(4, 3, low=0, high=2), f32(4, 3, seed=1)))
@prove(reduction="sum", then=(i32(4, 3, low=0, high=2), f32(4, 3, seed=1)))
@prove(reduction="none", then=(i32(4, 3, low=0, high=2), f32(4, 3, seed=1)))
@prove(then=(i32(4, 3, low=0, high=2), f32(4, 3, seed=1), f32(4, low=0.0, high=2.0)))
@prove(reduction=None, then=(i32(4, 3, low=0, high=2), f32(4, 3, seed=1), {"sample_weight": _SOME}))
@prove(reduction="mean_with_sample_weight", then=(i32(4, 3, low=0, high=2), f32(4, 3, seed=1), _SOME))
class SquaredHinge(_Wrapped):
    """mean(max(1 - t * p, 0) ** 2)."""

    formula = staticmethod(_formulas.squared_hinge)

    def __init__(self, reduction="sum_over_batch_size", name="squared_hinge", dtype=None):
        super().__init__(name, reduction, dtype)


@rule("tf.keras.losses.CategoricalHinge", "tf.losses.CategoricalHinge")
@prove(then=(_HOT, f32(4, 3, seed=1)))
@prove(reduction="sum", then=(_HOT, f32(4, 3, seed=1)))
@prove(reduction="none", then=(_HOT, f32(4, 3, seed=1)))
@prove(then=(_HOT, f32(4, 3, seed=1), f32(4, low=0.0, high=2.0)))
@prove(reduction=None, then=(_HOT, f32(4, 3, seed=1), {"sample_weight": _SOME}))
@prove(reduction="mean_with_sample_weight", then=(_HOT, f32(4, 3, seed=1), _SOME))
class CategoricalHinge(_Wrapped):
    """max(0, best wrong score - right score + 1)."""

    formula = staticmethod(_formulas.categorical_hinge)

    def __init__(self, reduction="sum_over_batch_size", name="categorical_hinge", dtype=None):
        super().__init__(name, reduction, dtype)


@rule("tf.keras.losses.BinaryCrossentropy", "tf.losses.BinaryCrossentropy")
@prove(then=(i32(4, 3, low=0, high=2), f32(4, 3, low=0.0, high=1.0, seed=1)))
@prove(reduction="sum", then=(i32(4, 3, low=0, high=2), f32(4, 3, low=0.0, high=1.0, seed=1)))
@prove(reduction="none", then=(i32(4, 3, low=0, high=2), f32(4, 3, low=0.0, high=1.0, seed=1)))
@prove(then=(i32(4, 3, low=0, high=2), f32(4, 3, low=0.0, high=1.0, seed=1), f32(4, low=0.0, high=2.0)))
@prove(
    reduction=None,
    then=(i32(4, 3, low=0, high=2), f32(4, 3, low=0.0, high=1.0, seed=1), {"sample_weight": _SOME}),
)
@prove(
    reduction="mean_with_sample_weight",
    then=(i32(4, 3, low=0, high=2), f32(4, 3, low=0.0, high=1.0, seed=1), _SOME),
)
@prove(from_logits=True, then=(i32(4, 3, low=0, high=2), f32(4, 3)))
@prove(label_smoothing=0.1, then=(i32(4, 3, low=0, high=2), f32(4, 3, low=0.0, high=1.0, seed=1)))
class BinaryCrossentropy(_Wrapped):
    """Probabilities by default, clipped to [1e-7, 1 - 1e-7]; mean over the axis."""

    formula = staticmethod(_formulas.binary_crossentropy)

    def __init__(
        self, from_logits=False, label_smoothing=0.0, axis=-1, reduction="sum_over_batch_size",
        name="binary_crossentropy", dtype=None,
    ):  # fmt: skip
        super().__init__(name, reduction, dtype)
        self.from_logits, self.label_smoothing, self.axis = from_logits, label_smoothing, axis

    def options(self):
        return {"from_logits": self.from_logits, "label_smoothing": self.label_smoothing, "axis": self.axis}


@rule("tf.keras.losses.BinaryFocalCrossentropy", "tf.losses.BinaryFocalCrossentropy")
@prove(then=(i32(4, 3, low=0, high=2), f32(4, 3, low=0.0, high=1.0, seed=1)))
@prove(reduction="sum", then=(i32(4, 3, low=0, high=2), f32(4, 3, low=0.0, high=1.0, seed=1)))
@prove(reduction="none", then=(i32(4, 3, low=0, high=2), f32(4, 3, low=0.0, high=1.0, seed=1)))
@prove(then=(i32(4, 3, low=0, high=2), f32(4, 3, low=0.0, high=1.0, seed=1), f32(4, low=0.0, high=2.0)))
@prove(
    reduction=None,
    then=(i32(4, 3, low=0, high=2), f32(4, 3, low=0.0, high=1.0, seed=1), {"sample_weight": _SOME}),
)
@prove(
    reduction="mean_with_sample_weight",
    then=(i32(4, 3, low=0, high=2), f32(4, 3, low=0.0, high=1.0, seed=1), _SOME),
)
@prove(alpha=0.4, gamma=1.0, then=(i32(4, 3, low=0, high=2), f32(4, 3, low=0.0, high=1.0, seed=1)))
@prove(from_logits=True, then=(i32(4, 3, low=0, high=2), f32(4, 3)))
@prove(label_smoothing=0.1, then=(i32(4, 3, low=0, high=2), f32(4, 3, low=0.0, high=1.0, seed=1)))
class BinaryFocalCrossentropy(_Wrapped):
    """Binary cross entropy times (1 - p) ** gamma."""

    formula = staticmethod(_formulas.binary_focal_crossentropy)

    def __init__(
        self, apply_class_balancing=False, alpha=0.25, gamma=2.0, from_logits=False,
        label_smoothing=0.0, axis=-1, reduction="sum_over_batch_size",
        name="binary_focal_crossentropy", dtype=None,
    ):  # fmt: skip
        super().__init__(name, reduction, dtype)
        (
            self.apply_class_balancing,
            self.alpha,
            self.gamma,
            self.from_logits,
            self.label_smoothing,
            self.axis,
        ) = apply_class_balancing, alpha, gamma, from_logits, label_smoothing, axis

    def options(self):
        return {
            "apply_class_balancing": self.apply_class_balancing,
            "alpha": self.alpha,
            "gamma": self.gamma,
            "from_logits": self.from_logits,
            "label_smoothing": self.label_smoothing,
            "axis": self.axis,
        }


@rule("tf.keras.losses.CategoricalCrossentropy", "tf.losses.CategoricalCrossentropy")
@prove(then=(_HOT, f32(4, 3, low=0.01, high=1.0, seed=1)))
@prove(reduction="sum", then=(_HOT, f32(4, 3, low=0.01, high=1.0, seed=1)))
@prove(reduction="none", then=(_HOT, f32(4, 3, low=0.01, high=1.0, seed=1)))
@prove(then=(_HOT, f32(4, 3, low=0.01, high=1.0, seed=1), f32(4, low=0.0, high=2.0)))
@prove(reduction=None, then=(_HOT, f32(4, 3, low=0.01, high=1.0, seed=1), {"sample_weight": _SOME}))
@prove(reduction="mean_with_sample_weight", then=(_HOT, f32(4, 3, low=0.01, high=1.0, seed=1), _SOME))
@prove(from_logits=True, then=(_HOT, f32(4, 3)))
@prove(label_smoothing=0.1, then=(_HOT, f32(4, 3, low=0.01, high=1.0, seed=1)))
class CategoricalCrossentropy(_Wrapped):
    """Probabilities by default, divided by their sum and clipped to [1e-7, 1 - 1e-7]."""

    formula = staticmethod(_formulas.categorical_crossentropy)

    def __init__(
        self, from_logits=False, label_smoothing=0.0, axis=-1, reduction="sum_over_batch_size",
        name="categorical_crossentropy", dtype=None,
    ):  # fmt: skip
        super().__init__(name, reduction, dtype)
        self.from_logits, self.label_smoothing, self.axis = from_logits, label_smoothing, axis

    def options(self):
        return {"from_logits": self.from_logits, "label_smoothing": self.label_smoothing, "axis": self.axis}


@rule("tf.keras.losses.CategoricalFocalCrossentropy", "tf.losses.CategoricalFocalCrossentropy")
@prove(then=(_HOT, f32(4, 3, low=0.01, high=1.0, seed=1)))
@prove(reduction="sum", then=(_HOT, f32(4, 3, low=0.01, high=1.0, seed=1)))
@prove(reduction="none", then=(_HOT, f32(4, 3, low=0.01, high=1.0, seed=1)))
@prove(then=(_HOT, f32(4, 3, low=0.01, high=1.0, seed=1), f32(4, low=0.0, high=2.0)))
@prove(reduction=None, then=(_HOT, f32(4, 3, low=0.01, high=1.0, seed=1), {"sample_weight": _SOME}))
@prove(reduction="mean_with_sample_weight", then=(_HOT, f32(4, 3, low=0.01, high=1.0, seed=1), _SOME))
@prove(alpha=0.4, gamma=1.0, then=(_HOT, f32(4, 3, low=0.01, high=1.0, seed=1)))
@prove(from_logits=True, then=(_HOT, f32(4, 3)))
@prove(label_smoothing=0.1, then=(_HOT, f32(4, 3, low=0.01, high=1.0, seed=1)))
class CategoricalFocalCrossentropy(_Wrapped):
    """Categorical cross entropy times alpha * (1 - p) ** gamma."""

    formula = staticmethod(_formulas.categorical_focal_crossentropy)

    def __init__(
        self, alpha=0.25, gamma=2.0, from_logits=False, label_smoothing=0.0, axis=-1,
        reduction="sum_over_batch_size", name="categorical_focal_crossentropy", dtype=None,
    ):  # fmt: skip
        super().__init__(name, reduction, dtype)
        self.alpha, self.gamma, self.from_logits, self.label_smoothing, self.axis = (
            alpha,
            gamma,
            from_logits,
            label_smoothing,
            axis,
        )

    def options(self):
        return {
            "alpha": self.alpha,
            "gamma": self.gamma,
            "from_logits": self.from_logits,
            "label_smoothing": self.label_smoothing,
            "axis": self.axis,
        }


@rule("tf.keras.losses.SparseCategoricalCrossentropy", "tf.losses.SparseCategoricalCrossentropy")
@prove(then=(i32(4, low=0, high=3), f32(4, 3, low=0.01, high=1.0, seed=1)))
@prove(reduction="sum", then=(i32(4, low=0, high=3), f32(4, 3, low=0.01, high=1.0, seed=1)))
@prove(reduction="none", then=(i32(4, low=0, high=3), f32(4, 3, low=0.01, high=1.0, seed=1)))
@prove(then=(i32(4, low=0, high=3), f32(4, 3, low=0.01, high=1.0, seed=1), f32(4, low=0.0, high=2.0)))
@prove(
    reduction=None,
    then=(i32(4, low=0, high=3), f32(4, 3, low=0.01, high=1.0, seed=1), {"sample_weight": _SOME}),
)
@prove(
    reduction="mean_with_sample_weight",
    then=(i32(4, low=0, high=3), f32(4, 3, low=0.01, high=1.0, seed=1), _SOME),
)
@prove(from_logits=True, then=(i32(4, low=0, high=3), f32(4, 3)))
@prove(from_logits=True, ignore_class=-1, then=(array([0, -1, 2, 1], "int32"), f32(4, 3)))
@prove(
    from_logits=True,
    ignore_class=0,
    then=(array([0, 0, 2, 1], "int32"), f32(4, 3), f32(4, low=0.0, high=1.0)),
)
@prove(from_logits=True, reduction="sum", ignore_class=0, then=(array([0, 0, 2, 1], "int32"), f32(4, 3)))
class SparseCategoricalCrossentropy(_Wrapped):
    """Class numbers; probabilities by default, clipped at 1e-7 and normalised by a softmax."""

    formula = staticmethod(_formulas.sparse_categorical_crossentropy)

    def __init__(
        self, from_logits=False, ignore_class=None, reduction="sum_over_batch_size", axis=-1,
        name="sparse_categorical_crossentropy", dtype=None,
    ):  # fmt: skip
        super().__init__(name, reduction, dtype)
        self.from_logits, self.ignore_class, self.axis = from_logits, ignore_class, axis

    def options(self):
        return {"from_logits": self.from_logits, "ignore_class": self.ignore_class, "axis": self.axis}

    def mask(self, y_true, losses):
        if self.ignore_class is None:
            return None
        return (y_true != self.ignore_class).reshape(losses.shape)


@rule("tf.keras.losses.Dice", "tf.losses.Dice")
@prove(then=(f32(4, 3, low=0.0, high=1.0), f32(4, 3, low=0.0, high=1.0, seed=1)))
@prove(reduction="sum", then=(f32(4, 3, low=0.0, high=1.0), f32(4, 3, low=0.0, high=1.0, seed=1)))
@prove(reduction="none", then=(f32(4, 3, low=0.0, high=1.0), f32(4, 3, low=0.0, high=1.0, seed=1)))
class Dice(_Wrapped):
    """1 - 2 * overlap / (sum of both)."""

    formula = staticmethod(_formulas.dice)

    def __init__(self, reduction="sum_over_batch_size", name="dice", axis=None, dtype=None):
        super().__init__(name, reduction, dtype)
        self.axis = axis

    def options(self):
        return {"axis": self.axis}


@rule("tf.keras.losses.Tversky", "tf.losses.Tversky")
@prove(then=(f32(4, 3, low=0.0, high=1.0), f32(4, 3, low=0.0, high=1.0, seed=1)))
@prove(reduction="sum", then=(f32(4, 3, low=0.0, high=1.0), f32(4, 3, low=0.0, high=1.0, seed=1)))
@prove(reduction="none", then=(f32(4, 3, low=0.0, high=1.0), f32(4, 3, low=0.0, high=1.0, seed=1)))
class Tversky(_Wrapped):
    """Dice with a weight each for misses and inventions."""

    formula = staticmethod(_formulas.tversky)

    def __init__(
        self, alpha=0.5, beta=0.5, reduction="sum_over_batch_size", name="tversky", axis=None,
        dtype=None,
    ):  # fmt: skip
        super().__init__(name, reduction, dtype)
        self.alpha, self.beta, self.axis = alpha, beta, axis

    def options(self):
        return {"alpha": self.alpha, "beta": self.beta, "axis": self.axis}


CONSTANTS = {
    "tf.keras.losses.Reduction.NONE": "none",
    "tf.keras.losses.Reduction.SUM": "sum",
    "tf.keras.losses.Reduction.AUTO": "auto",
    "tf.keras.losses.Reduction.SUM_OVER_BATCH_SIZE": "sum_over_batch_size",
}
