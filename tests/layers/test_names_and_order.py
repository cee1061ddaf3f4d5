"""Keras' names and orders, and the shapes of outputs, computed without a framework."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tfport.layers import layouts, names, shapes
from tfport.layers.arguments import normalise, pairs
from tfport.layers.order import keras_order


@pytest.mark.parametrize(("class_name", "expected"), [
    ("Conv2D", "conv2d"), ("Conv2DTranspose", "conv2d_transpose"), ("MaxPooling2D", "max_pooling2d"), ("ReLU", "re_lu"),
    ("GlobalAveragePooling2D", "global_average_pooling2d"), ("LSTM", "lstm"), ("MyOwnLayer", "my_own_layer"),
    ("BatchNormalization", "batch_normalization"), ("PReLU", "p_re_lu"),
])  # fmt: skip
def test_snake_case(class_name, expected):
    assert names.snake_case(class_name) == expected


def test_names_of_a_container_count_by_class():
    assert names.container_names(["Dense", "ReLU", "Dense", "Dense"]) == [
        "dense",
        "re_lu",
        "dense_1",
        "dense_2",
    ]


def test_identifiers_avoid_keywords_and_taken_names():
    assert names.identifier("lambda") == "lambda_"
    assert names.identifier("block/1x1-conv") == "block_1x1_conv"
    assert names.identifier("1st") == "_1st"
    assert names.identifier("train", {"train", "train_"}) == "train__"


def test_axes_move_between_layouts():
    assert [layouts.axis_in("first", a, 4) for a in (0, 1, 2, 3, -1)] == [0, 2, 3, 1, 1]
    assert layouts.axis_in("last", -1, 4) == -1
    assert layouts.map_axes("first", (1, 2), 4) == (2, 3)
    with pytest.raises(ValueError, match="out of range"):
        layouts.axis_in("first", 4, 4)


def test_permutations_undo_each_other():
    for rank in (3, 4, 5):
        assert [layouts.to_first(rank)[i] for i in layouts.to_last(rank)] == list(range(rank))


def test_values_with_one_order_of_elements_are_recognised():
    assert layouts.alike((None, 1, 1, 8)) and layouts.alike((None, 5, 5, 1)) and layouts.alike((None, 8))
    assert not layouts.alike((None, 2, 1, 8)) and not layouts.alike((None, None, 1, 8))


@pytest.mark.parametrize(("name", "arguments", "given", "expected"), [
    ("Conv2D", dict(filters=8, kernel_size=3, strides=2, padding="same", dilation_rate=1), (None, 7, 8, 3), (None, 4, 4, 8)),
    ("Conv2D", dict(filters=8, kernel_size=(3, 2), strides=1, padding="valid", dilation_rate=2), (None, 7, None, 3), (None, 3, None, 8)),
    ("Conv1D", dict(filters=8, kernel_size=3, strides=1, padding="causal", dilation_rate=2), (2, 7, 3), (2, 7, 8)),
    ("MaxPooling2D", dict(pool_size=2, strides=None, padding="valid"), (None, 7, 8, 3), (None, 3, 4, 3)),
    ("Conv2DTranspose", dict(filters=4, kernel_size=3, strides=2, padding="valid", output_padding=None, dilation_rate=1),
     (None, 4, 5, 3), (None, 9, 11, 4)),
    ("Flatten", {}, (None, 2, 3, 4), (None, 24)),
    ("Flatten", {}, (None, None, 4), (None, None)),
    ("Reshape", dict(target_shape=(-1, 6)), (None, 2, 3, 4), (None, 4, 6)),
    ("Concatenate", dict(axis=-1), (None, 2, 3), (None, 2, 3)),
    ("Dense", dict(units=9), (None, 5, 3), (None, 5, 9)),
    ("ZeroPadding2D", dict(padding=((1, 2), (3, 4))), (None, 5, 5, 1), (None, 8, 12, 1)),
])  # fmt: skip
def test_output_shapes(name, arguments, given, expected):
    assert shapes.output_shape(name, arguments, [given]) == expected


def test_shapes_that_cannot_be_are_named():
    with pytest.raises(shapes.UnknownShape, match="does not fit"):
        shapes.window(2, 3, 1, "valid")
    with pytest.raises(shapes.UnknownShape, match="cannot broadcast"):
        shapes.output_shape("Add", {}, [(None, 3), (None, 4)])
    with pytest.raises(shapes.UnknownShape, match="Unheard"):
        shapes.output_shape("Unheard", {}, [(None, 3)])
    with pytest.raises(shapes.UnknownShape, match="rank 4"):
        shapes.output_shape("Conv2D", {}, [(None, 3)])


def test_merging_lines_up_smaller_ranks_after_the_batch():
    assert shapes.output_shape("Add", {}, [(None, 5, 3), (None, 3)]) == (None, 5, 3)


def test_arguments_take_one_form():
    given = {"kernel_size": [3, 3], "strides": (1, 2), "padding": "SAME", "axis": [3], "filters": 4}
    assert normalise(given) == {
        "kernel_size": 3,
        "strides": (1, 2),
        "padding": "same",
        "axis": 3,
        "filters": 4,
    }
    assert (
        pairs(2, 2) == ((2, 2), (2, 2))
        and pairs((1, 2), 1) == ((1, 2),)
        and pairs((1, (2, 3)), 2) == ((1, 1), (2, 3))
    )
    with pytest.raises(NotImplementedError, match="channels_last"):
        normalise({"data_format": "channels_first"})


def test_layers_are_sorted_by_depth_and_then_by_discovery():
    reads = {"out": ["late", "second"], "late": ["x"], "second": ["first"], "first": ["x"], "x": []}
    assert keras_order(["out"], reads.__getitem__, str, ["x"]) == ["x", "first", "late", "second", "out"]


def test_a_shared_layer_stands_at_its_greatest_depth():
    reads = {"out": ["a2", "b"], "a2": ["b"], "b": ["a1"], "a1": ["x"], "x": []}
    assert keras_order(["out"], reads.__getitem__, lambda n: n[0], ["x"]) == ["x", "a", "b", "o"]


def test_an_input_that_no_output_needs_comes_with_the_outputs():
    assert keras_order(["out"], {"out": ["x"], "x": [], "idle": []}.__getitem__, str, ["x", "idle"]) == [
        "x",
        "idle",
        "out",
    ]


def test_no_framework_is_imported():
    code = ("import sys, tfport.layers.names, tfport.layers.order, tfport.layers.shapes, tfport.layers.layouts; "
            "print([m for m in ('torch', 'numpy', 'tensorflow', 'keras') if m in sys.modules])")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
