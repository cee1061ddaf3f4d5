"""Operations that TensorFlow has in float32 alone, or computes so, in float64: for the reference's run in float64."""

import functools
import itertools
import sys

import numpy as np


def places_of(tf):
    """(place, name, replacement) of each operation; the replacement takes the operation first.

    Resizing gives float32 whatever it is given, the pools in 3-D and LRN refuse float64. A float32 run has TensorFlow's own.
    """
    found = []
    try:
        from tensorflow.python.ops import gen_image_ops, gen_nn_ops
    except ImportError:
        return found
    for place, name, made in (
        (gen_image_ops, "resize_bilinear", resize_bilinear),
        (gen_nn_ops, "max_pool3d", functools.partial(pool3d, True)),
        (gen_nn_ops, "avg_pool3d", functools.partial(pool3d, False)),
        (tf.nn, "local_response_normalization", lrn),
        (tf.nn, "lrn", lrn),
    ):
        if hasattr(place, name):
            found.append((place, name, functools.partial(made, tf)))
    return found


def called_by_keras():
    """Whether the first caller outside TensorFlow is Keras, which casts what it gets to the dtype of the layer."""
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.split(".")[0] in ("keras", "tf_keras") or name.startswith("tensorflow.python.keras"):
            return True
        if not name.startswith("tensorflow") and name != __name__:
            return False
        frame = frame.f_back
    return False


def weights_of(size, new, align_corners, half_pixel_centers):
    """The matrix (new, size) that resizes one axis bilinearly, as TensorFlow places the pixels."""
    at = np.arange(new, dtype=np.float64)
    if half_pixel_centers:
        at = (at + 0.5) * size / new - 0.5
    elif align_corners and new > 1:
        at = at * (size - 1) / (new - 1)
    else:
        at = at * size / new
    low = np.floor(at).astype(int)
    part = at - low
    made = np.zeros((new, size))
    rows = np.arange(new)
    np.add.at(made, (rows, np.clip(low, 0, size - 1)), 1 - part)
    np.add.at(made, (rows, np.clip(low + 1, 0, size - 1)), part)
    return made


def resize_bilinear(tf, before, images, size, align_corners=False, half_pixel_centers=False, name=None):
    """Images (batch, height, width, channels) of float64 resized without rounding; float32 for others than Keras."""
    images = tf.convert_to_tensor(images)
    known = hasattr(size, "numpy") or not tf.is_tensor(size)
    new = np.asarray(size.numpy() if hasattr(size, "numpy") else size) if known else None
    if images.dtype != tf.float64 or new is None or None in images.shape[1:3].as_list():
        return before(images, size, align_corners, half_pixel_centers, name=name)
    rows, columns = (
        tf.constant(weights_of(int(n), int(m), align_corners, half_pixel_centers), tf.float64)
        for n, m in zip(images.shape[1:3].as_list(), new)
    )
    made = tf.einsum("jw,biwc->bijc", columns, tf.einsum("ih,bhwc->biwc", rows, images))
    return made if called_by_keras() else tf.cast(made, tf.float32)


def pool3d(maximum, tf, before, input, ksize, strides, padding, data_format="NDHWC", name=None):
    """The maximum, or the mean of what is no padding, of windows of float64 (batch, depth, height, width, channels)."""
    own = (
        getattr(input, "dtype", None) == tf.float64
        and data_format == "NDHWC"
        and padding in ("SAME", "VALID")
    )
    sizes = input.shape[1:4].as_list() if own else [None]
    if None in sizes:
        return before(input, ksize, strides, padding, data_format=data_format, name=name)
    windows, steps = list(ksize)[1:4], list(strides)[1:4]
    pads = [[0, 0]] * 3
    if padding == "SAME":
        total = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(sizes, windows, steps)]
        pads = [[t // 2, t - t // 2] for t in total]
    counts = [(n + sum(p) - k) // s + 1 for n, p, k, s in zip(sizes, pads, windows, steps)]
    join = tf.maximum if maximum else tf.add

    def slid(x):
        x = tf.pad(x, [[0, 0]] + pads + [[0, 0]], constant_values=-np.inf if maximum else 0.0)
        parts = []
        for at in itertools.product(*(range(k) for k in windows)):
            cut = [slice(a, a + (c - 1) * s + 1, s) for a, c, s in zip(at, counts, steps)]
            parts.append(x[:, cut[0], cut[1], cut[2]])
        return functools.reduce(join, parts)

    return slid(input) if maximum else slid(input) / slid(tf.ones_like(input[:1, ..., :1]))


def lrn(tf, before, input, depth_radius=5, bias=1, alpha=1, beta=0.5, name=None):
    """x / (bias + alpha * the sum of squares of the channels within the radius) ** beta, of float64."""
    if getattr(input, "dtype", None) != tf.float64:
        return before(input, depth_radius=depth_radius, bias=bias, alpha=alpha, beta=beta, name=name)
    count = int(input.shape[-1])
    place = np.arange(count)
    near = (np.abs(place[:, None] - place[None]) <= depth_radius).astype(np.float64)
    total = tf.tensordot(tf.square(input), tf.constant(near, tf.float64), [[3], [0]])
    return input / (bias + alpha * total) ** beta
