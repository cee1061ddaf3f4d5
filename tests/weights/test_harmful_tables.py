"""Checkpoints and graphs whose checksums are right and whose contents are not: made to harm, or by a broken writer."""

import numpy as np
import pytest
from click.testing import CliRunner
from tables import block, field, number, table

from tfport.cli import main
from tfport.weights import WeightsError, read_checkpoint
from tfport.weights.slices import slice_key
from tfport.weights.sstable import masked_crc

VALUES = np.arange(16, dtype=np.float32)
DATA = VALUES.tobytes()


def stored(*shape, at=0, size=0, dtype=1, slices=(), data=DATA):
    """A BundleEntryProto with the right crc."""
    dims = b"".join(field(2, field(1, n)) for n in shape)
    crc = number(6 << 3 | 5) + masked_crc(data[at : at + size]).to_bytes(4, "little")
    return (field(1, dtype) + field(2, dims) + field(4, at) + field(5, size) + crc
            + b"".join(field(7, s) for s in slices))  # fmt: skip


def put(folder, entries, data=DATA):
    (folder / "h.data-00000-of-00001").write_bytes(data)
    (folder / "h.index").write_bytes(table([(b"", field(1, 1)), *entries]))
    return str(folder / "h")


@pytest.mark.parametrize(
    "shape", [(1,) * 65, (1,) * 5000, (0, 1 << 62), (1 << 32, 1 << 32), ((1 << 62) + 1, 4)]
)
def test_a_shape_that_no_array_can_have_is_damage(tmp_path, shape):
    with pytest.raises(WeightsError, match="more elements than an array can have"):
        read_checkpoint(put(tmp_path, [(b"a", stored(*shape, size=16))]))


def sliced(shape, slices):
    """A partitioned variable, its slices one after the other in the shard."""
    entries = [(b"a", stored(*shape, slices=[
        b"".join(field(1, field(1, start) + field(2, length)) for start, length in one) for one in slices
    ]))]  # fmt: skip
    at = 0
    for one in slices:
        sizes = [length for _, length in one]
        key = slice_key(b"a", tuple(one))
        if key not in dict(entries):
            entries.append((key, stored(*sizes, at=at, size=4 * int(np.prod(sizes)))))
        at += 4 * int(np.prod(sizes))
    return entries


def test_slices_are_put_together(tmp_path):
    found = read_checkpoint(
        put(tmp_path, sliced((2, 4), [[(0, 1), (0, 4)], [(1, 1), (0, 1)], [(1, 1), (1, 3)]]))
    )
    np.testing.assert_array_equal(found["a"], VALUES[:8].reshape(2, 4))


@pytest.mark.parametrize(
    ("shape", "slices"),
    [
        ((4, 2), [[(0, 2), (0, 2)], [(1, 2), (0, 2)]]), ((4, 2), [[(0, 2), (0, 2)], [(0, 2), (0, 2)]]),
        ((2, 4), [[(0, 1), (0, 2)], [(1, 1), (0, 2)], [(0, 2), (1, 2)]]),
        ((2, 3, 2), [[(0, 1), (0, 3), (0, 2)], [(0, 2), (2, 1), (0, 2)], [(1, 1), (0, 1), (0, 2)]]),
    ],
)  # fmt: skip
def test_slices_that_overlap_and_leave_a_hole_are_refused(tmp_path, shape, slices):
    """They hold as many values as the variable: the hole would be whatever the memory held."""
    with pytest.raises(WeightsError, match="overlap"):
        read_checkpoint(put(tmp_path, sliced(shape, slices)))["a"]


@pytest.mark.parametrize("dtype", [1, 7])
def test_slices_without_the_bytes_for_their_variable_are_refused(tmp_path, dtype):
    many = 1 << 40
    whole = field(1, field(1, 0) + field(2, many))
    entries = [(b"a", stored(many, dtype=dtype, slices=[whole])),
               (slice_key(b"a", ((0, many),)), stored(many, size=4, dtype=dtype))]  # fmt: skip
    with pytest.raises(WeightsError, match="fewer bytes"):
        read_checkpoint(put(tmp_path, entries))["a"]


@pytest.mark.parametrize("name", [b"model", b"0"])
def test_objects_nested_without_end_are_refused(tmp_path, name):
    nodes = [field(1, field(1, child + 1) + field(2, name)) for child in range(5000)] + [b""]
    graph = b"".join(field(1, node) for node in nodes)
    lengths = len(graph).to_bytes(4, "little")
    check = masked_crc(lengths).to_bytes(4, "little")
    body = number(len(graph)) + check + graph
    crc = number(6 << 3 | 5) + masked_crc(lengths, check, graph).to_bytes(4, "little")
    entry = field(1, 7) + field(2, b"") + field(5, len(body)) + crc
    with pytest.raises(WeightsError, match="nested too deep"):
        read_checkpoint(put(tmp_path, [(b"_CHECKPOINTABLE_OBJECT_GRAPH", entry)], body))


def test_a_name_does_not_steer_the_terminal_and_none_is_the_writers_own(tmp_path):
    path = put(tmp_path, [(b"a\x1b[31m\n", stored(2, size=8)), (b"__metadata__", stored(2, size=8))])
    done = CliRunner().invoke(main, ["weights", path, "--list"])
    assert "a\\x1b[31m\\n" in done.output and "\x1b" not in done.output
    done = CliRunner().invoke(main, ["weights", path, "-o", str(tmp_path / "x.safetensors")])
    assert done.exit_code == 2 and "no tensor called __metadata__" in done.output


def test_a_name_that_stands_twice_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="one stands twice"):
        read_checkpoint(put(tmp_path, [(b"a", stored(2, size=8)), (b"a", stored(2, at=8, size=8))]))


def node(name, op, *inputs, dtype=1, value=None):
    attributes = b""
    if value is not None:
        tensor = field(1, 1) + field(2, field(2, field(1, 2))) + field(4, value)
        for key, held in ((b"dtype", field(6, dtype)), (b"value", field(8, tensor))):
            attributes += field(5, field(1, key) + field(2, held))
    return field(1, field(1, name) + field(2, op) + b"".join(field(3, i) for i in inputs) + attributes)


def test_a_graph_that_does_not_fit_together_is_damaged(tmp_path):
    """Nothing in a graph is a checksum, but its nodes name each other."""
    path, value = tmp_path / "g.pb", DATA[:8]
    right = node(b"w", b"Const", value=value) + node(b"w/read", b"Identity", b"w:0", b"^w")
    path.write_bytes(right)
    np.testing.assert_array_equal(read_checkpoint(path)["w"], VALUES[:2])
    for wrong, says in (
        (right.replace(b"\x0a\x01w\x12", b"\x0a\x01v\x12", 1), "reads 'w', and no node is called so"),
        (right + node(b"w", b"NoOp"), "two nodes of the graph are called 'w'"),
        (node(b"w", b"Const", dtype=3, value=value), "w is int32, its values are float32"),
    ):
        path.write_bytes(wrong)
        with pytest.raises(WeightsError, match=says):
            read_checkpoint(path)


def test_a_key_is_found_in_a_table_of_many_blocks(tmp_path):
    """V1 checkpoints hold a block for every few values, and each tensor is looked up."""
    from tfport.weights.sstable import MAGIC, Table

    data, handles = b"", []
    for first in range(0, 60, 3):
        part, size = block([(b"%04d" % (2 * n), b"v%d" % n) for n in range(first, first + 3)])
        handles.append((b"%04d" % (2 * first + 5), number(len(data)) + number(size)))
        data += part
    index, size = block(handles)
    data += index
    footer = (b"\0\0" + number(len(data) - len(index)) + number(size)).ljust(40, b"\0")
    found = Table(memoryview(data + footer + MAGIC))
    assert [found.find(b"%04d" % n) for n in range(130)] == [
        b"v%d" % (n // 2) if n % 2 == 0 and n < 120 else None for n in range(130)
    ]
