"""Readers against TensorFlow, bit for bit: every numeric dtype, scalars, empty tensors, slices, shards, strings."""

import json
import pathlib
import subprocess
import sys

import h5py
import numpy as np
import pytest
from twins import FOLDER, FORMATS

from tfport.weights import WeightsError, bundle, dtypes, read_checkpoint

PREFIXES = (
    "many_dtypes", "parts", "tf1", "cnn_checkpoint/ck", "shared_checkpoint/ck", "sub_checkpoint/ck",
    "keras2_checkpoint/ck", "cnn_savedmodel/variables/variables", "keras2_savedmodel/variables/variables",
)  # fmt: skip


@pytest.fixture(scope="session")
def tensorflow_says(tmp_path_factory):
    pytest.importorskip("tensorflow", reason="compares with TensorFlow's own reader")
    out = tmp_path_factory.mktemp("tensorflow") / "read.json"
    script = pathlib.Path(__file__).with_name("tensorflow_reads.py")
    prefixes = [str(FOLDER / prefix) for prefix in PREFIXES]
    subprocess.run([sys.executable, str(script), str(out), *prefixes], check=True, capture_output=True)
    return json.loads(out.read_text())


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_bundle_reads_as_tensorflow_reads_it(tensorflow_says, prefix):
    expected = tensorflow_says[str(FOLDER / prefix)]
    checkpoint = read_checkpoint(FOLDER / prefix)
    assert set(checkpoint) == set(expected)
    for name, (shape, dtype, data) in expected.items():
        array = checkpoint[name]
        assert (list(array.shape), checkpoint.entries[name].dtype) == (shape, dtype), name
        if dtype == "string":
            assert [item.hex() for item in array.ravel()] == data, name
        else:
            assert array.dtype.name == dtype
            assert array.tobytes().hex() == data, name
            assert not array.flags.writeable


def test_a_partitioned_variable_is_one_tensor():
    checkpoint = read_checkpoint(FOLDER / "parts")
    assert list(checkpoint) == ["part/kernel", "plain/bias"]
    np.testing.assert_array_equal(checkpoint["part/kernel"], np.load(FOLDER / "parts.npy"))


@pytest.mark.parametrize(
    "name", ["cnn.weights.h5", "cnn.h5", "sub.weights.h5", "keras2.h5", "keras2_only.h5"]
)
def test_an_h5_file_reads_as_h5py_reads_it(name):
    checkpoint = read_checkpoint(FOLDER / name)
    with h5py.File(FOLDER / name) as file:
        found = {}
        file.visititems(lambda n, o: found.update({n: o[()]}) if isinstance(o, h5py.Dataset) else None)
    assert set(checkpoint) == set(found)
    for key, value in found.items():
        assert checkpoint[key].dtype == value.dtype
        np.testing.assert_array_equal(checkpoint[key], value)


def test_contiguous_values_are_views_of_the_file():
    for name in ("cnn.weights.h5", "cnn.keras", "cnn_checkpoint/ck"):
        checkpoint = read_checkpoint(FOLDER / name)
        largest = max(checkpoint, key=lambda key: checkpoint.entries[key].nbytes or 0)
        assert checkpoint[largest].base is not None
        assert not checkpoint[largest].flags.owndata


def test_the_keras_archive_holds_what_the_weights_file_holds():
    one, other = read_checkpoint(FOLDER / "cnn.keras"), read_checkpoint(FOLDER / "cnn.weights.h5")
    assert set(one) == set(other)
    for key in one:
        np.testing.assert_array_equal(one[key], other[key])


def test_compressed_and_chunked_datasets_are_read(tmp_path):
    path = tmp_path / "packed.weights.h5"
    value = np.arange(6000, dtype="float32").reshape(60, 100)
    with h5py.File(path, "w") as file:
        file.create_dataset("layers/dense/vars/0", data=value, chunks=(7, 13), compression="gzip")
        file.create_dataset("layers/dense/vars/1", data=value[0].astype(">f4"))
        file.create_dataset("layers/dense/vars/2", data=np.zeros((0, 3), "float32"))
    checkpoint = read_checkpoint(path)
    np.testing.assert_array_equal(checkpoint["layers/dense/vars/0"], value)
    np.testing.assert_array_equal(checkpoint["layers/dense/vars/1"], value[0])
    assert checkpoint["layers/dense/vars/2"].shape == (0, 3)


@pytest.mark.parametrize(
    ("path", "format"),
    [
        ("cnn.weights.h5", "Keras .weights.h5"), ("cnn.h5", "Keras .h5 (legacy)"), ("cnn.keras", "Keras .keras"),
        ("cnn_savedmodel", "SavedModel"), ("cnn_checkpoint", "V2 checkpoint"), ("cnn_checkpoint/ck", "V2 checkpoint"),
        ("cnn_checkpoint/ck.index", "V2 checkpoint"), ("cnn_checkpoint/ck.data-00000-of-00001", "V2 checkpoint"),
        ("keras2_checkpoint", "V2 checkpoint"), ("keras2_only.h5", "Keras .h5 (legacy)"),
    ],
)  # fmt: skip
def test_the_format_is_told_by_the_content(path, format):
    assert read_checkpoint(FOLDER / path).format == format


def test_an_extension_does_not_decide(tmp_path):
    for name in ("cnn.keras", "cnn.weights.h5", "cnn.h5"):
        copy = tmp_path / "weights.bin"
        copy.write_bytes((FOLDER / name).read_bytes())
        assert read_checkpoint(copy).format == read_checkpoint(FOLDER / name).format


@pytest.mark.parametrize("format", FORMATS)
def test_optimizer_state_and_counters_are_told_from_weights(format):
    checkpoint = read_checkpoint(FOLDER / f"cnn{format}")
    weights = [entry for entry in checkpoint.entries.values() if not entry.ignored]
    assert len(weights) == 14
    assert all(entry.ignored for entry in checkpoint.entries.values() if "iter" in entry.key)


def test_strings_are_listed_and_read():
    text = read_checkpoint(FOLDER / "many_dtypes")["text"]
    assert text.tolist() == [b"", b"\xff\x00", "\u00e4".encode() * 200]


def test_links_out_of_a_file_are_refused(tmp_path):
    secret = tmp_path / "other.h5"
    with h5py.File(secret, "w") as file:
        file["data"] = np.zeros(3)
    for link in (h5py.ExternalLink(str(secret), "/data"), h5py.SoftLink("/somewhere")):
        path = tmp_path / "linked.weights.h5"
        with h5py.File(path, "w") as file:
            file["layers/dense/vars/1"] = np.zeros(3)
            file["layers/dense/vars/0"] = link
        with pytest.raises(WeightsError, match="link to elsewhere"):
            read_checkpoint(path)


def test_values_kept_in_another_file_are_refused(tmp_path):
    path = tmp_path / "external.weights.h5"
    (tmp_path / "raw").write_bytes(bytes(12))
    with h5py.File(path, "w") as file:
        file.create_dataset("layers/dense/vars/0", (3,), "f4", external=[(str(tmp_path / "raw"), 0, 12)])
    with pytest.raises(WeightsError, match="another file"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("keys", "values", "table"),
    [
        (("string", (3,)), ("int64", (3,)), True), (("int64", (0,)), ("float32", (0, 4)), True),
        (("float32", (3, 8)), ("float32", (3, 8)), False), (("float32", (8,)), ("float32", (8,)), False),
        (("int32", (3,)), ("float32", (4,)), False), (("string", (3,)), None, False),
    ],
)  # fmt: skip
def test_only_a_value_for_each_key_is_a_lookup_table(keys, values, table):
    """`memory-keys` and `memory-values` may be two variables of an attention."""
    numbers = {dtypes.name_of(number): number for number in range(1, 24)}
    stored = {name.encode(): bundle._Stored(numbers[dtype], shape)
              for name, (dtype, shape) in (("a-keys", keys), *([("a-values", values)] if values else []))}  # fmt: skip
    for name, item in stored.items():
        told = bundle._no_variable(name.decode(), item.dtype, stored)
        assert told == ("contents of a lookup table" if table else "")
