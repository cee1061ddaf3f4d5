"""Damaged files: truncated anywhere, bytes flipped anywhere. One clear error or the right values, never a crash.

Some 11,000 cases: each byte of two indexes flipped twice and each of their truncations (6,200), a shard's flips and
truncations (4,200), .keras and HDF5 files (700); V1 checkpoints and frozen graphs are in test_matrix.py (280).
"""

import pathlib
import random
import shutil
import subprocess
import sys

import numpy as np
import pytest
from tables import number, table
from twins import FOLDER

from tfport.weights import WeightsError, read_checkpoint


def values(path):
    """All values, or None where the reader refused the file; anything but a WeightsError fails the test."""
    try:
        checkpoint = read_checkpoint(path)
        found = {key: checkpoint[key] for key in checkpoint}
    except WeightsError as error:
        assert len(str(error).splitlines()) == 1 and len(str(error)) < 600, error
        return None
    return {
        key: (array.dtype, array.shape, array.tolist() if array.dtype == object else array.tobytes())
        for key, array in found.items()
    }


def put(folder, name):
    for file in FOLDER.glob(f"{name}.*"):
        shutil.copy(file, folder)
    return folder / name


@pytest.mark.parametrize("name", ["parts", "many_dtypes"])
def test_every_byte_of_an_index_flipped(tmp_path, name):
    prefix = put(tmp_path, name)
    good = values(prefix)
    index = pathlib.Path(f"{prefix}.index")
    data = index.read_bytes()
    rng = random.Random(1)
    refused = 0
    for at in sorted([*range(len(data))] * 2):
        index.write_bytes(data[:at] + bytes((data[at] ^ (1 << rng.randrange(8)),)) + data[at + 1 :])
        found = values(prefix)
        assert found is None or found == good, at
        refused += found is None
    assert refused > 2 * len(data) * 0.8  # what is left is padding of the footer


@pytest.mark.parametrize("name", ["parts", "many_dtypes"])
def test_every_truncation_of_an_index(tmp_path, name):
    prefix = put(tmp_path, name)
    index = pathlib.Path(f"{prefix}.index")
    data = index.read_bytes()
    for size in range(len(data)):
        index.write_bytes(data[:size])
        assert values(prefix) is None, size


def test_random_flips_in_the_data_of_a_bundle(tmp_path):
    prefix = put(tmp_path, "many_dtypes")
    shard = next(tmp_path.glob("many_dtypes.data-*"))
    data = shard.read_bytes()
    rng = random.Random(2)
    for _ in range(2000):
        at = rng.randrange(len(data))
        shard.write_bytes(data[:at] + bytes((data[at] ^ (1 << rng.randrange(8)),)) + data[at + 1 :])
        assert values(prefix) is None, at


def test_every_truncation_of_a_shard(tmp_path):
    prefix = put(tmp_path, "many_dtypes")
    shard = next(tmp_path.glob("many_dtypes.data-*"))
    data = shard.read_bytes()
    for size in range(len(data)):
        shard.write_bytes(data[:size])
        assert values(prefix) is None, size


def test_a_tensor_that_is_whole_can_be_read_from_a_damaged_file(tmp_path):
    prefix = put(tmp_path, "parts")
    shard = tmp_path / "parts.data-00001-of-00002"
    shard.write_bytes(bytes(len(shard.read_bytes())))
    checkpoint = read_checkpoint(prefix)
    readable = []
    for key in checkpoint:
        try:
            readable.append(checkpoint[key].size)
        except WeightsError as error:
            assert "crc mismatch in parts.data-00001-of-00002" in str(error)
    assert len(readable) == 1


def test_flips_in_a_keras_archive(tmp_path):
    path = tmp_path / "copy.keras"
    data = (FOLDER / "cnn.keras").read_bytes()
    good = values(FOLDER / "cnn.keras")
    rng = random.Random(3)
    refused = 0
    for _ in range(300):
        at = rng.randrange(len(data))
        path.write_bytes(data[:at] + bytes((data[at] ^ (1 << rng.randrange(8)),)) + data[at + 1 :])
        found = values(path)
        assert found is None or found == good, at
        refused += found is None
    assert refused > 250


HAMMER = """
import faulthandler, pathlib, random, sys
from tfport.weights import WeightsError, read_checkpoint
source, work, seed = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
data, rng = source.read_bytes(), random.Random(seed)
sizes = [len(data) * n // 40 for n in range(40)]
for case in range(140):
    damaged = bytearray(data)
    if case < 40:
        damaged = damaged[: sizes[case]]
    else:
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    work.write_bytes(damaged)
    faulthandler.dump_traceback_later(20, exit=True)
    try:
        checkpoint = read_checkpoint(work)
        for key in checkpoint:
            checkpoint[key].sum() if checkpoint[key].dtype.kind == "f" else None
        assert case >= 40, f"a file cut to {sizes[case]} of {len(data)} bytes was read"
    except WeightsError as error:
        assert len(str(error)) < 1000
print("done")
"""


@pytest.mark.parametrize("name", ["cnn.weights.h5", "cnn.h5", "keras2_only.h5"])
def test_a_damaged_hdf5_file_is_an_error_and_no_crash(tmp_path, name):
    """HDF5 as Keras writes it has no checksums, so changed values cannot be told; but it must not break the process."""
    command = [sys.executable, "-c", HAMMER, str(FOLDER / name), str(tmp_path / name), "5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "done" in done.stdout, done.stderr[-2000:]


def test_a_missing_shard_is_named(tmp_path):
    prefix = put(tmp_path, "parts")
    (tmp_path / "parts.data-00001-of-00002").unlink()
    with pytest.raises(
        WeightsError, match=r"shard parts.data-00001-of-00002 is missing \(beside it: parts.data-00000"
    ):
        read_checkpoint(prefix)["part/kernel"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"), (b"hello, world", "not a TensorFlow or Keras checkpoint"), (b"\x80\x04\x95abc", "never loaded"),
        (b"PK\x03\x04broken", "damaged .keras"), (b"\x89HDF\r\n\x1a\nbroken", "not a readable HDF5 file"),
        (b"{}", "JSON"), (bytes(100), "truncated"), (bytes(40) + bytes.fromhex("57fb808b247547db"), "index"),
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_said_in_one_line(tmp_path, content, says):
    path = tmp_path / "thing"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=says) as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_paths_that_lead_nowhere(tmp_path):
    for path, says in (
        (tmp_path / "none", "no such file"), (tmp_path, "without a SavedModel or a checkpoint"),
        (tmp_path / "x.index", "no such file"), (FOLDER, "several checkpoints"),
    ):  # fmt: skip
        with pytest.raises(WeightsError, match=says):
            read_checkpoint(path)


def test_an_hdf5_file_of_something_else(tmp_path):
    import h5py

    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file["measurements"] = np.zeros(10)
    with pytest.raises(WeightsError, match="without Keras weights"):
        read_checkpoint(path)


def test_a_zip_of_something_else_and_a_zip_bomb(tmp_path):
    import zipfile

    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(WeightsError, match=r"without model.weights.h5"):
        read_checkpoint(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(1 << 26))
    with pytest.raises(
        WeightsError, match=r"model.weights.h5 unpacks to more than 200 times its size: refused"
    ):
        read_checkpoint(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b"[" + b"0," * (1 << 24) + b"0]")
        archive.writestr("model.weights.h5", (FOLDER / "cnn.weights.h5").read_bytes())
    with pytest.raises(WeightsError, match=r"config.json unpacks to more than 200 times its size: refused"):
        read_checkpoint(path)


def test_a_v1_checkpoint_with_a_damaged_list_of_tensors(tmp_path):
    """The table is whole, the SavedTensorSlices under its empty key is not."""
    path = tmp_path / "model.ckpt"
    path.write_bytes(table([(b"", b"\x0a\x02ab")]))
    with pytest.raises(WeightsError, match=r"model.ckpt: a field runs past the end"):
        read_checkpoint(path)


def test_a_snappy_index_is_read(tmp_path):
    """Blocks of type 1: the same table as `parts`, its blocks packed."""
    import cramjam

    from tfport.weights.sstable import FOOTER, MAGIC, masked_crc
    from tfport.weights.wire import varint

    prefix = put(tmp_path, "parts")
    good = values(prefix)
    data = pathlib.Path(f"{prefix}.index").read_bytes()
    at, numbers = len(data) - FOOTER, []
    for _ in range(4):
        value, at = varint(data, at, len(data))
        numbers.append(value)
    index = data[numbers[2] : numbers[2] + numbers[3]]
    key_length, handle_length = index[1], index[2]
    handle = index[3 + key_length : 3 + key_length + handle_length]
    offset, at = varint(handle, 0, len(handle))
    size, _ = varint(handle, at, len(handle))
    packed = bytes(cramjam.snappy.compress_raw(data[offset : offset + size])) + b"\1"
    first = packed + masked_crc(packed).to_bytes(4, "little")
    body = index[:2] + bytes((1 + len(number(len(packed) - 1)),)) + index[3 : 3 + key_length]
    body += b"\0" + number(len(packed) - 1) + bytes(4) + b"\1\0\0\0" + b"\0"
    second = body + masked_crc(body).to_bytes(4, "little")
    footer = b"\0\0" + number(len(first)) + number(len(body) - 1)
    pathlib.Path(f"{prefix}.index").write_bytes(first + second + footer.ljust(40, b"\0") + MAGIC)
    assert values(prefix) == good
