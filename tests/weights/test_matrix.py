"""Formats x dtypes x layouts, written by TensorFlow and read without it, bit for bit.

`TFPORT_OTHER_TENSORFLOW=PYTHON` adds an environment with another TensorFlow (2.15.1, say) as a second writer.
"""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from tables import bundle

from tfport.weights import WeightsError, read_checkpoint

OTHER = os.environ.get("TFPORT_OTHER_TENSORFLOW")
WRITERS = [sys.executable] + [OTHER] * bool(OTHER)


@pytest.fixture(scope="module", params=WRITERS, ids=["tensorflow", "other"][: len(WRITERS)])
def matrix(request, tmp_path_factory):
    if request.param == sys.executable:
        pytest.importorskip("tensorflow", reason="TensorFlow writes the files")
    folder = tmp_path_factory.mktemp("matrix")
    script = pathlib.Path(__file__).with_name("tensorflow_writes.py")
    done = subprocess.run([request.param, str(script), str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, json.loads((folder / "values.json").read_text())["files"]


def bits(array):
    if array.dtype == object:
        return [list(array.shape), "string", [item.hex() for item in array.ravel()]]
    return [list(array.shape), array.dtype.name, np.ascontiguousarray(array).tobytes().hex()]


@pytest.mark.parametrize("name", ["by_name", "v1.ckpt", "objects", "saved", "frozen.pb"])
def test_every_dtype_and_layout_reads_as_it_was_written(matrix, name):
    folder, files = matrix
    checkpoint = read_checkpoint(folder / name)
    assert len(files[name]) > 50
    for key, expected in files[name].items():
        assert bits(checkpoint[key]) == expected, key
        assert checkpoint.entries[key].dtype == expected[1]
    extra = set(checkpoint) - set(files[name])
    assert all("/.ATTRIBUTES/" not in key or checkpoint.entries[key].ignored for key in extra), extra


@pytest.mark.parametrize("path", ["v1s.ckpt", "v1s.ckpt-00001-of-00002"])
def test_the_shards_of_a_v1_checkpoint_are_one(matrix, path):
    """`Saver(sharded=True, write_version=V1)`: by their prefix or by one of them, a variable's slices in both."""
    folder, files = matrix
    checkpoint = read_checkpoint(folder / path)
    assert checkpoint.format == "V1 checkpoint" and set(checkpoint) == set(files["v1s.ckpt"])
    for key, expected in files["v1s.ckpt"].items():
        assert bits(checkpoint[key]) == expected, key


@pytest.mark.parametrize("name", ["objects", "saved"])
def test_a_lookup_table_is_no_weight(matrix, name):
    checkpoint = read_checkpoint(matrix[0] / name)
    table = [entry for key, entry in checkpoint.entries.items() if "/table-" in key]
    assert [entry.ignored for entry in table] == ["contents of a lookup table"] * 2
    assert checkpoint[table[1].key].tolist() in ([3, 4], [4, 3])


@pytest.mark.parametrize("name", ["keras.weights.h5", "keras.h5"])
def test_a_layer_with_every_dtype_reads_as_keras_wrote_it(matrix, name):
    folder, files = matrix
    checkpoint = read_checkpoint(folder / name)
    held = [bits(checkpoint[key]) for key, entry in checkpoint.entries.items() if not entry.ignored]
    for expected in files[name].values():
        assert expected in held
    assert len(held) == len(files[name])


def test_a_v1_checkpoint_and_a_frozen_graph_say_what_they_are(matrix):
    folder, files = matrix
    assert read_checkpoint(folder / "v1.ckpt").format == "V1 checkpoint"
    frozen = read_checkpoint(folder / "frozen.pb")
    assert frozen.format == "frozen graph"
    ignored = {key for key, entry in frozen.entries.items() if entry.ignored}
    floating = {
        k
        for k in files["frozen.pb"]
        if k.startswith(("float", "bfloat", "complex")) and not k.endswith("scalar")
    }
    assert set(frozen) - ignored == floating


def test_an_offset_beyond_two_gigabytes(tmp_path):
    """A sparse shard: the values lie behind a hole of 3 GB."""
    value = np.arange(6, dtype=np.float32).reshape(2, 3)
    offset = 3 * 2**30 + 5
    bundle(tmp_path / "big", {"w": (value, offset)})
    assert (tmp_path / "big.data-00000-of-00001").stat().st_size == offset + 24
    np.testing.assert_array_equal(read_checkpoint(tmp_path / "big")["w"], value)


@pytest.mark.parametrize("name", ["v1.ckpt", "frozen.pb"])
def test_a_cut_or_changed_file_is_refused_or_read_right(matrix, tmp_path, name):
    folder, files = matrix
    data = (folder / name).read_bytes()
    right = {key: tuple(map(str, told)) for key, told in files[name].items()}
    source = np.random.RandomState(0)
    refused = 0
    places = [len(data) * i // 40 for i in range(40)] + source.randint(0, len(data), 100).tolist()
    for number, at in enumerate(places):
        damaged = bytearray(data[:at] if number < 40 else data)
        if number >= 40:
            damaged[at] ^= 1 << source.randint(8)
        path = tmp_path / "damaged"
        path.write_bytes(damaged)
        try:
            checkpoint = read_checkpoint(path)
            read = {key: tuple(map(str, bits(checkpoint[key]))) for key in checkpoint}
        except WeightsError as error:
            assert len(str(error).splitlines()) == 1, error
            refused += 1
            continue
        if name == "v1.ckpt":  # its blocks carry checksums; a graph has none
            assert all(read[key] == told for key, told in right.items())
    assert refused > (100 if name == "v1.ckpt" else 30)
