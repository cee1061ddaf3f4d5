"""What `tfport verify` costs: ``python benchmarks/parity.py``; prints figures, asserts nothing.

1. Time of ``tfport verify`` from source to source, and from a golden folder, against what cannot be saved: one
   process that imports TensorFlow, builds the model and calls it once, and one that does so with torch. All in the same run,
   the four taking turns; median of three. For a model whose time goes into process starts, and one that computes.
2. Peak memory of capture and replay with every layer kept, beside the same processes without tfport, on a model
   whose layer outputs are large. What is above must not grow with their number: both stream. (TensorFlow itself keeps
   what a functional model computes; the calibrating run in float64 keeps it twice as large.)
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tfport
from tfport.parity import bundle

ROUNDS = 3
MIB = 2**20

SMALL = """\
from tensorflow import keras
from tensorflow.keras import layers


def build():
    image = keras.Input((28, 28, 1))
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(image)
    x = layers.BatchNormalization()(x)
    x = layers.Conv2D(32, 3, padding="same", activation="relu")(x)
    x = layers.Flatten()(x)
    return keras.Model(image, layers.Dense(10, activation="softmax")(x))
"""

DEEP = """\
from tensorflow import keras
from tensorflow.keras import layers


def block(x, filters, strides=1):
    y = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
    y = layers.ReLU()(layers.BatchNormalization()(y))
    y = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same", use_bias=False)(y))
    if strides > 1:
        x = layers.Conv2D(filters, 1, strides=strides, use_bias=False)(x)
    return layers.ReLU()(layers.Add()([x, y]))


def build():
    image = keras.Input((224, 224, 3))
    x = layers.Conv2D(64, 7, strides=2, padding="same")(image)
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    for filters, strides in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        x = block(x, filters, strides)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(1000, activation="softmax")(x))
"""

WIDE = """\
from tensorflow import keras
from tensorflow.keras import layers


def build():
    image = keras.Input((384, 384, 3))
    x = image
    for i in range({layers}):
        x = layers.Conv2D(16, 3, padding="same", activation="relu", name="conv%d" % i)(x)
    return keras.Model(image, layers.GlobalAveragePooling2D()(x))
"""

FORWARD = {
    "tensorflow": """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
import tensorflow as tf
import model
network = model.build()
x = np.random.default_rng(0).standard_normal([int(n) for n in sys.argv[2].split("x")]).astype("float32")
network(tf.constant(x)).numpy()
""",
    "torch": """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
import torch
import model_torch
network = model_torch.build().eval()
x = np.random.default_rng(0).standard_normal([int(n) for n in sys.argv[2].split("x")]).astype("float32")
with torch.no_grad():
    network(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy()
""",
}


def run(command: list[str]) -> tuple[float, float]:
    """Runs a process to its end: seconds, and the peak of resident memory in MiB, its children's included."""
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    start = time.perf_counter()
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(command, stdout=told, stderr=told, env=env)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            told.seek(0)
            sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{told.read().decode()[-2000:]}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def write(folder: Path, source: str) -> None:
    """The program and what the converter makes of it."""
    folder.mkdir()
    done = tfport.convert_source(source)
    (folder / "model.py").write_text(source)
    (folder / "model_torch.py").write_text(done.code)
    (folder / "model_torch.tfport.json").write_text(json.dumps(done.record))


def commands(folder: Path, shape: str, layers: str = "auto") -> dict[str, list[str]]:
    """The four processes that are compared, and the capture that makes the golden folder."""
    single = folder / "capture.py"
    single.write_text(bundle.script())
    reference, candidate, golden = (
        f"{folder}/model.py:build",
        f"{folder}/model_torch.py:build",
        f"{folder}/golden",
    )
    program = [sys.executable, "-c", "import sys; from tfport.cli import main; sys.exit(main())"]
    inputs = ["--input", shape, "--layers", layers]
    return {
        "capture": [sys.executable, str(single), reference, "-o", golden, "--update", *inputs],
        "tensorflow": [sys.executable, "-c", FORWARD["tensorflow"], str(folder), shape],
        "torch": [sys.executable, "-c", FORWARD["torch"], str(folder), shape],
        "verify": [*program, "verify", reference, candidate, *inputs],
        "verify golden": [*program, "verify", golden, candidate, "--layers", layers],
    }


def cost(name: str, source: str, shape: str, root: Path) -> None:
    folder = root / name
    write(folder, source)
    todo = commands(folder, shape)
    run(todo.pop("capture"))
    seconds: dict[str, list[float]] = {what: [] for what in todo}
    for _ in range(ROUNDS):
        for what, command in todo.items():
            seconds[what].append(run(command)[0])
    took = {what: statistics.median(times) for what, times in seconds.items()}
    both = took["tensorflow"] + took["torch"]
    print(f"{name} model, {shape}")
    print(
        f"  a process with one forward pass   TensorFlow {took['tensorflow']:.2f} s, torch {took['torch']:.2f} s"
    )
    print(
        f"  tfport verify                     {took['verify']:.2f} s   ratio {took['verify'] / both:.2f}   (at most 1.5 wanted)"
    )
    ratio = took["verify golden"] / took["torch"]
    print(
        f"  tfport verify of a golden folder  {took['verify golden']:.2f} s   ratio to the torch process {ratio:.2f}"
    )


def memory(root: Path) -> None:
    print("peak memory, every layer kept, 2x384x384x3")
    for count in (6, 24):
        folder = root / f"wide{count}"
        write(folder, WIDE.format(layers=count))
        todo = commands(folder, "2x384x384x3", "all")
        plain = {what: run(todo[what])[1] for what in ("tensorflow", "torch")}
        captured = run(todo["capture"])[1]
        alone = run([*todo["capture"], "--no-calibrate"])[1]
        replayed = run(todo["verify golden"])[1]
        largest = 2 * 384 * 384 * 16 * 4 / MIB
        golden = sum(path.stat().st_size for path in (folder / "golden").iterdir()) / MIB
        print(f"  {count} layers of {largest:.0f} MiB, golden folder {golden:.0f} MiB")
        for what, peak, base in (
            ("capture", captured, plain["tensorflow"]),
            ("capture --no-calibrate", alone, plain["tensorflow"]),
            ("verify", replayed, plain["torch"]),
        ):
            above = peak - base
            times = above / largest
            print(
                f"    {what:22} {peak:6.0f} MiB, the plain process {base:.0f}: {above:.0f} more, {times:.1f} of the largest output"
            )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        cost("small", SMALL, "2x28x28x1", root)
        cost("deep", DEEP, "2x224x224x3", root)
        memory(root)


if __name__ == "__main__":
    main()
