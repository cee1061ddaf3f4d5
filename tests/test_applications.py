"""Keras' own applications, the installed files: converted with no edit, weights carried, outputs equal to TensorFlow's.

224x224 images in eval mode; the error is the largest difference over the largest output. Each side has its process.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

REFERENCE = """
import sys
import numpy as np
import keras

name, dtype, folder = sys.argv[1:4]
keras.config.set_floatx(dtype)
keras.utils.set_random_seed(0)
model = getattr(keras.applications, name)(weights=None, classifier_activation=None)
source = np.random.default_rng(0)
for weight in model.weights:
    if "moving_variance" in weight.path:
        weight.assign(source.uniform(0.5, 1.5, weight.shape))
    elif "gamma" in weight.path:
        weight.assign(source.uniform(0.8, 1.2, weight.shape))
    elif any(n in weight.path for n in ("moving_mean", "beta", "bias")):
        weight.assign(source.normal(0, 0.1, weight.shape))
model.save_weights(f"{folder}/model.weights.h5")
images = source.uniform(-1, 1, (1, 224, 224, 3)).astype(dtype)
np.savez(f"{folder}/data.npz", images=images, logits=np.asarray(model(images, training=False)))
"""
CANDIDATE = """
import sys
import numpy as np
import torch
import tfport

name, dtype, folder, module = sys.argv[1:5]
sys.path.insert(0, folder)
model = getattr(__import__(module), name)(weights=None, classifier_activation=None)
if dtype == "float64":
    model.double()
tfport.load_weights(model, f"{folder}/model.weights.h5")
model.eval()
data = np.load(f"{folder}/data.npz")
with torch.no_grad():
    logits = model(torch.from_numpy(data["images"]).permute(0, 3, 1, 2)).numpy()
assert logits.dtype == data["logits"].dtype and logits.shape == data["logits"].shape
assert not any("permute" in str(node.target) for node in model.graph.nodes)
assert not {"tensorflow", "keras"} & set(sys.modules)
print(np.abs(logits - data["logits"]).max() / np.abs(data["logits"]).max())
"""
ALLOWED = {"float32": 1e-5, "float64": 1e-11}


def applications() -> Path:
    spec = importlib.util.find_spec("keras")
    assert spec is not None and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "src" / "applications"


def run(program: str, *arguments: str) -> str:
    environment = {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
        "KERAS_BACKEND": "tensorflow",
    }
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize(
    ("file", "name", "dtype"),
    [
        ("mobilenet", "MobileNet", "float32"),
        ("mobilenet", "MobileNet", "float64"),
        ("resnet", "ResNet50", "float32"),
        ("resnet", "ResNet50", "float64"),
        ("vgg16", "VGG16", "float32"),
        ("vgg16", "VGG16", "float64"),
    ],
)
def test_an_application_converts_and_agrees(file, name, dtype, tmp_path):
    output = tmp_path / f"{file}_torch.py"
    command = [
        sys.executable,
        "-m",
        "tfport",
        "convert",
        str(applications() / f"{file}.py"),
        "-o",
        str(output),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    run(REFERENCE, name, dtype, str(tmp_path))
    error = float(run(CANDIDATE, name, dtype, str(tmp_path), output.stem))
    (tmp_path / "model.weights.h5").unlink()  # VGG16 in float64 is 1.1 GB
    print(f"{name} {dtype}: {error:.1e}")
    assert error <= ALLOWED[dtype]
