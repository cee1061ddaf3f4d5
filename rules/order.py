"""Order: sort, searchsorted, unique, permutations, and blocks of space moved to depth."""

from __future__ import annotations

import collections

import torch

from tfport.compat.integers import ints, pairs
from tfport.rule import Indices, Tensor, array, f32, i32, i64, prove, rule, u8

Unique = collections.namedtuple("Unique", ["y", "idx"])
UniqueWithCounts = collections.namedtuple("UniqueWithCounts", ["y", "idx", "count"])


@rule("tf.sort", returns="values")
@prove(f32(3, 5))
@prove(f32(3, 5), axis=0)
@prove(i32(7), direction="DESCENDING")
@prove(f32(2, 3, 4), 1, "DESCENDING")
@prove(u8(6))
@prove(array([2.0, 1.0, 2.0, 1.0]), grad=False)
def sort(values: Tensor, axis=-1, direction="ASCENDING", name=None):
    """Values in ascending or descending order along an axis."""
    if direction == "ASCENDING":
        return torch.sort(values, dim=axis).values
    return torch.sort(values, dim=axis, descending=True).values


@rule("tf.argsort", returns="int32")
@prove(f32(3, 5))
@prove(f32(3, 5), axis=0)
@prove(array([2, 1, 2, 1, 3], "int32"), direction="DESCENDING")
@prove(array([2.0, 1.0, 2.0, 1.0]))
@prove(array([2.0, 1.0, 2.0, 1.0]), -1, "DESCENDING", True)
@prove(f32(2, 3, 4), axis=1)
def argsort(values: Tensor, axis=-1, direction="ASCENDING", stable=False, name=None):
    """The int32 places of the values in order; ties keep their order, in both directions."""
    if direction == "ASCENDING":
        return torch.argsort(values, dim=axis, stable=True).to(torch.int32)
    return torch.argsort(values, dim=axis, descending=True, stable=True).to(torch.int32)


@rule("tf.searchsorted", returns="out_type")
@prove(array([1.0, 3.0, 5.0]), array([0.0, 3.0, 9.0]), grad=False)
@prove(array([1, 3, 3, 5], "int32"), array([3, 4], "int32"), side="right")
@prove(array([[1, 3], [2, 4]], "int64"), array([[3], [3]], "int64"), "left", torch.int64)
def searchsorted(sorted_sequence: Tensor, values: Tensor, side="left", out_type=torch.int32, name=None):
    """The places at which ``values`` would be inserted."""
    if out_type == torch.int32:
        return torch.searchsorted(sorted_sequence, values, side=side, out_int32=True)
    return torch.searchsorted(sorted_sequence, values, side=side)


@rule("tf.unique")
@prove(array([3, 1, 3, 2, 1], "int32"))
@prove(array([0.5, -1.0, 0.5]), out_idx=torch.int64, grad=False)
@prove(i64(0))
@prove([4, 4, 1])
def unique(x: Tensor, out_idx=torch.int32, name=None):
    """The values in the order in which they first occur, and for each value of ``x`` its place among them."""
    values, places, _ = _unique(x, out_idx)
    return Unique(values, places)


@rule("tf.unique_with_counts")
@prove(array([3, 1, 3, 2, 1], "int32"))
@prove(i64(6, low=0, high=3), out_idx=torch.int64)
def unique_with_counts(x: Tensor, out_idx=torch.int32, name=None):
    """tf.unique and the number of times that each value occurs."""
    return UniqueWithCounts(*_unique(x, out_idx))


def _unique(x, out_idx):
    values, inverse, counts = torch.unique(x.detach(), return_inverse=True, return_counts=True)
    order = torch.arange(x.numel(), device=x.device)
    first = torch.full_like(counts, x.numel()).scatter_reduce(0, inverse, order, "amin")
    by_first = torch.argsort(first)
    rank = torch.argsort(by_first)
    return values[by_first], rank[inverse].to(out_idx), counts[by_first].to(out_idx)


@rule("tf.math.invert_permutation", "tf.invert_permutation", returns="x")
@prove(array([2, 0, 1, 3], "int32"))
@prove(array([1, 0], "int64"))
def invert_permutation(x: Tensor, name=None):
    """The permutation that undoes ``x``."""
    return torch.argsort(x).to(x.dtype)


@rule("tf.reverse_sequence", renamed={"seq_dim": "seq_axis", "batch_dim": "batch_axis"}, returns="input")
@prove(f32(2, 5, 3), array([3, 5], "int32"), seq_axis=1)
@prove(f32(5, 2), [1, 4], 0, 1)
@prove(i32(3, 4), array([0, 2, 4], "int64"), seq_axis=1, batch_axis=0)
def reverse_sequence(input: Tensor, seq_lengths: Indices, seq_axis=None, batch_axis=None, name=None):
    """The first ``seq_lengths[b]`` values of each row reversed, the rest as they are."""
    return _reverse_sequence(input, seq_lengths, int(seq_axis), int(batch_axis or 0))


def _reverse_sequence(tensor, lengths, seq_axis, batch_axis):
    moved = tensor.movedim((batch_axis, seq_axis), (0, 1))
    place = torch.arange(moved.shape[1], device=tensor.device).expand(moved.shape[0], -1)
    ends = lengths.to(tensor.device).long().unsqueeze(1)
    source = torch.where(place < ends, ends - 1 - place, place)
    rows = torch.arange(moved.shape[0], device=tensor.device).unsqueeze(1)
    return moved[rows, source].movedim((0, 1), (batch_axis, seq_axis))


@rule("tf.nn.space_to_depth", "tf.space_to_depth", returns="input", renamed={"x": "input"})
@prove(f32(1, 4, 6, 3), 2)
@prove(f32(2, 6, 3, 1), block_size=3)
def space_to_depth(input: Tensor, block_size, data_format="NHWC", name=None):
    """Blocks of space moved to channels: the place in the block is the slow index, the channel the fast one
    (torch's pixel_unshuffle has them the other way round)."""
    return _space_to_depth(input, int(block_size), data_format)


def _space_to_depth(x, block, data_format):
    x = _last(x, data_format)
    n, h, w, c = x.shape
    x = x.reshape(n, h // block, block, w // block, block, c).permute(0, 1, 3, 2, 4, 5)
    return _first(x.reshape(n, h // block, w // block, block * block * c), data_format)


@rule("tf.nn.depth_to_space", "tf.depth_to_space", returns="input", renamed={"x": "input"})
@prove(f32(1, 2, 3, 12), 2)
@prove(f32(2, 2, 1, 9), block_size=3)
def depth_to_space(input: Tensor, block_size, data_format="NHWC", name=None):
    """Channels moved to blocks of space: the place in the block is the slow index, the channel the fast one
    (torch's pixel_shuffle has them the other way round)."""
    return _depth_to_space(input, int(block_size), data_format)


def _depth_to_space(x, block, data_format):
    x = _last(x, data_format)
    n, h, w, c = x.shape
    x = x.reshape(n, h, w, block, block, c // block**2).permute(0, 1, 3, 2, 4, 5)
    return _first(x.reshape(n, h * block, w * block, c // block**2), data_format)


def _last(x, data_format):
    return x.permute(0, 2, 3, 1) if data_format == "NCHW" else x


def _first(x, data_format):
    return x.permute(0, 3, 1, 2) if data_format == "NCHW" else x


@rule("tf.batch_to_space_nd", returns="input", version=1)
@prove(f32(4, 2, 3, 1), [2, 2], [[0, 0], [1, 2]])
@prove(f32(6, 2, 3), block_shape=[3], crops=[[1, 1]])
def batch_to_space_nd(input: Tensor, block_shape, crops, name=None):
    """Batch moved to blocks of space, then cropped."""
    return _batch_to_space(input, ints(block_shape), pairs(crops))


@rule("tf.batch_to_space", returns="input", version=2)
@prove(f32(4, 2, 3, 1), [2, 2], [[0, 0], [1, 2]])
@prove(f32(6, 2, 3), block_shape=[3], crops=[[1, 1]])
def batch_to_space(input: Tensor, block_shape, crops, name=None):
    """Batch moved to blocks of space, then cropped."""
    return _batch_to_space(input, ints(block_shape), pairs(crops))


def _batch_to_space(x, block, crops):
    rank, count = len(block), 1
    for size in block:
        count *= size
    space, rest = x.shape[1 : rank + 1], x.shape[rank + 1 :]
    x = x.reshape(*block, x.shape[0] // count, *space, *rest)
    order = [
        rank,
        *(i for axis in range(rank) for i in (rank + 1 + axis, axis)),
        *range(2 * rank + 1, x.ndim),
    ]
    x = x.permute(order).reshape(x.shape[rank], *(s * b for s, b in zip(space, block, strict=True)), *rest)
    for axis, (before, after) in enumerate(crops):
        x = x.narrow(axis + 1, before, x.shape[axis + 1] - before - after)
    return x


@rule("tf.space_to_batch_nd", returns="input")
@prove(f32(1, 4, 6, 2), [2, 3], [[0, 0], [0, 0]])
@prove(f32(2, 3, 2), block_shape=[2], paddings=[[1, 0]])
def space_to_batch_nd(input: Tensor, block_shape, paddings, name=None):
    """Space, padded with zeros, cut into blocks that go to the batch."""
    return _space_to_batch(input, ints(block_shape), pairs(paddings))


def _space_to_batch(x, block, paddings):
    flat = [0, 0] * (x.ndim - 1 - len(block))
    for before, after in paddings[::-1]:
        flat += [before, after]
    x = torch.nn.functional.pad(x, flat)
    rank, batch, rest = len(block), x.shape[0], x.shape[len(block) + 1 :]
    cut = [n for size, b in zip(x.shape[1 : rank + 1], block, strict=True) for n in (size // b, b)]
    x = x.reshape(batch, *cut, *rest)
    inner = [2 + 2 * axis for axis in range(rank)]
    outer = [1 + 2 * axis for axis in range(rank)]
    x = x.permute(*inner, 0, *outer, *range(2 * rank + 1, x.ndim))
    return x.reshape(-1, *(cut[2 * axis] for axis in range(rank)), *rest)
