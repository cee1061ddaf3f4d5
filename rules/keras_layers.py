"""Keras' core, normalisation, activation, reshaping and merging layers as torch modules.

Facts of the input a builder may ask for: ``channels`` (size of the last axis in TensorFlow's order), ``size`` (all
sizes after the batch, in the order of the value), ``dim`` (position of the channel axis in the value's layout).
``axis`` comes as a position in the value's layout. Source of the facts: https://keras.io/api/layers/
"""

from __future__ import annotations

from torch import nn

from tfport.compat.keras import modules, wrappers
from tfport.rule import layer


@layer("tf.keras.layers.Dense", layout="last",
       weights={"kernel": ("weight", "i o -> o i"), "bias": ("bias", "o -> o")})  # fmt: skip
def Dense(units, activation=None, use_bias=True, kernel_initializer="glorot_uniform", bias_initializer="zeros",
          kernel_regularizer=None, bias_regularizer=None, activity_regularizer=None, kernel_constraint=None,
          bias_constraint=None, *, channels):  # fmt: skip
    """nn.Linear over the last axis, any rank."""
    return nn.Linear(channels, units, bias=use_bias)


@layer("tf.keras.layers.Embedding", layout="last", weights={"embeddings": ("weight", "v e -> v e")})
def Embedding(input_dim, output_dim, embeddings_initializer="uniform", embeddings_regularizer=None,
              embeddings_constraint=None, mask_zero=False, weights=None):  # fmt: skip
    """nn.Embedding; Keras draws from uniform(-0.05, 0.05), torch from a standard normal."""
    return nn.Embedding(input_dim, output_dim)


@layer("tf.keras.layers.ReversibleEmbedding", layout="call",
       weights={"embeddings": ("weight", "v e -> v e"), "reverse_embeddings": ("reverse", "e v -> e v")})  # fmt: skip
def ReversibleEmbedding(input_dim, output_dim, tie_weights=True, embeddings_initializer="uniform",
                        embeddings_regularizer=None, embeddings_constraint=None, mask_zero=False, reverse_dtype=None,
                        logit_soft_cap=None):  # fmt: skip
    """An embedding that also projects back to the vocabulary, with ``reverse=True``."""
    return modules.ReversibleEmbedding(input_dim, output_dim, tie_weights, reverse_dtype, logit_soft_cap)


@layer("tf.keras.layers.BatchNormalization", "tf.keras.layers.BatchNormalizationV1",
       "tf.keras.layers.BatchNormalizationV2", layout="first",
       weights={"gamma": ("weight", "o -> o"), "beta": ("bias", "o -> o"), "moving_mean": ("running_mean", "o -> o"),
                "moving_variance": ("running_var", "o -> o")})  # fmt: skip
def BatchNormalization(axis=-1, momentum=0.99, epsilon=1e-3, center=True, scale=True, beta_initializer="zeros",
                       gamma_initializer="ones", moving_mean_initializer="zeros", moving_variance_initializer="ones",
                       beta_regularizer=None, gamma_regularizer=None, beta_constraint=None, gamma_constraint=None,
                       renorm=False, renorm_clipping=None, renorm_momentum=0.99, synchronized=False, *,
                       channels):  # fmt: skip
    """Momentum is 1 - Keras', epsilon 1e-3; Keras 3 stores the batch's biased variance, nn.BatchNorm2d the unbiased one."""
    if renorm:
        raise NotImplementedError(
            "BatchNormalization(renorm=True) has no torch twin; train it with renorm=False"
        )
    return modules.BatchNorm(
        channels, eps=epsilon, momentum=round(1 - momentum, 12), scale=scale, center=center
    )


@layer("tf.keras.layers.LayerNormalization", layout="last",
       weights={"gamma": ("weight", "... -> ..."), "beta": ("bias", "... -> ...")})  # fmt: skip
def LayerNormalization(axis=-1, epsilon=1e-3, center=True, scale=True, beta_initializer="zeros",
                       gamma_initializer="ones", beta_regularizer=None, gamma_regularizer=None, beta_constraint=None,
                       gamma_constraint=None, *, channels, size, shape, rank):  # fmt: skip
    """nn.LayerNorm with Keras' epsilon 1e-3 over trailing axes; other axes have a module of their own."""
    if isinstance(axis, int) and (axis == -1 or axis == rank - 1) and scale:
        return nn.LayerNorm(channels, eps=epsilon, bias=center)
    if isinstance(axis, int) and (axis == -1 or axis == rank - 1):
        return modules.LayerNorm(channels, eps=epsilon, scale=scale, center=center)
    if isinstance(axis, int):
        return modules.AxesNorm(shape, (axis,), eps=epsilon, scale=scale, center=center)
    if axis[0] == rank - len(axis) and axis[-1] == rank - 1 and len(axis) < 4:
        return modules.LayerNorm(size[-len(axis) :], eps=epsilon, scale=scale, center=center)
    if axis[0] == -len(axis) and axis[-1] == -1 and len(axis) < 4:
        return modules.LayerNorm(size[-len(axis) :], eps=epsilon, scale=scale, center=center)
    return modules.AxesNorm(shape, axis, eps=epsilon, scale=scale, center=center)


@layer("tf.keras.layers.RMSNormalization", layout="last", weights={"scale": ("weight", "... -> ...")})
def RMSNormalization(axis=-1, epsilon=1e-6, *, channels, shape, rank):
    """Root mean square over the last axis or several, epsilon 1e-6."""
    if isinstance(axis, int) and (axis == -1 or axis == rank - 1):
        return modules.RMSNorm(channels, eps=epsilon)
    if isinstance(axis, int):
        return modules.RMSNorm(shape[axis], eps=epsilon, dim=axis)
    return modules.RMSNorm(tuple(shape[a] for a in sorted(axis)), eps=epsilon, dim=tuple(axis))


@layer("tf.keras.layers.UnitNormalization", layout="any")
def UnitNormalization(axis=-1):
    """Length 1 along the axis or axes."""
    return modules.UnitNorm(axis)


@layer("tf.keras.layers.SpectralNormalization", layout="call",
       weights={"*": "spectral"})  # fmt: skip
def SpectralNormalization(layer, power_iterations=1, *, shape):
    """In training the layer's kernel is divided by its largest singular value before each call."""
    return wrappers.spectral(layer, power_iterations, shape)


@layer("tf.keras.layers.EinsumDense", "tf.keras.layers.experimental.EinsumDense", layout="last",
       weights={"kernel": ("weight", "... -> ..."), "bias": ("bias", "... -> ...")})  # fmt: skip
def EinsumDense(equation, output_shape, activation=None, bias_axes=None, kernel_initializer="glorot_uniform",
                bias_initializer="zeros", kernel_regularizer=None, bias_regularizer=None, kernel_constraint=None,
                bias_constraint=None, lora_rank=None, *, shape):  # fmt: skip
    """torch.einsum with the kernel in Keras' shape."""
    if lora_rank is not None:
        raise NotImplementedError("EinsumDense(lora_rank=...): merge the LoRA weights first")
    return wrappers.einsum_dense(equation, output_shape, bias_axes, shape)


@layer("tf.keras.layers.GroupNormalization", layout="first",
       weights={"gamma": ("weight", "o -> o"), "beta": ("bias", "o -> o")})  # fmt: skip
def GroupNormalization(groups=32, axis=-1, epsilon=1e-3, center=True, scale=True, beta_initializer="zeros",
                       gamma_initializer="ones", beta_regularizer=None, gamma_regularizer=None, beta_constraint=None,
                       gamma_constraint=None, *, channels):  # fmt: skip
    """nn.GroupNorm with Keras' epsilon 1e-3; groups -1 is one per channel."""
    if scale != center and groups == -1:
        return modules.GroupNorm(channels, channels, eps=epsilon, scale=scale, center=center)
    if scale != center:
        return modules.GroupNorm(groups, channels, eps=epsilon, scale=scale, center=center)
    if groups == -1:
        return nn.GroupNorm(channels, channels, eps=epsilon, affine=scale)
    return nn.GroupNorm(groups, channels, eps=epsilon, affine=scale)


@layer("tf.keras.layers.Normalization", "tf.keras.layers.experimental.preprocessing.Normalization", layout="any",
       weights={"mean": ("mean", "... -> ..."), "variance": ("variance", "... -> ...")})  # fmt: skip
def Normalization(axis=-1, mean=None, variance=None, invert=False, *, size):
    """(x - mean) / max(sqrt(variance), 1e-7) per index of ``axis``, or of everything where it is None."""
    if axis is None:
        return modules.Normalization(None, mean, variance, dim=None, invert=invert)
    if not isinstance(axis, int):
        raise NotImplementedError(
            "Normalization over the indices of several axes: reshape to one axis before it"
        )
    if axis < 0:
        return modules.Normalization(size[axis], mean, variance, dim=axis, invert=invert)
    return modules.Normalization(size[axis - 1], mean, variance, dim=axis, invert=invert)


@layer("tf.keras.layers.Rescaling", "tf.keras.layers.experimental.preprocessing.Rescaling", layout="any")
def Rescaling(scale, offset=0.0, *, dim):
    """x * scale + offset; lists count along the channels."""
    return modules.Rescaling(scale, offset, dim=dim)


@layer("tf.keras.layers.Dropout", layout="any")
def Dropout(rate, noise_shape=None, seed=None):
    """nn.Dropout; ``noise_shape`` comes in the value's layout."""
    if noise_shape is None:
        return nn.Dropout(rate)
    return modules.Dropout(rate, noise_shape)


@layer("tf.keras.layers.AlphaDropout", layout="any")
def AlphaDropout(rate, noise_shape=None, seed=None):
    """nn.AlphaDropout."""
    return nn.AlphaDropout(rate)


@layer("tf.keras.layers.Masking", layout="last")
def Masking(mask_value=0.0):
    """Zeros where all features of a step equal ``mask_value``; the mask goes on to the layers that take one."""
    return modules.Masking(mask_value)


@layer("tf.keras.layers.GaussianNoise", layout="any")
def GaussianNoise(stddev, seed=None):
    """Normal noise in training."""
    return modules.GaussianNoise(stddev)


@layer("tf.keras.layers.GaussianDropout", layout="any")
def GaussianDropout(rate, seed=None):
    """Times normal noise with mean 1 and variance rate / (1 - rate) in training."""
    return modules.GaussianDropout(rate)


@layer("tf.keras.layers.Flatten", layout="flatten")
def Flatten(data_format=None):
    """All axes after the batch to one, in TensorFlow's order: of an NCHW value the channels must vary fastest."""
    return nn.Flatten()


@layer("tf.keras.layers.Reshape", layout="reshape")
def Reshape(target_shape):
    """The axes after the batch to ``target_shape``."""
    return modules.Reshape(target_shape)


@layer("tf.keras.layers.Permute", layout="last")
def Permute(dims):
    """The axes after the batch in another order, counted from 1."""
    return modules.Permute(dims)


@layer("tf.keras.layers.RepeatVector", layout="last")
def RepeatVector(n):
    """(N, C) to (N, n, C)."""
    return modules.RepeatVector(n)


@layer("tf.keras.layers.Activation", layout="any")
def Activation(activation):
    """The activation alone; the caller puts the function in."""
    return nn.Identity()


@layer("tf.keras.layers.Identity", layout="any")
def Identity():
    """The input."""
    return nn.Identity()


@layer("tf.keras.layers.ActivityRegularization", layout="any")
def ActivityRegularization(l1=0.0, l2=0.0):
    """The input; the penalty is a term of the loss that training code adds."""
    return nn.Identity()


@layer("tf.keras.layers.ReLU", layout="any")
def ReLU(max_value=None, negative_slope=0.0, threshold=0.0):
    """nn.ReLU, nn.ReLU6 or nn.LeakyReLU where the numbers are theirs."""
    if max_value is None and negative_slope == 0 and threshold == 0:
        return nn.ReLU()
    if max_value == 6 and negative_slope == 0 and threshold == 0:
        return nn.ReLU6()
    if max_value is None and threshold == 0:
        return nn.LeakyReLU(negative_slope)
    return modules.ReLU(max_value, negative_slope, threshold)


@layer("tf.keras.layers.ThresholdedReLU", layout="any")
def ThresholdedReLU(theta=1.0):
    """x where it is above theta, else 0 (Keras 2)."""
    return modules.ReLU(None, 0.0, theta)


@layer(
    "tf.keras.layers.Discretization",
    "tf.keras.layers.experimental.preprocessing.Discretization",
    layout="any",
)
def Discretization(bin_boundaries=None, num_bins=None, epsilon=0.01, output_mode="int", sparse=False):
    """The number of the bin; a value on a boundary belongs to the bin above it."""
    if output_mode != "int" or bin_boundaries is None:
        raise NotImplementedError(
            "Discretization with bin_boundaries and output_mode='int' is ported; adapt() is not"
        )
    return modules.Discretization(bin_boundaries)


@layer("tf.keras.layers.LeakyReLU", layout="any", renamed={"alpha": "negative_slope"})
def LeakyReLU(negative_slope=0.3):
    """nn.LeakyReLU with Keras' slope .3 (torch's default is .01)."""
    return nn.LeakyReLU(negative_slope)


@layer("tf.keras.layers.PReLU", layout="first", weights={"alpha": ("weight", "... c -> c ...")})
def PReLU(
    alpha_initializer="zeros", alpha_regularizer=None, alpha_constraint=None, shared_axes=None, *, size
):
    """One slope per element after the batch, unless ``shared_axes`` (counted from 1, as positions of the value)."""
    if shared_axes is None:
        return modules.PReLU(size)
    return modules.PReLU([1 if i + 1 in shared_axes else n for i, n in enumerate(size)])


@layer("tf.keras.layers.ELU", layout="any")
def ELU(alpha=1.0):
    """nn.ELU."""
    return nn.ELU(alpha)


@layer("tf.keras.layers.Softmax", layout="any")
def Softmax(axis=-1, *, masked):
    """nn.Softmax; one with a mask has zeros where it is False."""
    if masked:
        return modules.MaskedSoftmax(axis)
    if isinstance(axis, int):
        return nn.Softmax(dim=axis)
    return modules.Softmax(axis)


@layer("tf.keras.layers.Add", layout="any")
def Add():
    """Sum of the inputs."""
    return modules.Add()


@layer("tf.keras.layers.Subtract", layout="any")
def Subtract():
    """First minus second."""
    return modules.Subtract()


@layer("tf.keras.layers.Multiply", layout="any")
def Multiply():
    """Product of the inputs."""
    return modules.Multiply()


@layer("tf.keras.layers.Average", layout="any")
def Average():
    """Mean of the inputs."""
    return modules.Average()


@layer("tf.keras.layers.Maximum", layout="any")
def Maximum():
    """Largest of the inputs."""
    return modules.Maximum()


@layer("tf.keras.layers.Minimum", layout="any")
def Minimum():
    """Smallest of the inputs."""
    return modules.Minimum()


@layer("tf.keras.layers.Concatenate", layout="any")
def Concatenate(axis=-1):
    """torch.cat."""
    return modules.Concatenate(dim=axis)


@layer("tf.keras.layers.Dot", layout="last")
def Dot(axes, normalize=False):
    """Batched product over one axis of each input."""
    if isinstance(axes, int):
        return modules.Dot((axes, axes), normalize)
    return modules.Dot(axes, normalize)
