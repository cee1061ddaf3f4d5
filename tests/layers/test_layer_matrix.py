"""Every Keras layer with weights, saved by Keras, loaded into its torch twin: forward and gradients equal; a table."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from keras_twins import Pair, compat, errors, keras

TOLERANCE = {"float32": 1e-6, "float64": 1e-12}
CANCELS = dict(
    float32=1e-4
)  # gradients that cancel, so that float32 has fewer digits; float64 shows that they are equal


def one(shape, make):
    """A model of one layer, or of a function of it and its input."""

    def describe(k):
        x = k.Input(shape)
        return k.Model(x, make(k.layers)(x))

    return describe, (shape,)


def many(shapes, make):
    """A model that puts several inputs together: ``make(layers, *inputs)``."""

    def describe(k):
        inputs = [k.Input(shape) for shape in shapes]
        return k.Model(inputs, make(k.layers, *inputs))

    return describe, shapes


def _there_and_back(layer, x):
    return layer(layer(x) * 1.5, reverse=True)


CASES = {}


def case(name, described, **options):
    assert name not in CASES, name
    CASES[name] = (*described, options)


STEPS, IMAGE, VOLUME = (7, 4), (7, 6, 4), (5, 4, 6, 4)

# recurrent
for kind in ("LSTM", "GRU", "SimpleRNN"):
    for text, options in {
        "": {}, " sequences": dict(return_sequences=True), " no bias": dict(use_bias=False),
        " backwards states": dict(go_backwards=True, return_state=True, return_sequences=True),
        " relu": dict(activation="relu"), " softsign": dict(activation="softsign", return_sequences=True),
        " unroll": dict(unroll=True),
    }.items():  # fmt: skip
        case(kind + text, one(STEPS, lambda lay, k=kind, o=options: getattr(lay, k)(5, **o)))
        if text in ("", " sequences", " relu"):
            case(
                f"Bidirectional {kind}{text}",
                one(STEPS, lambda lay, k=kind, o=options: lay.Bidirectional(getattr(lay, k)(5, **o))),
            )
case("GRU reset before", one(STEPS, lambda lay: lay.GRU(5, reset_after=False)))
case(
    "GRU reset before no bias",
    one(STEPS, lambda lay: lay.GRU(5, reset_after=False, use_bias=False, return_sequences=True)),
)
case("LSTM hard", one(STEPS, lambda lay: lay.LSTM(5, recurrent_activation="hard_sigmoid")))
case(
    "GRU hard", one(STEPS, lambda lay: lay.GRU(5, recurrent_activation="hard_sigmoid", return_sequences=True))
)
for mode in ("sum", "mul", "ave", None):
    case(
        f"Bidirectional {mode}", one(STEPS, lambda lay, m=mode: lay.Bidirectional(lay.LSTM(5), merge_mode=m))
    )
    case(f"Bidirectional {mode} states", one(STEPS, lambda lay, m=mode: lay.Bidirectional(
        lay.GRU(5, return_sequences=True, return_state=True), merge_mode=m)))  # fmt: skip
case(
    "Bidirectional own backward",
    one(STEPS, lambda lay: lay.Bidirectional(lay.LSTM(5), backward_layer=lay.GRU(3, go_backwards=True))),
)
case("RNN cell", one(STEPS, lambda lay: lay.RNN(lay.SimpleRNNCell(5), return_state=True)))
case("RNN LSTMCell", one(STEPS, lambda lay: lay.RNN(lay.LSTMCell(5, use_bias=False), return_sequences=True)))
case(
    "RNN stacked",
    one(
        STEPS, lambda lay: lay.RNN([lay.LSTMCell(5), lay.GRUCell(3), lay.LSTMCell(2)], return_sequences=True)
    ),
)
case("RNN StackedRNNCells", one(STEPS, lambda lay: lay.RNN(
    lay.StackedRNNCells([lay.GRUCell(5, reset_after=False), lay.GRUCell(3, use_bias=False)]), return_state=True)))  # fmt: skip
case(
    "Bidirectional stacked",
    one(STEPS, lambda lay: lay.Bidirectional(lay.RNN([lay.LSTMCell(5), lay.LSTMCell(3)]))),
)
case("LSTM two deep", one(STEPS, lambda lay: lambda x: lay.LSTM(3)(lay.LSTM(5, return_sequences=True)(x))))
case(
    "LSTM initial state",
    many((STEPS, (5,), (5,)), lambda lay, x, h, c: lay.LSTM(5, return_state=True)(x, initial_state=[h, c])),
)
case(
    "GRU initial state",
    many((STEPS, (5,)), lambda lay, x, h: lay.GRU(5, return_sequences=True)(x, initial_state=h)),
)
case("Bidirectional initial state", many((STEPS, (5,), (5,)), lambda lay, x, h, c: lay.Bidirectional(lay.GRU(5))(
    x, initial_state=[h, c])))  # fmt: skip
case("TimeDistributed Dense", one(STEPS, lambda lay: lay.TimeDistributed(lay.Dense(5, activation="tanh"))))
case(
    "TimeDistributed Conv2D",
    one((3, *IMAGE), lambda lay: lay.TimeDistributed(lay.Conv2D(5, 3, padding="same", strides=2))),
)
case("TimeDistributed LSTM", one((3, *STEPS), lambda lay: lay.TimeDistributed(lay.LSTM(5))))

# attention
for text, options in {
    "": {}, " sizes": dict(value_dim=5, output_shape=7), " no bias": dict(use_bias=False), " gate": dict(use_gate=True),
    " window": dict(sliding_window=2), " dropout": dict(dropout=0.4),
}.items():  # fmt: skip
    case(
        "MultiHeadAttention" + text,
        one(STEPS, lambda lay, o=options: lambda x: lay.MultiHeadAttention(2, 3, **o)(x, x)),
    )
case(
    "MultiHeadAttention causal",
    one(STEPS, lambda lay: lambda x: lay.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True)),
)
case("MultiHeadAttention scores", one(STEPS, lambda lay: lambda x: lay.MultiHeadAttention(3, 2)(
    query=x, value=x, return_attention_scores=True, use_causal_mask=True)))  # fmt: skip
case("MultiHeadAttention cross", many((STEPS, (5, 6)), lambda lay, x, y: lay.MultiHeadAttention(2, 3)(x, y)))
case(
    "MultiHeadAttention key",
    many((STEPS, (5, 6), (5, 2)), lambda lay, x, y, z: lay.MultiHeadAttention(2, 3)(x, y, key=z)),
)
case(
    "MultiHeadAttention mask",
    many((STEPS, (7, 7)), lambda lay, x, m: lay.MultiHeadAttention(2, 3)(x, x, attention_mask=m > 0)),
)
for text, options in {
    "": {},
    " scale": dict(use_scale=True),
    " concat": dict(score_mode="concat", use_scale=True),
}.items():
    case("Attention" + text, many((STEPS, (5, 4)), lambda lay, x, y, o=options: lay.Attention(**o)([x, y])))
case(
    "Attention key causal",
    many((STEPS, STEPS, STEPS), lambda lay, x, y, z: lay.Attention()([x, y, z], use_causal_mask=True)),
)
case("AdditiveAttention", many((STEPS, (5, 4)), lambda lay, x, y: lay.AdditiveAttention()([x, y])))
case(
    "AdditiveAttention no scale",
    many((STEPS, (5, 4)), lambda lay, x, y: lay.AdditiveAttention(use_scale=False)([x, y])),
)
for text, options in {
    "": {},
    " no bias": dict(use_bias=False),
    " gate": dict(use_gate=True),
    " dropout": dict(dropout=0.3),
}.items():
    case("GroupQueryAttention" + text, one(STEPS, lambda lay, o=options: lambda x: lay.GroupQueryAttention(3, 4, 2, **o)(
        x, x, use_causal_mask=True)))  # fmt: skip

# convolutions
for text, options in {
    "": {}, " same": dict(padding="same"), " strided same": dict(strides=2, padding="same"), " no bias": dict(use_bias=False),
    " groups": dict(groups=2, padding="same"), " dilated": dict(dilation_rate=2, padding="same"),
    " strided groups": dict(groups=2, strides=2, padding="same", use_bias=False), " relu": dict(activation="relu"),
}.items():  # fmt: skip
    case("Conv1D" + text, one(STEPS, lambda lay, o=options: lay.Conv1D(6, 3, **o)))
    case("Conv2D" + text, one(IMAGE, lambda lay, o=options: lay.Conv2D(6, 3, **o)))
    case("Conv3D" + text, one(VOLUME, lambda lay, o=options: lay.Conv3D(6, 2, **o)))
case("Conv1D causal", one(STEPS, lambda lay: lay.Conv1D(6, 3, padding="causal", dilation_rate=2)))
case("Conv2D uneven", one(IMAGE, lambda lay: lay.Conv2D(6, (3, 2), strides=(2, 3), padding="same")))
for text, options in {
    "": {}, " same": dict(padding="same"), " multiplier": dict(depth_multiplier=2), " no bias": dict(use_bias=False),
    " strided": dict(strides=2, padding="same", depth_multiplier=3),
}.items():  # fmt: skip
    case("DepthwiseConv1D" + text, one(STEPS, lambda lay, o=options: lay.DepthwiseConv1D(3, **o)))
    case("DepthwiseConv2D" + text, one(IMAGE, lambda lay, o=options: lay.DepthwiseConv2D(3, **o)))
    case("SeparableConv1D" + text, one(STEPS, lambda lay, o=options: lay.SeparableConv1D(5, 3, **o)))
    case("SeparableConv2D" + text, one(IMAGE, lambda lay, o=options: lay.SeparableConv2D(5, 3, **o)))
for rank, shape in ((1, STEPS), (2, IMAGE), (3, (3, 4, 3, 2))):
    for kernel, strides, padding in (
        (3, 2, "same"),
        (2, 2, "valid"),
        (4, 2, "same"),
        (3, 1, "same"),
        (3, 2, "valid"),
        (5, 3, "same"),
    ):
        case(f"Conv{rank}DTranspose k{kernel} s{strides} {padding}", one(shape, lambda lay, a=(rank, kernel, strides, padding): getattr(
            lay, f"Conv{a[0]}DTranspose")(5, a[1], strides=a[2], padding=a[3])), float32=3e-6)  # fmt: skip
    for padding in (
        "same",
        "valid",
    ):  # TensorFlow's own gradient of a kernel smaller than its stride may crash
        case(f"Conv{rank}DTranspose k1 s2 {padding}", one(shape, lambda lay, a=(rank, padding): getattr(
            lay, f"Conv{a[0]}DTranspose")(5, 1, strides=2, padding=a[1])), gradients=False)  # fmt: skip
case(
    "Conv2DTranspose no bias",
    one(IMAGE, lambda lay: lay.Conv2DTranspose(5, (3, 2), strides=(2, 1), padding="same", use_bias=False)),
)
case(
    "Conv2DTranspose output padding",
    one(IMAGE, lambda lay: lay.Conv2DTranspose(5, 3, strides=2, padding="same", output_padding=1)),
)
case(
    "Conv1DTranspose output padding",
    one(STEPS, lambda lay: lay.Conv1DTranspose(5, 3, strides=2, output_padding=1)),
)
for rank, shape in ((1, (4, 7, 3)), (2, (4, 6, 5, 3)), (3, (3, 4, 3, 5, 2))):
    for text, options in {"": {}, " same": dict(padding="same", return_sequences=True), " no bias": dict(use_bias=False),
                          " states": dict(return_state=True, go_backwards=True, strides=2)}.items():  # fmt: skip
        case(
            f"ConvLSTM{rank}D{text}",
            one(shape, lambda lay, r=rank, o=options: getattr(lay, f"ConvLSTM{r}D")(4, 2, **o)),
        )

# products
for shape in ((4,), STEPS, IMAGE):
    case(f"Dense rank {len(shape) + 1}", one(shape, lambda lay: lay.Dense(5, activation="tanh")))
case("Dense no bias", one(STEPS, lambda lay: lay.Dense(5, use_bias=False)))
for equation, output, axes in (
    ("ab,bc->ac", 5, "c"), ("abc,cd->abd", (None, 5), "d"), ("...x,xy->...y", 5, "y"), ("abc,cde->abde", (None, 2, 3), "de"),
    ("abc,cd->abd", (None, 5), None), ("abc,bd->adc", (5, 4), "d"), ("abc,bcd->abd", (7, 5), "bd"),
):  # fmt: skip
    case(f"EinsumDense {equation} {axes}", one((4,) if equation == "ab,bc->ac" else STEPS, lambda lay, a=(equation, output, axes):
        lay.EinsumDense(a[0], a[1], bias_axes=a[2])))  # fmt: skip

for text, options in {
    "": {},
    " untied": dict(tie_weights=False),
    " capped": dict(logit_soft_cap=2.0),
}.items():
    case(f"ReversibleEmbedding{text}", one((5,), lambda lay, o=options: lambda x: _there_and_back(lay.ReversibleEmbedding(6, 4, **o), x)),
         make=lambda s: np.array([[0, 1, 5, 2, 2], [3, 3, 4, 0, 1]], "int32"))  # fmt: skip
case(
    "Embedding",
    one((5,), lambda lay: lay.Embedding(6, 4)),
    make=lambda s: np.array([[0, 1, 5, 2, 2], [3, 3, 4, 0, 1]], "int32"),
)

# normalisations
for shape in ((6,), STEPS, IMAGE):
    rank = len(shape) + 1
    case(f"BatchNormalization rank {rank}", one(shape, lambda lay: lay.BatchNormalization()))
    case(
        f"BatchNormalization training rank {rank}",
        one(shape, lambda lay: lay.BatchNormalization(momentum=0.8)),
        training=True,
        **CANCELS,
    )
    case(f"LayerNormalization rank {rank}", one(shape, lambda lay: lay.LayerNormalization()))
    case(f"RMSNormalization rank {rank}", one(shape, lambda lay: lay.RMSNormalization()))
    case(f"GroupNormalization rank {rank}", one(shape, lambda lay: lay.GroupNormalization(2)), **CANCELS)
    case(f"UnitNormalization rank {rank}", one(shape, lambda lay: lay.UnitNormalization()))
    case(f"PReLU rank {rank}", one(shape, lambda lay: lay.PReLU()))
    case(f"Normalization rank {rank}", one(shape, lambda lay: lay.Normalization()))
for text, options in {
    "no scale": dict(scale=False),
    "no center": dict(center=False),
    "neither": dict(scale=False, center=False),
}.items():
    case(
        f"BatchNormalization {text}",
        one(IMAGE, lambda lay, o=options: lay.BatchNormalization(**o)),
        training=True,
        **CANCELS,
    )
    case(f"LayerNormalization {text}", one(STEPS, lambda lay, o=options: lay.LayerNormalization(**o)))
    case(
        f"GroupNormalization {text}",
        one(IMAGE, lambda lay, o=options: lay.GroupNormalization(2, **o)),
        **CANCELS,
    )
for axis in (1, [1, 2], [1, 3], [2, 3], [1, 2, 3]):
    case(f"LayerNormalization axis {axis}", one(IMAGE, lambda lay, a=axis: lay.LayerNormalization(axis=a)))
    case(f"UnitNormalization axis {axis}", one(IMAGE, lambda lay, a=axis: lay.UnitNormalization(axis=a)))
for axis in ([2, 1], [-2, 1], [3, 2], [2, 3], [-1, -2]):
    for shape in (IMAGE, (4, 4, 4)):
        case(
            f"LayerNormalization axis {axis} of {shape}, no weights",
            one(shape, lambda lay, a=axis: lay.LayerNormalization(axis=a, scale=False, center=False)),
        )
    case(
        f"LayerNormalization axis {axis} of a cube",
        one((4, 4, 4), lambda lay, a=axis: lay.LayerNormalization(axis=a)),
    )
case(
    "LayerNormalization axis 1 no center",
    one(STEPS, lambda lay: lay.LayerNormalization(axis=1, center=False)),
)
case("RMSNormalization axes", one(STEPS, lambda lay: lay.RMSNormalization(axis=[1, 2])))
case("GroupNormalization each", one(IMAGE, lambda lay: lay.GroupNormalization(-1, epsilon=0.1)), **CANCELS)
case("PReLU shared", one(IMAGE, lambda lay: lay.PReLU(shared_axes=[1, 2])))
case("Normalization axes", one(STEPS, lambda lay: lay.Normalization(axis=1)))
case("Normalization none", one(STEPS, lambda lay: lay.Normalization(axis=None)))
case(
    "Normalization given",
    one(STEPS, lambda lay: lay.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[1.0, 0.5, 2.0, 3.0])),
)
for training in (False, True):
    word = " training" if training else ""
    case(
        f"SpectralNormalization Dense{word}",
        one(STEPS, lambda lay: lay.SpectralNormalization(lay.Dense(5))),
        training=training,
    )
    case(f"SpectralNormalization Conv2D{word}", one(IMAGE, lambda lay: lay.SpectralNormalization(
        lay.Conv2D(5, 3, padding="same"), power_iterations=2)), training=training)  # fmt: skip
    case(f"SpectralNormalization Conv2DTranspose{word}", one(IMAGE, lambda lay: lay.SpectralNormalization(
        lay.Conv2DTranspose(5, 3, strides=2))), training=training)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def table():
    """The errors of all cases, printed at the end."""
    rows: list[tuple[str, str, dict[str, float]]] = []
    yield rows
    keras.config.set_floatx("float32")
    torch.set_default_dtype(torch.float32)
    print(f"\n{'layer':42}{'dtype':9}{'forward':>9}{'inputs':>9}{'weights':>9}")
    for name, floatx, found in rows:
        print(
            f"{name:42}{floatx:9}"
            + "".join(f"{found.get(k, 0.0):9.0e}" for k in ("forward", "inputs", "weights"))
        )


@pytest.mark.parametrize("floatx", TOLERANCE)
@pytest.mark.parametrize("name", CASES)
def test_layer(name, floatx, tmp_path, table):
    describe, shapes, options = CASES[name]
    source = np.random.default_rng(3)
    arrays = [
        options["make"](s) if "make" in options else source.standard_normal((3, *s)).astype(floatx)
        for s in shapes
    ]
    pair = Pair(lambda: describe(keras), lambda: describe(compat.keras), tmp_path, floatx)
    found, *_ = errors(pair, arrays, options.get("training", False), options.get("gradients", True))
    table.append((name, floatx, found))
    allowed = max(TOLERANCE[floatx], options.get("float32", 0.0) if floatx == "float32" else 0.0)
    assert max(found.values()) <= allowed, found
