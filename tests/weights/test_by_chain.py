"""A Keras model that is one chain of layers into a torch module that is one: its forward and the configuration in the file
settle what names do not, equal layers and flattened images included; what they do not show is refused.
"""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tfport.weights import WeightsError, load_weights
from tfport.weights.by_chain import CHAIN
from tfport.weights.keras_chain import chain_of

keras = pytest.importorskip("keras")


def random_weights(model):
    source = np.random.default_rng(0)
    for weight in model.weights:
        made = source.normal(0, 0.5, weight.shape)
        weight.assign(np.abs(made) + 0.5 if "variance" in weight.path else made)
    return model


def sequential(shape, *layers):
    return random_weights(keras.Sequential([keras.Input(shape), *layers]))


class Net(nn.Module):
    """Layers by any names, defined in any order, run by ``run(module, x)``."""

    def __init__(self, run, **layers):
        super().__init__()
        self.run = run
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x):
        return self.run(self, x)


def loads(model, module, path, x, **options):
    """The file's model and the module give the same on an input x (N, H, W, C), which torch takes as (N, C, H, W)."""
    model.save(path)
    report = load_weights(module, path, **options)
    given = torch.from_numpy(x).movedim(-1, 1).contiguous() if x.ndim > 2 else torch.from_numpy(x)
    with torch.no_grad():
        got = module.eval()(given)
    got = got.movedim(1, -1).numpy() if got.ndim > 2 else got.numpy()
    wanted = np.asarray(model(x))
    assert np.abs(got - wanted).max() <= 1e-5 * np.abs(wanted).max()
    return report


def refuses(model, module, path, *says):
    model.save(path)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_weights(module, path)
    assert all(line in str(caught.value) for line in says), str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


def values(*shape):
    return np.random.default_rng(1).standard_normal((2, *shape)).astype("f4")


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_equal_layers_in_any_order_of_definition(tmp_path, ending):
    lay = keras.layers
    last, first = lay.Dense(4), lay.Dense(4, activation="tanh")  # created in another order than used
    model = sequential(
        (4,), first, lay.BatchNormalization(), lay.Dense(4, activation="tanh"), lay.BatchNormalization(), last
    )
    module = Net(
        lambda m, x: m.out(m.n2(torch.tanh(m.b(m.n1(torch.tanh(m.a(x))))))),
        out=nn.Linear(4, 4), n2=nn.BatchNorm1d(4, eps=1e-3), b=nn.Linear(4, 4), a=nn.Linear(4, 4),
        n1=nn.BatchNorm1d(4, eps=1e-3),
    )  # fmt: skip
    report = loads(model, module, tmp_path / f"m{ending}", values(4))
    assert report.matched_by == (CHAIN,) and len(report.loaded) == len(model.weights)


def test_plain_sequentials(tmp_path):
    model = sequential((4,), *(keras.layers.Dense(4) for _ in range(12)))  # 2 before 10
    loads(model, nn.Sequential(*(nn.Linear(4, 4) for _ in range(12))), tmp_path / "m.keras", values(4))


FLATTENED = {
    "view": lambda x: x.view(x.size(0), -1), "shape": lambda x: x.reshape(x.shape[0], -1),
    "number": lambda x: x.reshape(-1, 4 * 3 * 2), "flatten": lambda x: torch.flatten(x, 1), "method": lambda x: x.flatten(1),
    "pooled": lambda x: F.dropout(F.relu(x).flatten(start_dim=1), 0.5, training=False),
    "last": lambda x: x.permute(0, 2, 3, 1).contiguous().view(x.size(0), -1), "moved": lambda x: x.movedim(1, -1).flatten(1),
}  # fmt: skip


@pytest.mark.parametrize("way", FLATTENED)
def test_an_image_flattened_before_a_linear(tmp_path, way):
    lay = keras.layers
    model = sequential(
        (8, 6, 3), lay.Conv2D(4, 3, activation="relu"), lay.MaxPooling2D(), lay.Flatten(), lay.Dense(5)
    )
    module = Net(
        lambda m, x: m.head(FLATTENED[way](F.max_pool2d(F.relu(m.conv(x)), 2))),
        head=nn.Linear(24, 5), conv=nn.Conv2d(3, 4, 3),
    )  # fmt: skip
    report = loads(model, module, tmp_path / "m.keras", values(8, 6, 3))
    pattern = next(row.pattern for row in report.loaded if row.target == "head.weight")
    assert pattern == ("i o -> o i" if way in ("last", "moved") else "(h w c) o -> o (c h w)")


@pytest.mark.parametrize(
    "way",
    [
        lambda x: x.transpose(2, 3).flatten(1),
        lambda x: x.flip(3).flatten(1),
        lambda x: x.permute(0, 2, 1, 3).flatten(1),
    ],
)
def test_an_image_flattened_in_a_way_that_is_not_known_is_refused(tmp_path, way):
    lay = keras.layers
    model = sequential((4, 4, 3), lay.Conv2D(4, 3), lay.Flatten(), lay.Dense(5))
    module = Net(lambda m, x: m.dense(way(m.conv2d(x))), dense=nn.Linear(16, 5), conv2d=nn.Conv2d(3, 4, 3))
    refuses(model, module, tmp_path / "m.keras", "missing: dense.weight", "whether")


def test_a_batch_norm_behind_the_flattened_image_moves_with_it(tmp_path):
    lay = keras.layers
    model = sequential(
        (7, 3),
        lay.Conv1D(4, 3),
        lay.BatchNormalization(),
        lay.Flatten(),
        lay.BatchNormalization(),
        lay.Dense(5),
    )
    module = Net(
        lambda m, x: m.c(m.n2(m.n1(m.a(x)).flatten(1))), a=nn.Conv1d(3, 4, 3), n1=nn.BatchNorm1d(4, eps=1e-3),
        n2=nn.BatchNorm1d(20, eps=1e-3), c=nn.Linear(20, 5),
    )  # fmt: skip
    loads(model, module, tmp_path / "m.keras", values(7, 3))


VIEWS = {
    "view": lambda x: x.view(-1, 2, 3, 4), "size": lambda x: x.reshape(x.size(0), 2, 3, 4),
    "unflatten": lambda x: x.unflatten(1, (2, 3, 4)), "layer": None,
}  # fmt: skip


@pytest.mark.parametrize("way", VIEWS)
def test_an_image_made_of_what_a_linear_gives(tmp_path, way):
    """A generator: Dense, BatchNormalization, Reshape((h, w, c)), Conv2DTranspose."""
    lay = keras.layers
    model = sequential((5,), lay.Dense(24), lay.BatchNormalization(), lay.LeakyReLU(0.2), lay.Reshape((3, 4, 2)),
                       lay.Conv2DTranspose(3, 2, strides=2))  # fmt: skip
    module = Net(
        lambda m, x: m.up((m.view if way == "layer" else VIEWS[way])(F.leaky_relu(m.bn(m.fc(x)), 0.2))), view=nn.Unflatten(1, (2, 3, 4)), fc=nn.Linear(5, 24), bn=nn.BatchNorm1d(24, eps=1e-3),
        up=nn.ConvTranspose2d(2, 3, 2, stride=2),
    )  # fmt: skip
    loads(model, module, tmp_path / "m.keras", values(5))
    wrong = sequential((5,), lay.Dense(24), lay.BatchNormalization(), lay.LeakyReLU(0.2), lay.Reshape((4, 3, 2)),
                       lay.Conv2DTranspose(3, 2, strides=2))  # fmt: skip
    refuses(wrong, module, tmp_path / "w.keras", "missing: fc.weight: a Linear of 24 outputs before an image")


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_recurrent_layers_of_one_shape(tmp_path, kind):
    lay, torch_kind = keras.layers, {"SimpleRNN": "RNN"}.get(kind, kind)
    layer, twin = getattr(lay, kind), getattr(nn, torch_kind)
    x = keras.Input((6,), dtype="int32")
    y = lay.Embedding(9, 4)(x)
    for _ in range(2):
        y = layer(4, return_sequences=True)(y)
    y = lay.Bidirectional(layer(4))(y)
    model = random_weights(keras.Model(x, lay.Dense(3)(y)))

    def run(m, ids):
        sequence = m.r2(m.r1(m.words(ids))[0])[0]
        out = m.both(sequence)[0]
        return m.head(torch.cat([out[:, -1, :4], out[:, 0, 4:]], 1))

    module = Net(
        run, head=nn.Linear(8, 3), both=twin(4, 4, batch_first=True, bidirectional=True), r2=twin(4, 4, batch_first=True),
        r1=twin(4, 4, batch_first=True), words=nn.Embedding(9, 4),
    )  # fmt: skip
    ids = np.random.default_rng(0).integers(0, 9, (2, 6)).astype("int32")
    loads(model, module, tmp_path / "m.keras", ids)


def test_what_is_no_chain_or_another_one_is_refused(tmp_path):
    lay = keras.layers
    model = sequential((4,), lay.Dense(4), lay.Dense(4))
    both = {"a": nn.Linear(4, 4), "b": nn.Linear(4, 4)}
    for run in (
        lambda m, x: m.a(x) + m.b(x),
        lambda m, x: m.b(m.a(m.a(x))),
        lambda m, x: m.b(m.a(x)) if x.sum() > 0 else m.a(m.b(x)),
        lambda m, x: F.linear(m.a(x), m.b.weight, m.b.bias),
    ):
        refuses(model, Net(run, **both), tmp_path / "m.keras", "missing: a.weight", "alike in shape")
    x = keras.Input((4,))
    y = lay.Dense(4)(x)
    branched = random_weights(keras.Model(x, lay.Add()([y, lay.Dense(4)(y)])))
    refuses(branched, Net(lambda m, x: m.b(m.a(x)), **both), tmp_path / "b.keras", "missing: a.weight")
    normed = sequential(
        (4,), lay.Dense(4, use_bias=False), lay.LayerNormalization(), lay.Dense(4, use_bias=False)
    )
    other = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False), nn.LayerNorm(4))
    refuses(normed, other, tmp_path / "n.keras", "missing: 0.weight")


def test_names_that_say_something_else_are_refused(tmp_path):
    """dense_b of the file runs second, the module's dense_b first."""
    lay = keras.layers
    model = sequential(
        (4,), lay.Dense(4, name="dense_a"), lay.Dense(4, name="dense_b"), lay.Dense(4, name="third")
    )
    layers = {name: nn.Linear(4, 4) for name in ("dense_a", "dense_b", "other")}
    refuses(
        model,
        Net(lambda m, x: m.other(m.dense_a(m.dense_b(x))), **layers),
        tmp_path / "m.keras",
        "missing: other.weight",
    )
    loads(
        model, Net(lambda m, x: m.other(m.dense_b(m.dense_a(x))), **layers), tmp_path / "m.keras", values(4)
    )


def test_an_image_that_is_given_flat_is_refused_where_the_file_tells_of_it(tmp_path):
    """Flatten of (4, 4, 3) before the first Dense: whether torch's input is c h w no module shows."""
    lay = keras.layers
    model = sequential((4, 4, 3), lay.Flatten(), lay.Dense(5, name="fc"))
    refuses(
        model,
        nn.ModuleDict({"fc": nn.Linear(48, 5)}),
        tmp_path / "m.keras",
        "missing: fc.weight",
        "Keras flattens an image as h w c",
    )
    grey = sequential((4, 4, 1), lay.Flatten(), lay.Dense(5, name="fc"))
    loads(
        grey, Net(lambda m, x: m.fc(x.flatten(1)), fc=nn.Linear(16, 5)), tmp_path / "g.keras", values(4, 4, 1)
    )


def test_chains_of_configurations():
    dense = {"class_name": "Dense", "config": {"name": "d"}}
    inner = {"class_name": "Sequential", "config": {"name": "inner", "layers": [dense]}}
    assert [link.name for link in chain_of({"class_name": "Sequential", "config": {"layers": [inner]}})] == [
        "inner/d"
    ]
    assert [link.name for link in chain_of({"class_name": "Sequential", "config": [dense]})] == ["d"]
    start = {"class_name": "InputLayer", "name": "x", "config": {"name": "x"}, "inbound_nodes": []}
    second = dense | {"name": "d", "inbound_nodes": [[["x", 0, 0, {}]]]}
    model = {"class_name": "Functional", "config": {"layers": [second, start]}}
    assert [link.name for link in chain_of(model)] == ["x", "d"]
    for broken in (None, {}, {"class_name": "Net", "config": {}}, {"class_name": "Functional", "config": {"layers": [second]}},
                   {"class_name": "Functional", "config": {"layers": [start, second, second | {"name": "e"}]}},
                   json.loads("[" * 50 + "]" * 50)):  # fmt: skip
        assert chain_of(broken) == []
