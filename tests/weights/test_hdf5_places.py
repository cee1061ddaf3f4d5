"""HDF5 files that were damaged or made to harm, though the library reads them: no checksum tells, but some things do."""

import h5py
import numpy as np
import pytest
from twins import FOLDER

from tfport.weights import WeightsError, read_checkpoint


def moved(path, name, by):
    """The address of a contiguous dataset's values changed in its description."""
    with h5py.File(path) as file:
        offset = file[name].id.get_offset()
    data = bytearray(path.read_bytes())
    at = data.find(offset.to_bytes(8, "little") + file_size(path, name).to_bytes(8, "little"))
    assert at > 0
    data[at : at + 8] = (offset + by).to_bytes(8, "little")
    path.write_bytes(data)


def file_size(path, name):
    with h5py.File(path) as file:
        return file[name].id.get_storage_size()


@pytest.mark.parametrize(("by", "says"), [(16, "lie on"), (-16, "lie on")])
def test_values_in_a_wrong_place_are_refused(tmp_path, by, says):
    path = tmp_path / "m.weights.h5"
    with h5py.File(path, "w") as file:
        for layer in ("a", "b", "c"):
            for number in range(2):
                file[f"layers/{layer}/vars/{number}"] = np.full(40, number, "f4")
    moved(path, "layers/b/vars/0", by)
    with pytest.raises(WeightsError, match=says):
        read_checkpoint(path)


def test_a_size_that_is_not_that_of_the_shape_is_refused(tmp_path):
    path = tmp_path / "m.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers/a/vars/0"] = np.zeros((40, 3), "f4")
    data = bytearray(path.read_bytes())
    shape = (40).to_bytes(8, "little") + (3).to_bytes(8, "little")
    at = data.find(shape)
    data[at : at + 8] = (20).to_bytes(8, "little")
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"480 bytes are no float32 of shape \(20, 3\)"):
        read_checkpoint(path)


def test_a_weight_that_no_list_has_is_not_lost(tmp_path):
    path = tmp_path / "m.h5"
    path.write_bytes((FOLDER / "keras2_only.h5").read_bytes())
    with h5py.File(path, "a") as file:
        layer = next(group for group in file.values() if len(group.attrs["weight_names"]) == 2)
        layer.attrs["weight_names"] = layer.attrs["weight_names"][:1]
    with pytest.raises(WeightsError, match="in no list of its layer's weights"):
        read_checkpoint(path)


def test_a_group_that_holds_itself_is_refused(tmp_path):
    path = tmp_path / "m.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers/a/vars/0"] = np.zeros(3)
        for number in range(3):
            file[f"layers/again_{number}"] = file["/"]
    with pytest.raises(WeightsError, match="second name"):
        read_checkpoint(path)


@pytest.mark.parametrize("packed", [None, "gzip"])
def test_values_that_would_take_more_than_their_file_are_refused(tmp_path, packed):
    path = tmp_path / "m.weights.h5"
    chunks = None if packed is None else (1 << 20,)
    with h5py.File(path, "w") as file:
        file.create_dataset("layers/a/vars/0", (1 << 33,), "f4", chunks=chunks, compression=packed)
    with pytest.raises(WeightsError, match="claims 34359738368 bytes"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("value", "dtype", "says"),
    [
        (h5py.Empty("f4"), None, "no values at all"), (np.zeros(2, "V1"), None, "numbers of one byte"),
        (None, h5py.ref_dtype, "none that TensorFlow writes"), (None, h5py.vlen_dtype("f4"), "none that TensorFlow writes"),
        (None, [("a", "f4"), ("b", "f4"), ("c", "f4")], "none that TensorFlow writes"),
    ],
)  # fmt: skip
def test_what_is_no_array_of_numbers_is_refused(tmp_path, value, dtype, says):
    path = tmp_path / "m.weights.h5"
    with h5py.File(path, "w") as file:
        if value is None:
            file.create_dataset("layers/a/vars/0", (2,), dtype)
        else:
            file.create_dataset("layers/a/vars/0", data=value)
    with pytest.raises(WeightsError, match=says):
        read_checkpoint(path)


def test_a_heap_without_an_end_is_refused(tmp_path):
    """The library would walk it for ever."""
    path = tmp_path / "m.weights.h5"
    data = bytearray((FOLDER / "cnn.weights.h5").read_bytes())
    start = data.find(b"GCOL\x01\0\0\0")
    at, end = start + 16, start + int.from_bytes(data[start + 8 : start + 16], "little")
    while data[at : at + 2] != b"\0\0":
        at += 16 + (int.from_bytes(data[at + 8 : at + 16], "little") + 7) // 8 * 8
    assert at < end
    whole = bytes(data)
    data[at + 8 : at + 16] = bytes(8)
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=f"its heap at byte {start} does not add up"):
        read_checkpoint(path)
    path.write_bytes(whole[: start + 8] + (1 << 34).to_bytes(8, "little") + whole[start + 16 :])
    with pytest.raises(WeightsError, match=f"its heap at byte {start} reaches past its end"):
        read_checkpoint(path)


def test_bfloat16_is_read_where_only_its_width_is_kept(tmp_path):
    """Keras' `.h5`, and Keras 2's `.weights.h5`, hold bfloat16 as two bytes without a kind; h5py knows no more."""
    import ml_dtypes

    path, value = tmp_path / "m.weights.h5", np.arange(6).astype(ml_dtypes.bfloat16).reshape(2, 3)
    with h5py.File(path, "w") as file:
        file["layers/a/vars/0"] = value
        file["layers/a/vars/1"] = value
        file["layers/a/vars/1"].attrs["dtype"] = "bfloat16"
        file.create_dataset("layers/a/vars/2", data=value, chunks=(1, 3), compression="gzip")
        file["layers/a/vars/3"] = value.astype("f4")
        file["layers/a/vars/3"].attrs["dtype"] = "bfloat16"
    checkpoint = read_checkpoint(path)
    for key, entry in checkpoint.entries.items():
        assert entry.dtype == checkpoint[key].dtype.name == "bfloat16"
        np.testing.assert_array_equal(checkpoint[key], value)
    assert not checkpoint["layers/a/vars/0"].flags.owndata


def test_a_variable_that_is_not_there_is_not_lost(tmp_path):
    path = tmp_path / "m.weights.h5"
    path.write_bytes((FOLDER / "cnn.weights.h5").read_bytes())
    with h5py.File(path, "a") as file:
        del file["layers/dense/vars/0"]
    with pytest.raises(WeightsError, match=r"layers/dense/vars/0 is missing"):
        read_checkpoint(path)


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("block", [0, 512])
def test_every_layout_of_hdf5_is_read_behind_a_user_block_too(tmp_path, block, libver):
    """Contiguous, packed, in the description, big-endian, never written, never written with a value to fill in."""
    path, value = tmp_path / "m.weights.h5", np.arange(50, dtype="f4")
    with h5py.File(path, "w", userblock_size=block, libver=libver) as file:
        group = file.create_group("layers/a/vars")
        group["0"] = value
        group["1"] = np.float32(3)
        group.create_dataset("2", (4,), "f4")
        group.create_dataset("3", (4,), "f4", fillvalue=7)
        group.create_dataset("4", data=value, chunks=(10,), compression="gzip", shuffle=True, fletcher32=True)
        group.create_dataset("5", data=value, maxshape=(None,))
        group["6"] = value.astype(">f4")
        compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        compact.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((5,))
        inside = h5py.h5d.create(group.id, b"7", h5py.h5t.IEEE_F32LE, space, compact)
        inside.write(h5py.h5s.ALL, h5py.h5s.ALL, value[:5].copy())
    checkpoint = read_checkpoint(path)
    with h5py.File(path) as file:
        assert len(checkpoint) == 8
        for key in checkpoint:
            np.testing.assert_array_equal(checkpoint[key], file[key][()])


FLOATS = {"bfloat16": ((15, 7, 8, 0, 7), 127, 2), "float8_e4m3fn": ((7, 3, 4, 0, 3), 7, 1), "float8_e5m2": ((7, 2, 5, 0, 2), 15, 1)}  # fmt: skip


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", FLOATS)
def test_small_floats_that_hdf5_describes_are_read_in_their_own_dtype(tmp_path, name, packed):
    """h5py reads them as the next larger float: their bytes are those of the small one."""
    path, (fields, bias, size) = tmp_path / "m.weights.h5", FLOATS[name]
    kind = h5py.h5t.IEEE_F16LE.copy()
    kind.set_fields(*fields)
    kind.set_ebias(bias)
    kind.set_precision(8 * size)
    kind.set_size(size)
    value = np.array([1, 2, -0.5, 0.25, 0, 6], "f4")
    with h5py.File(path, "w") as file:
        options = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        if packed:
            options.set_chunk((3,))
            options.set_deflate(4)
        group = file.create_group("layers/a/vars")
        made = h5py.h5d.create(group.id, b"0", kind, h5py.h5s.create_simple((6,)), options)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, value)
    found = read_checkpoint(path)["layers/a/vars/0"]
    assert found.dtype.name == name
    np.testing.assert_array_equal(found.astype("f4"), value)


@pytest.mark.parametrize("wrong", ["precision", "bias"])
def test_numbers_of_a_kind_that_nobody_writes_are_refused(tmp_path, wrong):
    """Their bytes are not what NumPy's dtype of that size says, and what the library makes of them is not checked."""
    path = tmp_path / "m.weights.h5"
    kind = h5py.h5t.STD_I32LE.copy() if wrong == "precision" else h5py.h5t.IEEE_F32LE.copy()
    if wrong == "precision":
        kind.set_precision(20)
        kind.set_offset(4)
    else:
        kind.set_ebias(126)
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/a/vars")
        h5py.h5d.create(group.id, b"0", kind, h5py.h5s.create_simple((4,)))
        group["1"] = np.zeros(3, "f4")
    with pytest.raises(WeightsError, match="none that TensorFlow writes"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    "dtype",
    ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "c8", "c16", "?", ">f4", ">i8", ">c8"],
)
def test_every_dtype_of_numpy_is_read(tmp_path, dtype):
    path, value = tmp_path / "m.weights.h5", np.array([0, 1, 1, 0]).astype(dtype)
    with h5py.File(path, "w") as file:
        file["layers/a/vars/0"] = value
        file.create_dataset("layers/a/vars/1", data=value, chunks=(2,))
    for found in read_checkpoint(path).values():
        assert found.dtype == value.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found, value)
