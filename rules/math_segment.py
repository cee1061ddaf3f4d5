"""Segments and counting: ``tf.math.segment_sum``, ``unsorted_segment_*``, ``bincount``, ``confusion_matrix``, histograms."""

from __future__ import annotations

import torch

from tfport.rule import Indices, Tensor, array, f32, f64, i32, prove, rule

_SORTED = array([0, 0, 2, 2, 2], "int32")
_MIXED = array([3, -1, 0, 3, 0], "int32")
_TIES = array([[2.0, 1.0], [2.0, 3.0], [0.0, 0.0], [0.0, 4.0], [5.0, 0.0]])


def _rows(data, ids, count):
    """``data`` with one row per id, ids with negatives sent to a row behind the last, and the sums' shape."""
    flat = data.reshape(ids.numel(), *data.shape[ids.ndim :])
    place = ids.reshape(-1).long()
    return flat, torch.where(place < 0, count, place)


def _last(ids):
    return int(ids[-1]) + 1 if ids.numel() else 0


def _summed(data, ids, count):
    flat, place = _rows(data, ids, count)
    return flat.new_zeros(count + 1, *flat.shape[1:]).index_add(0, place, flat)[:count]


def _counted(data, ids, count):
    _, place = _rows(data, ids, count)
    found = torch.bincount(place, minlength=count + 1)[:count].to(data.dtype)
    return found.reshape(count, *[1] * (data.ndim - ids.ndim))


def _scattered(data, ids, count, reduce, start):
    flat, place = _rows(data, ids, count)
    made = flat.new_full((count + 1, *flat.shape[1:]), start)
    index = place.reshape(-1, *[1] * (flat.ndim - 1)).expand_as(flat)
    return made.scatter_reduce(0, index, flat, reduce, include_self=False)[:count]


def _limit(dtype, largest):
    info = torch.finfo(dtype) if dtype.is_floating_point else torch.iinfo(dtype)
    return info.max if largest else info.min


@rule("tf.math.segment_sum", "tf.segment_sum", returns="data")
@prove(f32(5, 3), _SORTED)
@prove(f64(5), _SORTED)
@prove(_TIES, _SORTED)
@prove(i32(5, 2), _SORTED)
def segment_sum(data: Tensor, segment_ids: Indices, name=None):
    """Sum of the rows of each segment. The ids are sorted; the last one sets the size."""
    return _segment_sum(data, segment_ids)


def _segment_sum(data, segment_ids):
    count = _last(segment_ids)
    return _summed(data, segment_ids, count)


@rule("tf.math.unsorted_segment_sum", "tf.unsorted_segment_sum", returns="data")
@prove(f32(5, 3), _MIXED, 5)
@prove(f64(5), _MIXED, num_segments=4)
@prove(_TIES, _MIXED, 4)
@prove(f32(2, 3, 2), array([[0, 1, 0], [2, -1, 1]], "int32"), 3)
@prove(i32(5, 2), _MIXED, 6)
def unsorted_segment_sum(data: Tensor, segment_ids: Indices, num_segments, name=None):
    """Sum of the rows of each segment. Negative ids are left out."""
    return _unsorted_segment_sum(data, segment_ids, int(num_segments))


def _unsorted_segment_sum(data, segment_ids, count):
    return _summed(data, segment_ids, count)


@rule("tf.math.segment_mean", "tf.segment_mean", returns="data")
@prove(f32(5, 3), _SORTED)
@prove(f64(5), _SORTED)
@prove(_TIES, _SORTED)
def segment_mean(data: Tensor, segment_ids: Indices, name=None):
    """Mean of the rows of each segment; 0 for an empty one. The ids are sorted; the last one sets the size."""
    return _segment_mean(data, segment_ids)


def _segment_mean(data, segment_ids):
    count = _last(segment_ids)
    return _summed(data, segment_ids, count) / _counted(data, segment_ids, count).clamp(min=1)


@rule("tf.math.unsorted_segment_mean", "tf.unsorted_segment_mean", returns="data")
@prove(f32(5, 3), _MIXED, 5)
@prove(f64(5), _MIXED, num_segments=4)
@prove(_TIES, _MIXED, 4)
@prove(f32(2, 3, 2), array([[0, 1, 0], [2, -1, 1]], "int32"), 3)
def unsorted_segment_mean(data: Tensor, segment_ids: Indices, num_segments, name=None):
    """Mean of the rows of each segment; 0 for an empty one. Negative ids are left out."""
    return _unsorted_segment_mean(data, segment_ids, int(num_segments))


def _unsorted_segment_mean(data, segment_ids, count):
    return _summed(data, segment_ids, count) / _counted(data, segment_ids, count).clamp(min=1)


@rule("tf.math.segment_prod", "tf.segment_prod", returns="data")
@prove(f32(5, 3), _SORTED)
@prove(f64(5), _SORTED)
@prove(_TIES, _SORTED)
@prove(i32(5, 2), _SORTED)
def segment_prod(data: Tensor, segment_ids: Indices, name=None):
    """Product of the rows of each segment; 1 for an empty one. The ids are sorted; the last one sets the size."""
    return _segment_prod(data, segment_ids)


def _segment_prod(data, segment_ids):
    count = _last(segment_ids)
    return _scattered(data, segment_ids, count, "prod", 1)


@rule("tf.math.unsorted_segment_prod", "tf.unsorted_segment_prod", returns="data")
@prove(f32(5, 3), _MIXED, 5)
@prove(f64(5), _MIXED, num_segments=4)
@prove(_TIES, _MIXED, 4)
@prove(f32(2, 3, 2), array([[0, 1, 0], [2, -1, 1]], "int32"), 3)
@prove(i32(5, 2), _MIXED, 6)
def unsorted_segment_prod(data: Tensor, segment_ids: Indices, num_segments, name=None):
    """Product of the rows of each segment; 1 for an empty one. Negative ids are left out."""
    return _unsorted_segment_prod(data, segment_ids, int(num_segments))


def _unsorted_segment_prod(data, segment_ids, count):
    return _scattered(data, segment_ids, count, "prod", 1)


@rule("tf.math.segment_max", "tf.segment_max", returns="data")
@prove(f32(5, 3), _SORTED)
@prove(f64(5), _SORTED)
@prove(_TIES, _SORTED)
@prove(i32(5, 2), _SORTED)
def segment_max(data: Tensor, segment_ids: Indices, name=None):
    """Largest value of each segment; 0 for an empty one. The ids are sorted; the last one sets the size."""
    return _segment_max(data, segment_ids)


def _segment_max(data, segment_ids):
    count = _last(segment_ids)
    made = _scattered(data, segment_ids, count, "amax", _limit(data.dtype, False))
    return torch.where(_counted(data, segment_ids, count) == 0, 0, made)


@rule("tf.math.unsorted_segment_max", "tf.unsorted_segment_max", returns="data")
@prove(f32(5, 3), _MIXED, 5)
@prove(f64(5), _MIXED, num_segments=4)
@prove(_TIES, _MIXED, 4)
@prove(f32(2, 3, 2), array([[0, 1, 0], [2, -1, 1]], "int32"), 3)
@prove(i32(5, 2), _MIXED, 6)
def unsorted_segment_max(data: Tensor, segment_ids: Indices, num_segments, name=None):
    """Largest value of each segment; the dtype's lowest for an empty one. Negative ids are left out."""
    return _unsorted_segment_max(data, segment_ids, int(num_segments))


def _unsorted_segment_max(data, segment_ids, count):
    return _scattered(data, segment_ids, count, "amax", _limit(data.dtype, False))


@rule("tf.math.segment_min", "tf.segment_min", returns="data")
@prove(f32(5, 3), _SORTED)
@prove(f64(5), _SORTED)
@prove(_TIES, _SORTED)
@prove(i32(5, 2), _SORTED)
def segment_min(data: Tensor, segment_ids: Indices, name=None):
    """Smallest value of each segment; 0 for an empty one. The ids are sorted; the last one sets the size."""
    return _segment_min(data, segment_ids)


def _segment_min(data, segment_ids):
    count = _last(segment_ids)
    made = _scattered(data, segment_ids, count, "amin", _limit(data.dtype, True))
    return torch.where(_counted(data, segment_ids, count) == 0, 0, made)


@rule("tf.math.unsorted_segment_min", "tf.unsorted_segment_min", returns="data")
@prove(f32(5, 3), _MIXED, 5)
@prove(f64(5), _MIXED, num_segments=4)
@prove(_TIES, _MIXED, 4)
@prove(f32(2, 3, 2), array([[0, 1, 0], [2, -1, 1]], "int32"), 3)
@prove(i32(5, 2), _MIXED, 6)
def unsorted_segment_min(data: Tensor, segment_ids: Indices, num_segments, name=None):
    """Smallest value of each segment; the dtype's highest for an empty one. Negative ids are left out."""
    return _unsorted_segment_min(data, segment_ids, int(num_segments))


def _unsorted_segment_min(data, segment_ids, count):
    return _scattered(data, segment_ids, count, "amin", _limit(data.dtype, True))


@rule("tf.math.unsorted_segment_sqrt_n", "tf.unsorted_segment_sqrt_n", returns="data")
@prove(f32(5, 3), _MIXED, 5)
@prove(f64(5), _MIXED, num_segments=4)
@prove(_TIES, _MIXED, 4)
@prove(f32(2, 3, 2), array([[0, 1, 0], [2, -1, 1]], "int32"), 3)
def unsorted_segment_sqrt_n(data: Tensor, segment_ids: Indices, num_segments, name=None):
    """Sum of each segment divided by the root of its size; 0 for an empty one."""
    return _sqrt_n(data, segment_ids, int(num_segments))


def _sqrt_n(data, segment_ids, count):
    return _summed(data, segment_ids, count) / _counted(data, segment_ids, count).clamp(min=1).sqrt()


@rule("tf.math.bincount", version=2, returns="dtype")
@prove(array([1, 1, 3], "int32"))
@prove(array([[1, 1, 3], [0, 2, 2]], "int32"))
@prove(array([1, 1, 3], "int32"), weights=array([1.0, 2.0, 3.0]), minlength=2, maxlength=3, grad=False)
@prove(array([1, 1, 3], "int32"), minlength=6)
@prove(array([], "int32"))
@prove(array([1, 1, 3], "int32"), dtype=torch.int64)
@prove(array([[1, 1, 3], [0, 2, 2]], "int32"), axis=-1)
@prove(array([1, 1, 3], "int32"), binary_output=True, axis=-1)
def bincount(arr: Tensor, weights: Indices = None, minlength=None, maxlength=None, dtype=torch.int32, name=None,
             axis=None, binary_output=False):  # fmt: skip
    """How often each number 0, 1, 2 ... occurs; weights set the dtype of the sums."""
    return _bincount(arr, weights, minlength, maxlength, dtype, axis, binary_output)


@rule("tf.compat.v1.math.bincount", "tf.bincount", "tf.math.bincount", version=1, returns="dtype")
@prove(array([1, 1, 3], "int32"))
@prove(array([1, 1, 3], "int32"), array([1.0, 2.0, 3.0]), 2, 3, grad=False)
def bincount_v1(arr: Tensor, weights: Indices = None, minlength=None, maxlength=None, dtype=torch.int32):
    """tf.math.bincount of TensorFlow 1."""
    return _bincount(arr, weights, minlength, maxlength, dtype, None, False)


def _bincount(arr, weights, minlength, maxlength, dtype, axis, binary_output):
    size = int(arr.max()) + 1 if arr.numel() else 0
    size = max(size, int(minlength or 0))
    if maxlength is not None:
        size = min(size, int(maxlength))
    rows = arr.reshape(1, -1) if axis is None or arr.ndim == 1 else arr
    keep = rows < size
    place = torch.where(keep, rows, size).long()
    kind = dtype if weights is None or binary_output else weights.dtype
    ones = (
        torch.ones_like(rows, dtype=kind) if weights is None or binary_output else weights.reshape(rows.shape)
    )
    made = ones.new_zeros(rows.shape[0], size + 1).scatter_add(1, place, ones)[:, :size]
    if binary_output:
        made = (made > 0).to(kind)
    return made if axis is not None and arr.ndim > 1 else made[0]


@rule("tf.math.confusion_matrix", version=2, returns="dtype")
@prove(array([1, 2, 0], "int32"), array([1, 0, 0], "int32"))
@prove(array([1, 2], "int64"), array([1, 0], "int64"), num_classes=5)
@prove(
    array([1, 2], "int32"), array([1, 0], "int32"), weights=array([1.0, 0.5]), dtype=torch.float32, grad=False
)
@prove(array([[1], [2]], "int32"), array([1, 0], "int32"), 3)
def confusion_matrix(labels: Indices, predictions: Indices, num_classes=None, weights: Indices = None,
                     dtype=torch.int32, name=None):  # fmt: skip
    """Rows are labels, columns predictions."""
    return _confusion(labels, predictions, num_classes, weights, dtype)


@rule("tf.compat.v1.confusion_matrix", "tf.confusion_matrix", "tf.math.confusion_matrix",
      "tf.train.confusion_matrix", version=1, returns="dtype")  # fmt: skip
@prove(array([1, 2, 0], "int32"), array([1, 0, 0], "int32"))
@prove(array([1, 2], "int64"), array([1, 0], "int64"), 5, torch.float32)
def confusion_matrix_v1(labels: Indices, predictions: Indices, num_classes=None, dtype=torch.int32, name=None,
                        weights: Indices = None):  # fmt: skip
    """Rows are labels, columns predictions; TensorFlow 1 has ``dtype`` before ``weights``."""
    return _confusion(labels, predictions, num_classes, weights, dtype)


def _confusion(labels, predictions, num_classes, weights, dtype):
    rows, columns = labels.reshape(-1).long(), predictions.reshape(-1).long()
    if num_classes is None:
        num_classes = int(torch.maximum(rows.max(), columns.max())) + 1
    num_classes = int(num_classes)
    if rows.numel() and int(torch.maximum(rows.max(), columns.max())) >= num_classes:
        raise ValueError(f"a label or prediction is outside 0 .. {num_classes - 1}")
    values = torch.ones_like(rows, dtype=dtype) if weights is None else weights.reshape(-1).to(dtype)
    made = values.new_zeros(num_classes * num_classes).index_add(0, rows * num_classes + columns, values)
    return made.reshape(num_classes, num_classes)


@rule("tf.histogram_fixed_width", returns="dtype")
@prove(array([-1.0, 0.0, 1.5, 2.0, 5.0, 15.0]), [0.0, 5.0], nbins=5)
@prove(f32(50), [-1.0, 1.0], 7, grad=False)
@prove(f32(2, 50), array([-1.0, 1.0]), dtype=torch.int64, grad=False)
def histogram_fixed_width(values: Tensor, value_range: Tensor, nbins=100, dtype=torch.int32, name=None):
    """Counts in bins of one width; what lies outside counts in the first or the last."""
    return torch.bincount(_bins(values, value_range, nbins).reshape(-1), minlength=nbins).to(dtype)


@rule("tf.histogram_fixed_width_bins", returns="dtype")
@prove(array([-1.0, 0.0, 1.5, 2.0, 5.0, 15.0]), [0.0, 5.0], nbins=5)
def histogram_fixed_width_bins(values: Tensor, value_range: Tensor, nbins=100, dtype=torch.int32, name=None):
    """The bin of each value; what lies outside is in the first or the last."""
    return _bins(values, value_range, nbins).to(dtype)


def _bins(values, value_range, nbins):
    low, high = value_range[0], value_range[1]
    scaled = (values.detach() - low) / (high - low)
    return torch.clamp(torch.floor(scaled * nbins), 0, nbins - 1).long()
