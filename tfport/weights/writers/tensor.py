"""A tensor on its way into a file: known by shape and dtype, its values read block by block when they are written."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future

import numpy as np

from tfport.weights.dtypes import dtype_of
from tfport.weights.errors import WeightsError
from tfport.weights.moving import Buffers, blocks

__all__ = ["Tensor", "cast", "chunks"]

AHEAD = 8
"""Blocks that may be made before they are written."""


@dataclasses.dataclass(frozen=True)
class Tensor:
    """What is to be written.

    ``read`` gives the values as an array of ``shape``, in any strides: a view that is still to be permuted is put in
    order block by block. ``check``, where there is one, runs beside the writing and raises when the values are not
    what the checkpoint says. ``convert`` changes the dtype of a block.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], np.ndarray]
    check: Callable[[], None] | None = None
    convert: Callable[[np.ndarray], np.ndarray] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape) * dtype_of(self.dtype).itemsize

    def blocks(self, buffers: Buffers) -> Iterator[Callable[[], np.ndarray]]:
        """Functions that give the values in C order, some megabytes at a time."""
        convert = self.convert

        def converted(block: Callable[[], np.ndarray]) -> np.ndarray:
            array = block()
            if convert is None:
                return array
            made = convert(array)
            if not np.may_share_memory(made, array):
                buffers.give(array)
            return made

        return (functools.partial(converted, block) for block in blocks(self.read(), buffers))

    def array(self) -> np.ndarray:
        """All values, in C order, of the dtype that is written."""
        flat = np.empty(self.nbytes, np.uint8)
        at = 0
        for chunk in chunks([self]):
            flat[at : at + len(chunk)] = np.frombuffer(chunk, np.uint8)
            at += len(chunk)
        return flat.view(dtype_of(self.dtype)).reshape(self.shape)


def chunks(tensors: Iterable[Tensor], workers: Executor | None = None) -> Iterator[memoryview]:
    """The bytes of tensors, one after the other; ``workers`` make blocks ahead, of the next tensor too, and check beside
    that. What a check raises comes at the end at the latest.
    """
    checks: deque[Future[None]] = deque()
    buffers = Buffers()

    def functions() -> Iterator[Callable[[], np.ndarray]]:
        for tensor in tensors:
            if tensor.check is not None and workers is not None:
                checks.append(workers.submit(tensor.check))
            elif tensor.check is not None:
                tensor.check()
            yield from tensor.blocks(buffers)

    for array in _ahead(functions(), workers):
        yield array.view(np.uint8).data
        buffers.give(array)
        while checks and checks[0].done():
            checks.popleft().result()
    for check in checks:
        check.result()


def _ahead(functions: Iterator[Callable[[], np.ndarray]], workers: Executor | None) -> Iterator[np.ndarray]:
    """The results in order; up to `AHEAD` of them are under way."""
    if workers is None:
        for function in functions:
            yield function()
        return
    waiting: deque[Future[np.ndarray]] = deque()
    for function in functions:
        waiting.append(workers.submit(function))
        if len(waiting) >= AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def cast(name: str, tensor: Tensor, dtype: str) -> Tensor:
    """The tensor in another floating dtype, rounded to nearest, ties to even; others are left as they are.

    A finite value that the dtype cannot hold raises WeightsError when it is written.
    """
    if tensor.dtype == dtype or not tensor.dtype.startswith(("float", "bfloat")):
        return tensor
    wanted = dtype_of(dtype)

    def convert(block: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            made = (_odd(block) if dtype == "bfloat16" and block.dtype == np.float64 else block).astype(
                wanted
            )
        lost = np.isfinite(block.astype(np.float64)) & ~np.isfinite(made.astype(np.float64))
        if lost.any():
            value = block[lost][0]
            raise WeightsError(
                f"{name}: {value} is beyond {dtype}: leave it out with --exclude, or keep its dtype"
            )
        return made

    before = tensor.convert
    both = convert if before is None else (lambda block: convert(before(block)))
    return Tensor(tensor.shape, dtype, tensor.read, tensor.check, both)


def _odd(block: np.ndarray) -> np.ndarray:
    """float64 as float32, cut off, its last bit set where something was: rounding that again rounds the number itself.

    ml_dtypes goes from float64 to bfloat16 by way of the nearest float32, which may lie on a tie that the number is not.
    """
    near = block.astype(np.float32)
    wide = near.astype(np.float64)
    bits = near.view(np.uint32) - (np.abs(wide) > np.abs(block))
    bits |= (wide != block) & ~np.isnan(block)
    return bits.astype(np.uint32).view(np.float32)
