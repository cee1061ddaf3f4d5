"""Every ported Keras layer against Keras: outputs, gradients of weights and inputs, statistics in training."""

from __future__ import annotations

import pytest
import torch
from against_keras import compare, compat, keras


def single(shape, make, batch=3, **options):
    """A model of one layer on an input of this shape (without the batch)."""

    def build(keras):
        x = keras.Input(shape)
        return keras.Model(x, make(keras.layers)(x))

    return compare(build, (batch, *shape), **options)


CONVOLUTIONS = [
    dict(kernel_size=3),
    dict(kernel_size=3, padding="same"),
    dict(kernel_size=(3, 2), padding="SAME", activation="relu"),
    dict(kernel_size=3, strides=2, padding="same"),
    dict(kernel_size=5, strides=(2, 3), padding="same", use_bias=False),
    dict(kernel_size=2, strides=3, padding="same"),
    dict(kernel_size=1, strides=2, padding="same"),
    dict(kernel_size=3, dilation_rate=2, padding="same"),
    dict(kernel_size=3, dilation_rate=(2, 1)),
]


@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
def test_conv2d(size, options):
    single((*size, 4), lambda layers: layers.Conv2D(6, **options))


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_conv2d_of_groups(padding):
    single((8, 7, 4), lambda layers: layers.Conv2D(6, 3, groups=2, strides=2, padding=padding))


@pytest.mark.parametrize(
    "options", [dict(), dict(padding="same", strides=2), dict(padding="causal", dilation_rate=2)], ids=str
)
@pytest.mark.parametrize("steps", [8, 9])
def test_conv1d(steps, options):
    single((steps, 3), lambda layers: layers.Conv1D(5, 3, **options))


@pytest.mark.parametrize("options", [dict(), dict(padding="same"), dict(padding="same", strides=2)], ids=str)
def test_conv3d(options):
    single((4, 5, 6, 2), lambda layers: layers.Conv3D(3, 3, **options))


@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize("options", [dict(), dict(padding="same"), dict(padding="same", strides=2)], ids=str)
def test_depthwise_conv2d(size, multiplier, options):
    single((*size, 3), lambda layers: layers.DepthwiseConv2D(3, depth_multiplier=multiplier, **options))


def test_depthwise_conv1d():
    single((9, 3), lambda layers: layers.DepthwiseConv1D(3, depth_multiplier=2, strides=2, padding="same"))


@pytest.mark.parametrize(
    "options", [dict(), dict(padding="same", depth_multiplier=2), dict(padding="same", strides=2)], ids=str
)
def test_separable_conv2d(options):
    single((8, 7, 3), lambda layers: layers.SeparableConv2D(5, 3, activation="tanh", **options))


def test_separable_conv1d():
    single((9, 3), lambda layers: layers.SeparableConv1D(5, 3, padding="same", strides=2))


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_conv2d_transpose(kernel, strides, padding):
    # TensorFlow's own gradient of a kernel smaller than its stride may crash the process (2.21, CPU)
    single((4, 5, 3), lambda layers: layers.Conv2DTranspose(2, kernel, strides=strides, padding=padding),
           gradients=kernel >= strides)  # fmt: skip


def test_conv2d_transpose_with_uneven_windows():
    single(
        (4, 5, 3),
        lambda layers: layers.Conv2DTranspose(2, (3, 2), strides=(2, 1), padding="same", use_bias=False),
    )


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_conv1d_and_conv3d_transpose(padding):
    single((5, 3), lambda layers: layers.Conv1DTranspose(2, 3, strides=2, padding=padding))
    single((3, 3, 3, 2), lambda layers: layers.Conv3DTranspose(2, 3, strides=2, padding=padding))


@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
@pytest.mark.parametrize("kind", ["MaxPooling2D", "AveragePooling2D"])
@pytest.mark.parametrize("options", [
    dict(pool_size=2), dict(pool_size=3, strides=2), dict(pool_size=3, strides=2, padding="same"),
    dict(pool_size=(2, 3), strides=1, padding="same"), dict(pool_size=2, padding="same"),
], ids=str)  # fmt: skip
def test_pooling2d(size, kind, options):
    single((*size, 3), lambda layers: getattr(layers, kind)(**options))


@pytest.mark.parametrize("kind", ["MaxPooling", "AveragePooling"])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_pooling1d_and_3d(kind, padding):
    single((7, 3), lambda layers: getattr(layers, f"{kind}1D")(3, strides=2, padding=padding))
    single((5, 6, 7, 2), lambda layers: getattr(layers, f"{kind}3D")(2, padding=padding))


@pytest.mark.parametrize("kind", ["GlobalMaxPooling", "GlobalAveragePooling"])
@pytest.mark.parametrize("keepdims", [False, True])
def test_global_pooling(kind, keepdims):
    single((5, 3), lambda layers: getattr(layers, f"{kind}1D")(keepdims=keepdims))
    single((5, 4, 3), lambda layers: getattr(layers, f"{kind}2D")(keepdims=keepdims))
    single((2, 5, 4, 3), lambda layers: getattr(layers, f"{kind}3D")(keepdims=keepdims))


def test_global_max_pooling_shares_the_gradient_of_ties():
    def build(keras):
        x = keras.Input((4, 4, 2))
        return keras.Model(
            x, keras.layers.GlobalMaxPooling2D()(keras.layers.ReLU()(keras.layers.Rescaling(1.0, -9.0)(x)))
        )

    compare(build, (2, 4, 4, 2))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("shape", [(6,), (5, 6), (4, 5, 6), (2, 3, 4, 6)])
def test_batch_normalization(shape, training):
    single(shape, lambda layers: layers.BatchNormalization(momentum=0.9), batch=8, training=training)


@pytest.mark.parametrize(
    "options", [dict(scale=False), dict(center=False), dict(axis=3, epsilon=0.1)], ids=str
)
def test_batch_normalization_options(options):
    single((4, 5, 3), lambda layers: layers.BatchNormalization(**options), training=True)


def test_frozen_batch_normalization_infers_while_training():
    single((4, 5, 3), lambda layers: layers.BatchNormalization(trainable=False), training=True)


@pytest.mark.parametrize(
    "options", [dict(), dict(scale=False), dict(center=False), dict(axis=[1, 2])], ids=str
)
def test_layer_normalization(options):
    single((5, 6), lambda layers: layers.LayerNormalization(**options))


def test_layer_normalization_of_images():
    single((4, 5, 3), lambda layers: layers.LayerNormalization())


@pytest.mark.parametrize("groups", [1, 2, -1])
def test_group_normalization(groups):
    single((4, 5, 6), lambda layers: layers.GroupNormalization(groups))


@pytest.mark.parametrize("shape", [(3,), (4, 3), (4, 5, 3)])
@pytest.mark.parametrize("activation", [None, "relu", "gelu", "softmax"])
def test_dense(shape, activation):
    single(shape, lambda layers: layers.Dense(5, activation))


@pytest.mark.parametrize("name", sorted([
    "celu", "elu", "exponential", "gelu", "hard_sigmoid", "hard_silu", "leaky_relu", "linear", "log_softmax", "mish",
    "relu", "relu6", "selu", "sigmoid", "silu", "softmax", "softplus", "softsign", "swish", "tanh", "log_sigmoid",
    "hard_tanh", "hard_shrink",
]))  # fmt: skip
def test_activation_by_name(name):
    single((4, 3, 5), lambda layers: layers.Activation(name))


@pytest.mark.parametrize("make", [
    lambda layers: layers.ReLU(), lambda layers: layers.ReLU(6.0), lambda layers: layers.ReLU(negative_slope=0.1),
    lambda layers: layers.ReLU(max_value=0.7, negative_slope=0.2, threshold=0.3), lambda layers: layers.LeakyReLU(),
    lambda layers: layers.ELU(0.7), lambda layers: layers.Softmax(), lambda layers: layers.Softmax(axis=1),
    lambda layers: layers.PReLU(), lambda layers: layers.PReLU(shared_axes=[1, 2]),
])  # fmt: skip
@pytest.mark.parametrize("shape", [(4, 3, 5), (4, 3)])
def test_activation_layers(make, shape):
    single(shape, make)


@pytest.mark.parametrize("kind", ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"])
def test_merging(kind):
    def build(keras):
        a, b = keras.Input((4, 3, 2)), keras.Input((4, 1, 2))
        return keras.Model([a, b], getattr(keras.layers, kind)()([a, b]))

    compare(build, (2, 4, 3, 2), (2, 4, 1, 2), rtol=1e-5, gradients=False)


@pytest.mark.parametrize("axis", [-1, 1, 2, 3])
def test_concatenate_of_images(axis):
    def build(keras):
        a, b = keras.Input((4, 4, 4)), keras.Input((4, 4, 4))
        a2 = keras.layers.Conv2D(4, 1)(a)
        return keras.Model([a, b], keras.layers.Concatenate(axis=axis)([a2, b]))

    _, twin = compare(build, (2, 4, 4, 4), (2, 4, 4, 4))
    assert not [n for n in twin.graph.nodes if n.target == "permute"]


@pytest.mark.parametrize("axes", [(1, 1), (2, 1), (2, 2)])
def test_dot(axes):
    def build(keras):
        a, b = keras.Input((4, 4)), keras.Input((4, 4))
        return keras.Model([a, b], keras.layers.Dot(axes=axes)([a, b]))

    compare(build, (2, 4, 4), (2, 4, 4))


@pytest.mark.parametrize("make", [
    lambda layers: layers.ZeroPadding2D(), lambda layers: layers.ZeroPadding2D((1, 2)),
    lambda layers: layers.ZeroPadding2D(((1, 2), (3, 0))), lambda layers: layers.Cropping2D(((1, 0), (0, 2))),
    lambda layers: layers.UpSampling2D(), lambda layers: layers.UpSampling2D((2, 3)),
    lambda layers: layers.UpSampling2D(2, interpolation="bilinear"), lambda layers: layers.Flatten(),
    lambda layers: layers.Reshape((-1, 6)), lambda layers: layers.Permute((2, 3, 1)), lambda layers: layers.Rescaling(0.5, 1.0),
    lambda layers: layers.Rescaling([0.5, 2.0, 3.0], [1.0, 2.0, 3.0]),
    lambda layers: layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0]),
])  # fmt: skip
def test_image_layers_without_weights(make):
    def build(keras):
        x = keras.Input((5, 6, 3))
        y = make(keras.layers)(x)
        return keras.Model(x, keras.layers.Flatten()(y))

    compare(build, (2, 5, 6, 3))


@pytest.mark.parametrize("make", [
    lambda layers: layers.ZeroPadding1D((1, 2)), lambda layers: layers.Cropping1D((1, 2)), lambda layers: layers.UpSampling1D(3),
    lambda layers: layers.Flatten(), lambda layers: layers.Reshape((6, 3)), lambda layers: layers.Permute((2, 1)),
])  # fmt: skip
def test_sequence_layers_without_weights(make):
    single((6, 3), make)


def test_cropping3d_and_discretization():
    single((6, 7, 5, 2), lambda layers: layers.Cropping3D(((1, 2), (0, 1), (2, 0))))
    x = compat.keras.Input((3,))
    twin = compat.keras.Model(x, compat.keras.layers.Discretization([-1.0, 0.0, 2.5])(x))
    values = torch.tensor([[-2.0, -1.0, -0.5], [0.0, 2.5, 3.0]])
    expected = keras.layers.Discretization([-1.0, 0.0, 2.5])(values.numpy())
    assert twin(values).tolist() == expected.numpy().tolist()


def test_repeat_vector():
    single((4,), lambda layers: layers.RepeatVector(3))


def test_embedding():
    single((7,), lambda layers: layers.Embedding(11, 4), integers=11)


@pytest.mark.parametrize("make", [
    lambda layers: layers.Dropout(0.4), lambda layers: layers.SpatialDropout2D(0.4),
])  # fmt: skip
def test_dropout_keeps_the_mean_and_infers_as_identity(make):
    _, twin = single((8, 8, 64), make)
    x = torch.ones(4, 64, 8, 8)
    made = twin.train()(x)
    assert abs(made.mean().item() - 1) < 0.15
    assert set(made.unique().tolist()) == {0.0, made.max().item()}
    assert made.max().item() == pytest.approx(1 / 0.6)


def test_channels_first_is_refused_in_words():
    with pytest.raises(NotImplementedError, match="channels_last"):
        compat.keras.layers.Conv2D(3, 3, data_format="channels_first")


def test_attention_over_several_axes_at_once_is_refused():
    """Keras attends over all axes between batch and features; over a rank of 3 it is one."""
    from tfport import compat

    attention = compat.keras.layers.MultiHeadAttention(2, 3)
    with pytest.raises(NotImplementedError, match=r"rank 4 and 4: \(N, T, features\) is ported"):
        attention(torch.zeros(2, 3, 5, 4), torch.zeros(2, 3, 5, 4))
