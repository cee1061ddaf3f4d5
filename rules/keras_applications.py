"""What Keras' own model zoo calls besides layers: shapes, checks, downloads, preprocessing.

https://keras.io/api/applications/
"""

from __future__ import annotations

import contextlib

import numpy as np
import torch

from tfport.compat.keras import activation as _activations
from tfport.compat.keras import model as _model
from tfport.compat.keras import symbol as _symbol
from tfport.compat.keras import zoo as _applications
from tfport.rule import array, f32, prove, rule


@rule("tf.keras.backend.image_data_format", returns="python")
@prove()
def image_data_format():
    """Keras' order of the axes in the program's own terms; values are NCHW inside recorded models all the same."""
    return "channels_last"


@rule("tf.keras.backend.set_image_data_format", returns="python", pure=False)
@prove("channels_last")
def set_image_data_format(data_format):
    """Only "channels_last" can be set."""
    if data_format != "channels_last":
        raise NotImplementedError(
            "channels_first: write the program in channels_last; it becomes NCHW in torch"
        )


@rule("tf.keras.backend.backend", "tf.keras.config.backend", returns="python")
@prove()
def backend():
    """The backend the program was written for."""
    return "tensorflow"


@rule("tf.keras.backend.is_keras_tensor", "tf.keras.utils.is_keras_tensor", returns="python")
@prove(f32(2))
def is_keras_tensor(x):
    """Whether ``x`` is symbolic."""
    return isinstance(x, _symbol.Symbol)


@rule("tf.keras.backend.get_uid", returns="python", pure=False)
@prove("a", "b", raises=True)
def get_uid(prefix=""):
    """A counter for each prefix, from 1."""
    return _applications.uid(prefix)


@rule("tf.keras.backend.clear_session", "tf.keras.utils.clear_session", returns="python", pure=False)
@prove()
def clear_session(free_memory=True):
    """Automatic names start again."""
    return _applications.clear()


@rule("tf.keras.backend.name_scope", "tf.keras.name_scope", returns="python", pure=False,
      proved_by="tests/compat/test_keras_state.py")  # fmt: skip
def name_scope(name, **kwargs):
    """A context without effect: torch names parameters by attribute."""
    return contextlib.nullcontext(name)


@rule("tf.keras.ops.operation_utils.get_source_inputs", "tf.keras.utils.get_source_inputs",
      "tf.keras.utils.layer_utils.get_source_inputs", returns="python",
      proved_by="tests/compat/test_keras_state.py")  # fmt: skip
def get_source_inputs(tensor):
    """The inputs that a symbolic tensor depends on."""
    return _model.get_source_inputs(tensor)


@rule("tf.keras.applications.imagenet_utils.obtain_input_shape", returns="python")
@prove(None, 224, 32, "channels_last", True)
@prove((64, 48, 3), 224, 32, "channels_last", False, weights="imagenet")
@prove((16, 16, 3), 224, 32, "channels_last", False, raises=True)
def obtain_input_shape(input_shape, default_size, min_size, data_format, require_flatten, weights=None):
    """The input shape of an image classifier, checked: (height, width, channels)."""
    return _applications.input_shape(
        input_shape, default_size, min_size, data_format, require_flatten, weights
    )


@rule("tf.keras.applications.imagenet_utils.validate_activation", returns="python")
@prove("relu", None)
@prove("softmax", "imagenet")
@prove("relu", "imagenet", raises=True)
def validate_activation(classifier_activation, weights):
    """Raises ValueError for pretrained weights with an activation other than softmax or None."""
    if weights is not None and _activations.get(classifier_activation) not in (
        _activations.get("softmax"), _activations.get(None)
    ):  # fmt: skip
        raise ValueError(
            f"pretrained weights go with softmax or no activation, not {classifier_activation!r}"
        )


@rule("tf.keras.applications.imagenet_utils.correct_pad", returns="python")
@prove(f32(1, 7, 8, 3), 3)
@prove(f32(1, 8, 7, 3), (3, 5))
def correct_pad(inputs, kernel_size):
    """((top, bottom), (left, right)) that makes a strided VALID convolution equal to SAME, from the symbol's size."""
    return _applications.correct_pad(inputs, kernel_size)


@rule("tf.keras.applications.imagenet_utils.preprocess_input")
@prove(f32(2, 4, 5, 3, low=0.0, high=255.0), mode="caffe")
@prove(f32(2, 4, 5, 3, low=0.0, high=255.0), mode="tf")
@prove(f32(2, 4, 5, 3, low=0.0, high=255.0), mode="torch")
def preprocess_input(x, data_format=None, mode="caffe"):
    """Images in [0, 255], channels last (an array or a tensor of rank 3 or 4) in the form a pretrained model wants."""
    return _applications.preprocess(x, data_format, mode)


@rule("tf.keras.applications.imagenet_utils.decode_predictions", returns="python",
      proved_by="tests/compat/test_keras_state.py")  # fmt: skip
def decode_predictions(preds, top=5):
    """For each row of probabilities (N, 1000) the ``top`` (class id, name, probability); fetches the class list."""
    return _applications.decode(np.asarray(preds.detach().cpu() if torch.is_tensor(preds) else preds), top)


@rule("tf.keras.utils.get_file", "tf.keras.utils.file_utils.get_file", "tf.keras.utils.data_utils.get_file",
      returns="python", pure=False)  # fmt: skip
@prove(raises=True)
def get_file(fname=None, origin=None, untar=False, md5_hash=None, file_hash=None, cache_subdir="datasets",
             hash_algorithm="auto", extract=False, archive_format="auto", cache_dir=None, force_download=False):  # fmt: skip
    """The path of a file in ``cache_dir`` (default ~/.keras), downloaded and checked on first use."""
    return _applications.fetch(fname, origin, untar or extract, md5_hash or file_hash, cache_subdir, hash_algorithm,
                               cache_dir, force_download)  # fmt: skip


@rule("tf.keras.utils.file_utils.exists", returns="python", pure=False)
@prove("/")
@prove("no such path")
def exists(path):
    """Whether a path exists."""
    return _applications.exists(path)


@rule("tf.keras.utils.to_categorical")
@prove(array([0, 2, 1], "int64"), 4)
def to_categorical(x, num_classes=None):
    """Class numbers to rows of zeros and a one (float32 array; a tensor stays a tensor)."""
    return _applications.to_categorical(x, num_classes)


CONSTANTS = {
    "tf.keras.applications.imagenet_utils.PREPROCESS_INPUT_DOC": "{mode}{ret}{error}",
    "tf.keras.applications.imagenet_utils.PREPROCESS_INPUT_MODE_DOC": "mode: caffe, tf or torch",
    "tf.keras.applications.imagenet_utils.PREPROCESS_INPUT_RET_DOC_TF": "values between -1 and 1",
    "tf.keras.applications.imagenet_utils.PREPROCESS_INPUT_RET_DOC_TORCH": "values scaled to 0..1, then normalised",
    "tf.keras.applications.imagenet_utils.PREPROCESS_INPUT_RET_DOC_CAFFE": "BGR, zero-centred per channel",
    "tf.keras.applications.imagenet_utils.PREPROCESS_INPUT_ERROR_DOC": "ValueError for an unknown data_format",
}
