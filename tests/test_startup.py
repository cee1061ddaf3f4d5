"""Tests that `tfport convert` and `tfport weights` start light: neither torch nor TensorFlow is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

PROBE = """
import sys
from tfport.cli import main
try:
    main()
except SystemExit as done:
    status = done.code
heavy = ("torch", "tensorflow", "keras", "tf_keras", "jax", "scipy", "pandas")
print("STATUS", status or 0)
print("HEAVY", *[m for m in heavy if m in sys.modules])
"""


def heavy_imports(*arguments: str | Path) -> str:
    """The heavy packages that a command had imported when it ended well."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *map(str, arguments)], capture_output=True, text=True, timeout=60
    )
    assert "STATUS 0" in done.stdout, done.stdout + done.stderr
    return done.stdout.split("HEAVY", 1)[1].strip()


@pytest.mark.parametrize(
    "options", [(), ("--diff",), ("--format", "json")], ids=lambda o: " ".join(o) or "plain"
)
def test_convert_imports_no_framework(options: tuple[str, ...], tmp_path: Path) -> None:
    model = tmp_path / "model.py"
    model.write_text(
        "import tensorflow as tf\nfrom tensorflow import keras\n\n\ndef f(x):\n    return tf.reduce_sum(x, axis=1)\n\n\n"
        "net = keras.Sequential([keras.layers.InputLayer(shape=(3,)), keras.layers.Dense(4)])\n"
    )
    assert heavy_imports("convert", model, *options) == ""


def test_weights_imports_no_framework(tmp_path: Path) -> None:
    path = tmp_path / "model.weights.h5"
    with h5py.File(path, "w") as file:
        file.create_group("layers/dense/vars")["0"] = np.zeros((3, 4), "float32")
    assert heavy_imports("weights", path, "--list") == ""
    assert heavy_imports("weights", path, "-o", tmp_path / "out.safetensors") == ""


def test_importing_tfport_imports_no_framework() -> None:
    code = "import sys, tfport; print([m for m in ('torch', 'tensorflow', 'keras') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
