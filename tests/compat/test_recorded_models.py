"""Models recorded by compat.keras against Keras: topology, layouts, order of flattening, training mode, copies."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from against_keras import carry, compare, compat, fresh, keras, randomise

layers = compat.keras.layers


def permutes(model):
    return [n for n in model.graph.nodes if n.target == "permute"]


def kernel_pattern(model, name):
    (entry,) = model.tfport_record["models"].values()
    return next(r for r in entry["layers"] if r["name"] == name)["weights"]["kernel"]


def test_classifier_needs_no_permute_and_reads_the_flattened_order():
    def build(k):
        x = k.Input((6, 7, 3))
        y = k.layers.Conv2D(4, 3, activation="relu")(x)
        y = k.layers.Dropout(0.5)(k.layers.Flatten()(k.layers.MaxPooling2D()(y)))
        return k.Model(x, k.layers.Dense(5, "softmax", name="head")(y))

    _, twin = compare(build, (3, 6, 7, 3))
    assert not permutes(twin)
    assert kernel_pattern(twin, "head") == ["weight", "(h w c) o -> o (c h w)", {"h": 2, "w": 2, "c": 4}]
    assert twin.tfport_record["arguments"] == [
        {"where": "functional.forward", "argument": "input_layer", "layout": "NHWC -> NCHW"}
    ]


@pytest.mark.parametrize("tail", [
    lambda k, y: y,
    lambda k, y: k.layers.Reshape((2, -1))(y),
    lambda k, y: k.layers.BatchNormalization()(y),
    lambda k, y: k.layers.Concatenate()([y, k.layers.Dense(3)(y)]),
    lambda k, y: k.layers.Dense(3)(k.layers.Activation("softmax")(y)),
    lambda k, y: y[:, 3:7] * 2.0,
], ids=["output", "reshape", "norm", "concatenate", "softmax", "slice"])  # fmt: skip
def test_flatten_restores_tensorflows_order_where_it_is_seen(tail):
    def build(k):
        x = k.Input((4, 4, 3))
        return k.Model(x, tail(k, k.layers.Flatten()(k.layers.Conv2D(2, 2)(x))))

    _, twin = compare(build, (5, 4, 4, 3))
    assert permutes(twin)


def test_squeeze_and_excite_is_free_of_permutes():
    def build(k):
        x = k.Input((6, 6, 3))
        y = k.layers.Conv2D(8, 3, activation="swish")(x)
        s = k.layers.GlobalAveragePooling2D()(y)
        s = k.layers.Reshape((1, 1, 8))(s)
        s = k.layers.Conv2D(2, 1, activation="relu")(s)
        s = k.layers.Conv2D(8, 1, activation="sigmoid")(s)
        y = k.layers.multiply([y, s])
        return k.Model(x, k.layers.Reshape((8,))(k.layers.GlobalMaxPooling2D(keepdims=True)(y)))

    _, twin = compare(build, (3, 6, 6, 3))
    assert not permutes(twin)


def test_shared_layers_several_inputs_and_outputs_and_operators():
    def build(k):
        a, b = k.Input((5,), name="left"), k.Input((5,), name="right")
        shared = k.layers.Dense(4, "tanh")
        p, q = shared(a), shared(b)
        return k.Model(inputs=[a, b], outputs=[p - q * 2.0, k.layers.Add()([p, q]), 1.0 / (p * p + 1.0)])

    _, twin = compare(build, (3, 5), (3, 5))
    made = twin({"left": torch.ones(2, 5), "right": torch.zeros(2, 5)})
    assert torch.equal(made[0], twin([torch.ones(2, 5), torch.zeros(2, 5)])[0])


def test_nested_models_keep_their_names():
    def build(k):
        x = k.Input((8, 8, 3))
        inner = k.Model(x, k.layers.ReLU()(k.layers.Conv2D(4, 3, name="c")(x)), name="backbone")
        z = k.Input((8, 8, 3))
        y = k.layers.GlobalAveragePooling2D()(inner(z))
        return k.Model(z, k.layers.Dense(2)(y), name="whole")

    _, twin = compare(build, (2, 8, 8, 3))
    assert "backbone.c.weight" in twin.state_dict()
    assert not permutes(twin)


def test_model_up_to_an_inner_layer_shares_its_modules():
    x = layers.Input((8, 8, 3))
    model = compat.keras.Model(x, layers.Dense(2)(layers.Flatten()(layers.Conv2D(4, 3, name="mid")(x))))
    part = compat.keras.Model(model.input, model.get_layer("mid").output)
    assert part.mid is model.mid
    assert part(torch.zeros(1, 3, 8, 8)).shape == (1, 4, 6, 6)
    assert part.tfport_record["results"][0]["layout"] == "NHWC -> NCHW"


def test_layers_come_in_keras_order():
    def build(k):
        x = k.Input((4,))
        late = k.layers.Dense(3, name="late")(x)
        first = k.layers.Dense(3, name="first")(x)
        second = k.layers.Dense(3, name="second")(first)
        return k.Model(x, k.layers.Add()([late, second]))

    model, twin = compare(build, (2, 4))
    assert [layer.name for layer in twin.layers] == [layer.name for layer in model.layers]
    assert [layer.name for layer in twin.layers][1] == "first"


@pytest.mark.parametrize("with_input", [True, False])
def test_sequential(with_input):
    fresh()
    start = [layers.Input((6, 6, 3))] if with_input else []
    twin = compat.keras.Sequential([*start, layers.Conv2D(4, 3), layers.Flatten()])
    twin.add(layers.Dense(2))
    x = torch.randn(2, 3, 6, 6)
    assert twin(x).shape == (2, 2)
    fresh()
    model = keras.Sequential(
        [keras.Input((6, 6, 3)), keras.layers.Conv2D(4, 3), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    randomise(model)
    carry(model, twin)
    reference = torch.as_tensor(model(x.permute(0, 2, 3, 1).numpy()).numpy())
    torch.testing.assert_close(twin(x), reference, rtol=1e-5, atol=1e-5)


def test_training_mode_of_a_call_is_kept():
    x = layers.Input((4, 4, 2))
    base = compat.keras.Model(x, layers.BatchNormalization()(layers.Conv2D(3, 1)(x)), name="base")
    z = layers.Input((4, 4, 2))
    model = compat.keras.Model(z, layers.GlobalAveragePooling2D()(base(z, training=False)))
    model.train()
    assert model.training and not model.base.training
    before = copy.deepcopy(model.state_dict())
    model(torch.randn(4, 2, 4, 4))
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_frozen_models_have_no_gradients_and_infer():
    x = layers.Input((4, 4, 2))
    model = compat.keras.Model(x, layers.BatchNormalization(name="norm")(layers.Conv2D(3, 1)(x)))
    model.trainable = False
    assert not model.trainable_weights and not model.train().norm.training
    model.trainable = True
    assert len(model.trainable_weights) == 4 and model.train().norm.training


def test_copies_pickles_and_compiled_models_compute_the_same():
    x = layers.Input((8, 8, 3))
    y = layers.BatchNormalization()(layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x))
    model = compat.keras.Model(x, layers.Dense(2)(layers.Flatten()(y))).eval()
    value = torch.randn(2, 3, 8, 8)
    expected = model(value)
    twin = copy.deepcopy(model)
    assert torch.equal(twin(value), expected)
    assert twin.tfport_record == model.tfport_record
    assert not {id(p) for p in twin.parameters()} & {id(p) for p in model.parameters()}
    assert torch.equal(pickle.loads(pickle.dumps(model))(value), expected)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    assert torch.equal(compiled(value), expected)


class Block(layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.units), initializer="glorot_uniform", name="w"
        )
        self.scale = self.add_weight(name="scale", shape=(self.units,), initializer="ones", trainable=False)

    def call(self, inputs, training=None):
        made = inputs @ self.kernel * self.scale
        return made + 1.0 if training else made


def test_own_layers_build_weights_and_see_the_mode():
    x = layers.Input((5,))
    model = compat.keras.Model(x, Block(3, name="block")(x))
    assert [n for n, _ in model.named_parameters()] == ["block.kernel"]
    value = torch.randn(2, 5)
    torch.testing.assert_close(model.train()(value), model.eval()(value) + 1.0)
    (entry,) = model.tfport_record["models"].values()
    assert entry["layers"][1]["weights"] == {
        "w": ["kernel", "... -> ...", {}],
        "scale": ["scale", "... -> ...", {}],
    }


class Net(compat.keras.Model):
    def __init__(self):
        super().__init__()
        self.conv = layers.Conv2D(4, 3, padding="same", activation="relu")
        self.norm = layers.BatchNormalization()
        self.flat = layers.Flatten()
        self.head = layers.Dense(2)

    def call(self, x, training=False):
        return self.head(self.flat(self.norm(self.conv(x), training=training)))


def test_subclassed_models_follow_keras():
    class Reference(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv = keras.layers.Conv2D(4, 3, padding="same", activation="relu")
            self.norm = keras.layers.BatchNormalization()
            self.flat = keras.layers.Flatten()
            self.head = keras.layers.Dense(2)

        def call(self, x, training=False):
            return self.head(self.flat(self.norm(self.conv(x), training=training)))

    fresh()
    reference, model = Reference(), Net()
    x = torch.randn(3, 5, 5, 2)
    reference(x.numpy())
    model(x)
    randomise(reference)
    moves = {"conv": "h w i o -> o i h w", "head": "i o -> o i"}
    from einops import rearrange

    with torch.no_grad():
        for name in ("conv", "norm", "head"):
            module = getattr(model, name).module
            kernel, *rest = [torch.as_tensor(w.numpy()) for w in getattr(reference, name).weights]
            targets = [module.weight, module.bias]
            if name == "norm":
                targets += [module.running_mean, module.running_var]
            for target, value in zip(
                targets, [rearrange(kernel, moves[name]) if name in moves else kernel, *rest], strict=True
            ):
                target.copy_(value)
    for training in (False, True):
        expected = torch.as_tensor(reference(x.numpy(), training=training).numpy())
        torch.testing.assert_close(model.train(training)(x), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        model.norm.module.running_var, torch.as_tensor(reference.norm.moving_variance.numpy())
    )


def test_initial_weights_have_keras_spread():
    fresh()
    dense = layers.Dense(300)
    dense(torch.zeros(1, 200))
    limit = (6 / 500) ** 0.5
    assert limit * 0.98 < dense.module.weight.abs().max() <= limit
    assert not dense.module.bias.any()
    embedding = layers.Embedding(1000, 8)
    embedding(torch.zeros(1, 2, dtype=torch.int64))
    assert 0.049 < embedding.module.weight.abs().max() <= 0.05


def test_what_is_out_of_scope_says_what_to_do():
    x = layers.Input((4,))
    model = compat.keras.Model(x, layers.Dense(2)(x))
    for call in (model.fit, model.compile):
        with pytest.raises(NotImplementedError, match=r"loss\.backward"):
            call()


def test_mistakes_are_named():
    x = layers.Input((4,))
    with pytest.raises(ValueError, match="twice there is same"):
        compat.keras.Model(x, layers.Dense(2, name="same")(layers.Dense(2, name="same")(x)))
    with pytest.raises(ValueError, match="not among the model"):
        compat.keras.Model(layers.Input((4,)), layers.Dense(2)(x))
    with pytest.raises(TypeError, match="no argument unitz"):
        layers.Dense(2, unitz=3)
    with pytest.raises(ValueError, match="no activation 'rellu'"):
        layers.Dense(2, activation="rellu")


def test_summary_counts_parameters(capsys):
    x = layers.Input((4,))
    compat.keras.Model(x, layers.Dense(2, name="out")(x), name="tiny").summary()
    text = capsys.readouterr().out
    assert "out (Dense)" in text and "Total parameters: 10 (trained 10, not trained 0)" in text


class Scale(layers.Layer):
    def build(self, input_shape):
        self.gamma = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="gamma")
        self.conv = layers.Conv2D(input_shape[-1], 1)

    def call(self, x):
        return torch.cat([x * self.gamma, self.conv(x)], -1)  # written in TensorFlow's order


def test_own_layers_see_tensorflows_order_and_lambda_too():
    x = layers.Input((4, 5, 3))
    y = Scale(name="scale")(x)
    assert tuple(y.shape) == (None, 4, 5, 6)
    y = layers.Lambda(lambda v: v * torch.arange(6.0))(y)
    model = compat.keras.Model(x, layers.GlobalAveragePooling2D()(y))
    with torch.no_grad():
        model.scale.gamma.copy_(torch.tensor([1.0, 2.0, 3.0]))
    value = torch.ones(2, 3, 4, 5)
    assert model(value)[0, :3].tolist() == [0.0, 2.0, 6.0]
    assert model.scale(torch.ones(2, 4, 5, 3)).shape == (2, 4, 5, 6)  # alone it is in TensorFlow's layout


class Tower(compat.keras.Model):
    def __init__(self):
        super().__init__()
        self.blocks = []
        for _ in range(2):
            self.blocks.append(layers.Dense(3))
        self.pair = [layers.Dense(2), layers.Dense(2)]

    def call(self, x):
        for block in [*self.blocks, *self.pair]:
            x = block(x)
        return x


def test_lists_of_layers_are_held_and_recorded():
    model = Tower()
    model(torch.ones(1, 4))
    assert len(list(model.parameters())) == 8
    (entry,) = model.tfport_record["models"].values()
    assert entry["kind"] == "subclass"
    assert [r["path"] for r in entry["layers"]] == ["blocks_0", "blocks_1", "pair.0", "pair.1"]
    names = dict(model.named_parameters())
    assert all(f"{r['path']}.{path}" in names for r in entry["layers"] for path, *_ in r["weights"].values())


@pytest.mark.parametrize("structure", [
    lambda y: y, lambda y: [y], lambda y: (y,), lambda y: [[y]], lambda y: {"a": y}, lambda y: [y, y],
], ids=["tensor", "list of one", "tuple of one", "nested", "dict", "two"])  # fmt: skip
def test_a_call_returns_what_keras_returns(structure):
    def build(k):
        x = k.Input((3,))
        return k.Model([x], structure(k.layers.Dense(2)(x)))

    def kinds(value):
        if isinstance(value, dict):
            return {name: kinds(item) for name, item in value.items()}
        return [kinds(item) for item in value] if isinstance(value, list | tuple) else "tensor"

    values = np.ones((4, 3), "float32")
    theirs, ours = build(keras)(values), build(compat.keras)(torch.from_numpy(values))
    assert kinds(ours) == kinds(theirs)


@pytest.mark.parametrize(
    "call", [lambda m, x: m(x)[0], lambda m, x: m.output[0]], ids=["called", "its output"]
)
def test_a_model_with_a_list_of_one_inside_another(call):
    def build(k):
        x = k.Input((3,))
        inner = k.Model([x], [k.layers.Dense(2)(x)])
        return k.Model(inner.inputs[0], k.layers.Dense(4)(call(inner, inner.inputs[0])))

    compare(build, (5, 3))


def test_a_layer_may_have_the_name_of_an_attribute_of_the_model():
    for name in ("first", "stack", "training", "name", "losses"):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name=name)])
        assert model(torch.ones(2, 4)).shape == (2, 3)
        assert [layer.name for layer in model.layers] == [name]


def test_a_state_dict_has_each_tensor_once():
    image = compat.keras.Input((8, 8, 3))
    inner = compat.keras.Sequential([layers.Conv2D(4, 3), layers.BatchNormalization()], name="inner")
    model = compat.keras.Model(image, layers.Dense(2, name="head")(inner(image)))
    kept = [name.split(".")[-1] for name in inner.state_dict()]
    assert kept == ["weight", "bias", "weight", "bias", "running_mean", "running_var"]
    assert len(model.state_dict()) == len(kept) + 2
    pointers = [tensor.data_ptr() for tensor in model.state_dict().values()]
    assert len(set(pointers)) == len(pointers)


def test_the_record_names_an_input_as_forward_does_too():
    """fx renames what is no identifier, and what Python's builtins are called."""
    images = [compat.keras.Input((8, 8, 3), name=name) for name in ("input", "my-image", "plain")]
    model = compat.keras.Model(images, layers.Add()([layers.Conv2D(2, 3)(image) for image in images]))
    told = [a["argument"] for a in model.tfport_record["arguments"]]
    assert told == ["input", "input_", "my-image", "my_image", "plain"]
    assert {a["layout"] for a in model.tfport_record["arguments"]} == {"NHWC -> NCHW"}
