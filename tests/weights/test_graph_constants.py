"""TensorProtos that are short, long, or lie: what TensorFlow reads is read, what would fill the memory is refused."""

import numpy as np
import pytest
from tables import field

from tfport.weights import WeightsError
from tfport.weights.tensorproto import parse


def proto(dtype, shape, *fields):
    dims = b"".join(field(2, field(1, size)) for size in shape)
    return parse(field(1, dtype) + field(2, dims) + b"".join(fields))


def floats(*values):
    return field(5, np.array(values, "<f4").tobytes())


def test_the_last_value_is_repeated():
    assert proto(1, (2, 3), floats(1, 2)).array().tolist() == [[1, 2, 2], [2, 2, 2]]
    assert proto(1, (2,)).array().tolist() == [0, 0]
    assert proto(3, (3,), field(7, 5)).array().tolist() == [5, 5, 5]
    assert proto(7, (2,), field(8, b"ab")).array().tolist() == [b"ab", b"ab"]


def test_one_value_for_many_elements_takes_no_memory():
    array = proto(1, (1 << 20, 1 << 20), floats(3.5)).array()
    assert array.shape == (1 << 20, 1 << 20) and array[7, 9] == 3.5 and set(array.strides) == {0}
    assert not array.flags.writeable


def test_several_values_for_too_many_elements_are_refused():
    with pytest.raises(WeightsError, match="refused"):
        proto(1, (1 << 20, 1 << 20), floats(1, 2)).array()


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: proto(1, (1,), floats(1, 2)), "2 values for 1 elements"),
        (lambda: proto(1, (3,), field(4, bytes(8))), "8 bytes are no float32"),
        (lambda: proto(1, (2,), field(5, bytes(7))), "7 bytes are no list"),
        (lambda: proto(20, (1,)), "resource cannot be read"),
        (lambda: proto(99, (1,)), "dtype 99 cannot be read"),
        (lambda: parse(field(2, field(2, field(1, (1 << 64) - 1)))), "negative size"),
        (lambda: parse(field(2, field(3, 1))), "unknown rank"),
    ],
)
def test_what_does_not_fit_is_said(made, says):
    with pytest.raises(WeightsError, match=says):
        made().array()


def test_numbers_that_are_not_packed():
    single = (5 << 3 | 5).to_bytes(1, "little") + np.float32(2.5).tobytes()
    assert proto(1, (1,), single).array().tolist() == [2.5]
    assert proto(9, (1,), field(10, (1 << 64) - 3)).array().tolist() == [-3]
    assert proto(23, (1,), field(17, (1 << 64) - 3)).array().tolist() == [(1 << 64) - 3]
