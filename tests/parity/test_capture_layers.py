"""What capture writes of a layer call: inputs, arguments, configuration, depth, and its wander in float64."""

import tracemalloc

import numpy as np
import pytest

from tests.parity.conftest import PROGRAMS, capture_many
from tfport.parity.golden import read_golden, read_tensors
from tfport.parity.reference.keras_calls import LAYER_BUDGET, Watch
from tfport.parity.reference.store import Store, write_tensors
from tfport.parity.reference.values import Value, as_value, flatten
from tfport.weights import read_checkpoint

SOURCE = '''
import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers


def shared():
    """One layer called twice, a nested model, a list of inputs, a mask, an activation that is a layer."""
    ids = keras.Input((5,), dtype="int32", name="ids")
    table = layers.Embedding(7, 4, mask_zero=True, name="table")
    steps = table(ids)
    dense = layers.Dense(4, activation="tanh", name="dense")
    x = dense(dense(steps))
    x = layers.LSTM(3, name="lstm")(x)
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(3, name="a"), layers.Dropout(0.5, name="drop")], name="inner")
    y = inner(x)
    z = layers.Concatenate(name="both")([x, y])
    z = layers.Dense(2, activation=layers.LeakyReLU(negative_slope=0.1), name="leaky")(z)
    return keras.Model(ids, z)


class Tail(keras.Model):
    """Operations between layers, a keyword argument, a layer whose configuration cannot be had."""

    def __init__(self):
        super().__init__()
        self.first = layers.Dense(4)
        self.scale = Scale()
        self.attention = layers.MultiHeadAttention(2, 2)

    @tf.function
    def call(self, x, training=False):
        y = tf.sin(self.first(x)) * 2.0
        y = self.scale(y, by=3.0)
        return self.attention(y, value=y, use_causal_mask=True)


class Scale(layers.Layer):
    def __init__(self):
        super().__init__()
        self.extra = object()

    def call(self, x, by=1.0):
        return x * by

    def get_config(self):
        raise NotImplementedError


class Single(keras.Model):
    """It cannot run in float64."""

    def __init__(self):
        super().__init__()
        self.last = layers.Dense(2, dtype="float32")

    def call(self, x):
        y = self.last(tf.cast(x, tf.float32))
        return y + np.float32(1) if x.dtype == tf.float32 else y + tf.constant(1.0, tf.float64)


class Random(keras.Model):
    """Noise in inference is not rounding."""

    def __init__(self):
        super().__init__()
        self.last = layers.Dense(2)

    def call(self, x):
        return self.last(x) + tf.random.normal([2], dtype=x.dtype)


class Wide(keras.Model):
    """Many large activations."""

    def __init__(self, depth=24):
        super().__init__()
        self.blocks = [layers.Rescaling(0.5 + i) for i in range(depth)]

    def call(self, x):
        for block in self.blocks:
            y = block(x)
        return tf.reduce_sum(y)


def outputs():
    x = keras.Input((3,), name="x")
    y = layers.Dense(3, name="same")(x)
    return keras.Model(x, {"y": y, "again": y, "x": x})
'''


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Captures of the programs above, one TensorFlow process."""
    folder = tmp_path_factory.mktemp("layers")
    file = folder / "programs.py"
    file.write_text(SOURCE)
    four = ["--input", "2x6x4"]
    jobs = {
        "shared": [f"{file}:shared", "--dtype", "float32,float64"],
        "single dtype": [f"{file}:shared"],
        "uncalibrated": [f"{file}:shared", "--no-calibrate"],
        "tail": [f"{file}:Tail", *four],
        "single": [f"{file}:Single", *four],
        "random": [f"{file}:Random", *four],
        "outputs": [f"{file}:outputs"],
        "auto": [f"{file}:Wide", "--input", "2x1024x1024", "--no-calibrate"],
        "all": [f"{file}:Wide", "--input", "2x1024x1024", "--layers", "all", "--no-calibrate"],
    }
    told = capture_many([[*job, "-o", folder / name] for name, job in jobs.items()])
    assert [status for status, _ in told] == [0] * len(jobs), told
    return folder


def run_of(folder, dtype="float32"):
    """A run's entry and its tensors."""
    golden = read_golden(folder)
    return golden.run(dtype), golden.tensors(golden.run(dtype))


def calls(entry):
    """The layer calls by (name, call)."""
    return {(layer["name"], layer["call"]): layer for layer in entry["layers"]}


def test_every_key_of_the_manifest_is_a_tensor_of_the_file(root):
    for name in ("shared", "tail", "outputs"):
        entry, tensors = run_of(root / name)
        keys = [told["tensor"] for told in entry["inputs"]] + ["outputs/" + n for n in entry["outputs"]]
        for layer in entry["layers"]:
            keys += layer["tensors"] + [key for key in [*layer["inputs"], layer["before_activation"]] if key]
            keys += [value for value in layer["arguments"].values() if isinstance(value, str)]
        assert set(keys) <= set(tensors) and {tensors.home(key) for key in keys} == set(
            map(tensors.home, tensors)
        )
        assert set(entry["depth"]) == set(tensors)


def test_calls_are_told_with_inputs_arguments_and_what_the_activation_was_given(root):
    entry, tensors = run_of(root / "shared")
    made = calls(entry)
    first, second = made["dense", 0], made["dense", 1]
    assert first["inputs"] == ["layers/table"] and first["tensors"] == ["layers/dense"]
    assert second["inputs"] == ["layers/dense"] and second["tensors"] == ["layers/dense#1"]
    assert first["before_activation"] == "layers/dense:before" and first["activation"] == "tanh"
    before = tensors["layers/dense#1:before"].array
    assert np.allclose(np.tanh(before), tensors["layers/dense#1"].array, atol=1e-6)
    both = made["both", 0]
    # the nested model's result is its last layer's, and dropout hands on what it is given
    assert both["inputs"] == ["layers/lstm", tensors.home("layers/inner")] and both["structure"] == [[0, 1]]
    assert made["inner/drop", 0]["arguments"] == {"training": False}
    assert tensors.home("layers/inner/drop") == "layers/inner/a"  # the same numbers, stored once
    mask = made["lstm", 0]["arguments"]["mask"]
    assert tensors[mask].array.dtype == bool
    assert made["lstm", 0]["before_activation"] is None
    assert not [name for name, _ in made if "cell" in name]  # the cell's steps are inside of the layer
    leaky = made["leaky", 0]
    before = tensors[leaky["before_activation"]].array
    assert np.allclose(np.where(before > 0, before, before * 0.1), tensors["layers/leaky"].array, atol=1e-6)


def test_the_configuration_is_what_json_holds(root):
    made = calls(run_of(root / "shared")[0])
    assert made["lstm", 0]["config"]["recurrent_activation"] == "sigmoid"
    assert made["dense", 0]["config"]["units"] == 4 and made["inner/drop", 0]["config"]["rate"] == 0.5
    assert not [v for layer in made.values() for v in layer["config"].values() if isinstance(v, dict)]
    assert calls(run_of(root / "tail")[0])["scale", 0]["config"] == {}


def test_a_traced_call_is_recorded_layer_by_layer(root):
    entry, tensors = run_of(root / "tail")
    made = calls(entry)
    scale = made["scale", 0]
    assert scale["inputs"] == ["layers/scale:input/0"] and scale["arguments"]["by"] == 3.0
    given = tensors["layers/scale:input/0"].array
    assert np.allclose(
        given, 2 * np.sin(tensors[made[entry["layers"][0]["name"], 0]["tensors"][0]].array), atol=1e-5
    )
    attention = next(layer for layer in entry["layers"] if layer["class"] == "MultiHeadAttention")
    assert attention["inputs"] == ["layers/scale"] and attention["arguments"]["value"] == "layers/scale"
    assert attention["arguments"]["use_causal_mask"] is True and attention["attribute"] == "attention"


def test_depth_counts_the_calls_before_a_tensor(root):
    entry, _ = run_of(root / "shared")
    depth = [entry["depth"][layer["tensors"][0]] for layer in entry["layers"]]
    assert depth == sorted(depth) and len(set(depth)) == len(depth) and entry["depth"]["inputs/0"] == 0
    assert entry["depth"]["outputs/output"] == max(depth)


def test_float32_is_measured_against_a_run_in_float64_with_the_same_weights(root):
    entry, tensors = run_of(root / "shared")
    exact, doubles = run_of(root / "shared", "float64")
    floating = [n for n, v in tensors.items() if v.array.dtype.kind == "f"]
    assert set(entry["wander"]) == set(floating) and exact["wander"] == {}
    for name in floating:
        apart = np.abs(tensors[name].array.astype(np.float64) - doubles[name].array).max()
        assert entry["wander"][name] == apart
        assert apart < 1e-5 * np.abs(doubles[name].array).max()
    assert entry["wander"]["layers/dense"] > 0
    one, _ = run_of(root / "single dtype")  # a run for its own sake gives the same figures
    assert one["wander"] == entry["wander"] and one["depth"] == entry["depth"]
    assert run_of(root / "uncalibrated")[0]["wander"] == {}
    assert sorted(p.name for p in (root / "single dtype").iterdir()) == [
        "float32.safetensors",
        "float32.weights.h5",
        "manifest.json",
    ]


def test_what_cannot_be_calibrated_is_told(root):
    entry, _ = run_of(root / "single")
    assert entry["wander"] == {} and "not calibrated: in float64 the reference raises" in entry["notes"][0]
    assert "programs.py:" in entry["notes"][0]
    entry, _ = run_of(root / "random")
    assert "outputs/output" not in entry["wander"] and "layers/dense" in entry["wander"]
    assert "which is not rounding" in entry["notes"][0]


def test_equal_outputs_are_stored_once_and_read_under_both_names(root):
    _, tensors = run_of(root / "outputs")
    assert np.array_equal(tensors["outputs/output/y"].array, tensors["outputs/output/again"].array)
    homes = [tensors.home(n) for n in ("outputs/output/y", "outputs/output/again", "outputs/output/x")]
    assert homes == ["layers/same", "layers/same", "inputs/0"]


def test_layers_beyond_the_budget_are_counted(root):
    auto, every = (run_of(root / name)[0] for name in ("auto", "all"))
    assert every["layers_left_out"] == 0 and len(every["layers"]) == 24
    assert len(auto["layers"]) + auto["layers_left_out"] == 24 and 0 < auto["layers_left_out"] < 24
    assert (root / "auto" / "float32.safetensors").stat().st_size < LAYER_BUDGET + 2**24


def test_a_store_holds_one_tensor_at_a_time_and_so_does_its_reader(tmp_path):
    size, count = 2**22, 24
    tracemalloc.start()
    with Store(tmp_path / "x.safetensors") as store:
        for i in range(count):
            store.put(f"t{i}", Value(np.full(size // 4, i, np.float32), "float32"))
        store.put("again", Value(np.full(size // 4, 3, np.float32), "float32"))
    written = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    tensors = read_tensors(tmp_path / "x.safetensors")
    total = sum(float(value.array[-1]) for value in tensors.values())
    read = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == sum(range(count)) + 3 and tensors.home("again") == "t3"
    assert written < 4 * size and read < 2 * size, (written / size, read / size)
    assert not (tmp_path / "x.safetensors.data").exists()
    assert (tmp_path / "x.safetensors").stat().st_size < (count + 1) * size


def test_tensors_that_only_look_equal_are_both_stored(tmp_path):
    one = np.zeros(2**18, np.float32)
    two = one.copy()
    two[12345] = 1e-30
    minus = -one  # equal numbers, other bytes
    with Store(tmp_path / "x.safetensors") as store:
        for name, array in (
            ("one", one),
            ("two", two),
            ("minus", minus),
            ("shape", one.reshape(2, -1)),
            ("same", one.copy()),
        ):
            store.put(name, as_value(array))
        store.put("list", flatten([])["output"])
        store.put("empty", as_value(np.zeros((0,), np.uint8)))
    tensors = read_tensors(tmp_path / "x.safetensors")
    assert {n for n in tensors if tensors.home(n) != n} == {"same"}
    assert tensors["two"].array[12345] == np.float32(1e-30) and np.signbit(tensors["minus"].array).all()
    assert tensors["list"].dtype == "list" and tensors["empty"].dtype == "uint8"


def test_a_reader_gives_arrays_that_may_be_changed_without_harm(tmp_path):
    write_tensors(tmp_path / "x", flatten({"a": np.arange(4.0), "flag": True, "b": np.arange(4.0)}))
    tensors = read_tensors(tmp_path / "x")
    tensors["output/a"].array[:] = 7
    assert (
        tensors["output/a"].array.tolist() == [0, 1, 2, 3] and "output/c" not in tensors and len(tensors) == 3
    )
    with pytest.raises(KeyError):
        tensors["output/c"]


def test_the_wander_is_of_finite_numbers_at_the_same_places(tmp_path):
    def measured(single, double):
        with Store(tmp_path / "w") as one:
            one.put("outputs/x", as_value(np.array(single, np.float32)))
            two = Store(None, one)
            two.put("outputs/x", as_value(np.array(double, np.float64)))
            two.put("outputs/new", as_value(np.array(1.0)))
        return two

    inf, nan = np.inf, np.nan
    assert measured([1, 2], [1, 2 + 1e-6]).wander == {"outputs/x": pytest.approx(1e-6)}
    assert measured([inf, nan, 1], [inf, nan, 1]).wander == {"outputs/x": 0.0}
    assert "finite in one precision" in measured([1, nan], [1, 2]).unlike["outputs/x"]
    assert "finite in one precision" in measured([1, 2], [1, inf]).unlike["outputs/x"]
    assert "not rounding" in measured([1, 2], [1, 2.1]).unlike["outputs/x"]
    assert "not rounding" in measured([0.0], [1e-30]).unlike["outputs/x"]
    assert "its shape" in measured([1, 2], [[1, 2]]).unlike["outputs/x"]
    assert measured([], []).wander == {"outputs/x": 0.0}


def test_programs_of_the_other_tests_are_calibrated_whole(tmp_path):
    """Text, images: every floating tensor of a float32 run has its figure."""
    jobs = {
        "transformer": [f"{PROGRAMS / 'transformer.py'}:Transformer", "--input", "2x6:int32<20"],
        "lstm": [f"{PROGRAMS / 'text_lstm.py'}:Text", "--input", "2x7:int32<20"],
    }
    told = capture_many([[*job, "-o", tmp_path / name] for name, job in jobs.items()])
    assert [status for status, _ in told] == [0, 0], told
    for name in jobs:
        entry, tensors = run_of(tmp_path / name)
        floating = {n for n, v in tensors.items() if v.array.dtype.kind == "f"}
        assert set(entry["wander"]) == floating and len(floating) > 8 and entry["notes"] == []


def test_a_layer_that_holds_its_own_call_has_it_back():
    """Keras 2 makes such layers of TensorFlow's functions; the class's `call` returns its input."""

    class Layer:
        def call(self, x):
            return x

    own, plain = Layer(), Layer()
    own.call = lambda x: x + 1
    for _ in range(2):
        with Watch([own, plain], lambda layer, call, args, kwargs: 10 * call(*args, **kwargs)):
            assert own.call(1) == 20 and plain.call(1) == 10
        assert own.call(1) == 2 and plain.call(1) == 1 and "call" not in vars(plain)


DEEP = """
from tensorflow import keras


def build():
    x = image = keras.Input((2, 2, 12))
    for _ in range(60):
        x = keras.layers.Conv2D(12, 1, use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    return keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(x)))
"""


def test_rounding_does_not_grow_through_many_normalisations(tmp_path):
    """With each channel's own mean and deviation as statistics nothing but rounding would reach the output."""
    (tmp_path / "deep.py").write_text(DEEP)
    assert capture_many([[f"{tmp_path / 'deep.py'}:build", "-o", tmp_path / "g"]])[0][0] == 0
    entry = read_golden(tmp_path / "g").run("float32")
    assert entry["wander"]["outputs/output"] < 1e-5
    weights = read_checkpoint(tmp_path / "g" / "float32.weights.h5")
    variances = [
        np.asarray(weights[k]) for k in weights if k.startswith("layers/batch_norm") and k.endswith("vars/3")
    ]
    assert len(variances) == 60 and min(v.min() for v in variances) < 0.02  # an epsilon of 1e-3 shows
