"""Models of keras.applications in all four formats: every tensor is carried into the converted program, none is left.

The installed files are converted with no edit; small variants with all layers of their family, random weights. The only
tensor that is no weight is the counter of an adapting layer. One TensorFlow process writes all of them.
"""

import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tfport.weights import load_weights

REFERENCE = """
import sys
import keras
import numpy as np
import tensorflow as tf
from keras.src.applications import convnext, densenet, efficientnet, mobilenet_v2, mobilenet_v3

keras.utils.set_random_seed(0)
folder, options = sys.argv[1], {"weights": None, "classes": 4, "input_shape": (32, 32, 3), "classifier_activation": None}
models = {
    "mobilenet_v2": mobilenet_v2.MobileNetV2(alpha=0.35, **options),
    "mobilenet_v3": mobilenet_v3.MobileNetV3Small(**options),
    "efficientnet": efficientnet.EfficientNetB0(**options),
    "densenet": densenet.DenseNet([2, 2, 2, 2], **options),
    "convnext": convnext.ConvNeXt([2, 1, 2, 1], [8, 16, 24, 32], **options),
}
source = np.random.default_rng(0)
for name, model in models.items():
    for weight in model.weights:
        leaf = weight.path.rsplit("/", 1)[-1]
        if "variance" in leaf:
            weight.assign(source.uniform(0.5, 1.5, weight.shape))
        elif leaf == "gamma":
            weight.assign(source.uniform(0.8, 1.2, weight.shape))
        elif leaf in ("moving_mean", "mean", "beta", "bias"):
            weight.assign(source.normal(0, 0.1, weight.shape))
    images = source.uniform(0, 1, (1, 32, 32, 3)).astype("float32")
    model.save_weights(f"{folder}/{name}.weights.h5")
    model.save(f"{folder}/{name}.keras")
    model.save(f"{folder}/{name}.h5")
    tf.train.Checkpoint(model).write(f"{folder}/{name}_checkpoint")
    np.savez(f"{folder}/{name}.npz", images=images, output=np.asarray(model(images, training=False)), count=len(model.weights))
"""
BUILD = {
    "mobilenet_v2": lambda m, **o: m.MobileNetV2(alpha=0.35, **o),
    "mobilenet_v3": lambda m, **o: m.MobileNetV3Small(**o),
    "efficientnet": lambda m, **o: m.EfficientNetB0(**o),
    "densenet": lambda m, **o: m.DenseNet([2, 2, 2, 2], **o),
    "convnext": lambda m, **o: m.ConvNeXt([2, 1, 2, 1], [8, 16, 24, 32], **o),
}
COUNTERS = {"efficientnet": 1}


def run(*command):
    environment = os.environ | {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
        "KERAS_BACKEND": "tensorflow",
    }
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, env=environment)
    assert done.returncode in (0, 1), done.stderr[-2000:]
    return done


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    pytest.importorskip("tensorflow", reason="TensorFlow writes the files")
    folder = tmp_path_factory.mktemp("applications")
    done = run("-c", REFERENCE, str(folder))
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.mark.parametrize("name", BUILD)
def test_every_tensor_is_carried(written, name, tmp_path, monkeypatch):
    spec = importlib.util.find_spec("keras")
    source = Path(spec.submodule_search_locations[0]) / "src" / "applications" / f"{name}.py"
    run("-m", "tfport", "convert", str(source), "-o", str(tmp_path / f"{name}_carried.py"))
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module(f"{name}_carried")
    options = {"weights": None, "classes": 4, "input_shape": (32, 32, 3), "classifier_activation": None}
    model = BUILD[name](module, **options).eval()
    blank = {key: torch.full_like(value, 7) for key, value in model.state_dict().items()}
    saved = np.load(written / f"{name}.npz")
    for ending in (".weights.h5", ".keras", ".h5", "_checkpoint"):
        model.load_state_dict(blank)
        report = load_weights(model, written / f"{name}{ending}")
        ignored = [key for key, _ in report.ignored if key != "_CHECKPOINTABLE_OBJECT_GRAPH"]
        assert len(report.loaded) + len(ignored) == saved["count"] and len(ignored) == COUNTERS.get(name, 0)
        assert not report.missing and not report.left_over, ending
        assert all(key.endswith(".count") for key in report.kept), report.kept
        with torch.no_grad():
            output = model(torch.from_numpy(saved["images"]).permute(0, 3, 1, 2)).numpy()
        assert np.abs(output - saved["output"]).max() <= 1e-4 * np.abs(saved["output"]).max(), ending
