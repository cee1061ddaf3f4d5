"""The numbers that a program wrote, where TensorFlow or Keras holds them rounded to float32."""

import numpy as np

NUMBERS = {}  # type: dict  # float32 -> what rounds to it


def computed():
    """Numbers that programs compute and write into a graph, beside decimals: fractions, roots, constants."""
    yield from (1.0 / n for n in range(1, 4097))
    yield from (n**0.5 for n in range(1, 4097))
    yield from (n**-0.5 for n in range(1, 4097))
    yield from (np.pi, np.e, np.log(2.0), np.log(10.0), np.pi / 180, 2 * np.pi, np.log(2 * np.pi))
    yield from (np.sqrt(2 / np.pi), np.sqrt(np.pi / 2), np.sqrt(np.pi), 0.5 * np.log(2 * np.pi))
    yield from (np.sqrt(2 * np.pi), 1 / np.sqrt(2 * np.pi))


def in_full(value):
    """The number that a program wrote where what holds it is a float32: 1e-05 and not 9.99999974738e-06.

    It is the decimal of at most six digits, or a fraction, root or constant, that rounds to the float32; another
    number, and one that is no float32, stays as it is. What is taken is no further from the float32 than its own rounding.
    """
    short = np.float32(value)
    if float(short) != float(value):
        return float(value)
    if not np.isfinite(short) or short == 0:
        return float(short)
    text = "%.5e" % short
    if np.float32(float(text)) == short:
        return float(text)
    if not NUMBERS:
        for number in computed():
            NUMBERS.setdefault(np.float32(number), float(number))
    size = NUMBERS.get(np.abs(short), float(np.abs(short)))
    return size if short > 0 else -size
