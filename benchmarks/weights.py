"""How fast and how lean checkpoints are carried: ``python benchmarks/weights.py [GB]`` (2 unless given).

Prints ratios measured in one run, warm cache: tfport against `cp` of the same bytes, without transposes (TensorFlow's
names and layouts) and as the state_dict of a module of convolutions and dense layers; against TensorFlow's reader,
NumPy's transpose and ``torch.save`` where TensorFlow is installed; and the largest anonymous memory of the process
(the mapped checkpoint is not counted) beside the largest tensor.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tfport.weights.sstable import MAGIC, masked_crc

ROOT = Path(__file__).resolve().parents[1]
REPEATS = 3

MODULE = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        for i in range({count}):
            self.add_module(f"conv_{{i}}", nn.Conv2d(1024, 1024, 3))
            self.add_module(f"dense_{{i}}", nn.Linear(4096, 2048))
"""
CHILD = """
import json, sys, threading, time
from tfport.weights.command import run
peak, stop = 0, False
def watch():
    global peak
    while not stop:
        with open("/proc/self/status") as status:
            told = dict(line.split(":", 1) for line in status)
        peak = max(peak, int(told["RssAnon"].split()[0]))
        time.sleep(0.005)
options = json.loads(sys.argv[2])
if options.get("module"):
    import torch
thread = threading.Thread(target=watch, daemon=True)
thread.start()
start = time.perf_counter()
run(sys.argv[1], **options)
seconds = time.perf_counter() - start
stop = True
thread.join()
print(json.dumps({"seconds": seconds, "peak": peak * 1024}))
"""
TENSORFLOW = """
import json, os, sys, time
os.environ.update(CUDA_VISIBLE_DEVICES="", TF_CPP_MIN_LOG_LEVEL="3")
import numpy as np, tensorflow as tf, torch
start = time.perf_counter()
reader = tf.train.load_checkpoint(sys.argv[1])
state = {}
for name in reader.get_variable_to_shape_map():
    value = reader.get_tensor(name)
    order = {4: (3, 2, 0, 1), 2: (1, 0)}.get(value.ndim)
    state[name] = torch.from_numpy(np.ascontiguousarray(value.transpose(order)) if order else value)
torch.save(state, sys.argv[2])
print(json.dumps({"seconds": time.perf_counter() - start}))
"""


def record(count: int) -> dict[str, Any]:
    """The conversion's record of the module."""
    bias = ["bias", "o -> o", {}]
    tables = {
        "conv": ("Conv2D", {"kernel": ["weight", "h w i o -> o i h w", {}], "bias": bias}),
        "dense": ("Dense", {"kernel": ["weight", "i o -> o i", {}], "bias": bias}),
    }
    layers = [
        {"name": f"{name}_{i}", "class": kind, "path": f"{name}_{i}", "keras_path": None, "weights": table}
        for i in range(count)
        for name, (kind, table) in tables.items()
    ]
    return {"version": 1, "models": {"Net": {"kind": "subclass", "layers": layers}}}


def varint(value: int) -> bytes:
    """A base-128 number."""
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes((*made, value))


def field(tag: int, value: int | bytes) -> bytes:
    """A field of a protocol buffer."""
    if isinstance(value, int):
        return varint(tag << 3) + varint(value)
    return varint(tag << 3 | 2) + varint(len(value)) + value


def make_checkpoint(prefix: Path, count: int) -> tuple[int, int]:
    """A V2 checkpoint of ``count`` convolutions and dense layers; its bytes and those of the largest tensor."""
    source = np.random.default_rng(0)
    shapes = {
        "conv_{}/kernel": (3, 3, 1024, 1024),
        "conv_{}/bias": (1024,),
        "dense_{}/kernel": (4096, 2048),
        "dense_{}/bias": (2048,),
    }
    values = {name: source.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}
    crcs = {name: masked_crc(memoryview(value).cast("B")) for name, value in values.items()}
    entries, at = [(b"", field(1, 1))], 0
    with open(f"{prefix}.data-00000-of-00001", "wb") as shard:
        for number in range(count):
            for name, value in values.items():
                shard.write(value)
                shape = b"".join(field(2, field(1, size)) for size in value.shape)
                told = field(1, 1) + field(2, shape) + field(4, at) + field(5, value.nbytes)
                told += varint(6 << 3 | 5) + crcs[name].to_bytes(4, "little")
                entries.append((name.format(number).encode(), told))
                at += value.nbytes
    body = (
        b"".join(b"\0" + varint(len(k)) + varint(len(v)) + k + v for k, v in sorted(entries))
        + bytes(4)
        + b"\1\0\0\0"
    )
    handle = b"\0" + varint(len(body))
    index = b"\0" + varint(1) + varint(len(handle)) + b"\xff" + handle + bytes(4) + b"\1\0\0\0"
    blocks = [part + b"\0" + masked_crc(part + b"\0").to_bytes(4, "little") for part in (body, index)]
    footer = b"\0\0" + varint(len(blocks[0])) + varint(len(index))
    Path(f"{prefix}.index").write_bytes(blocks[0] + blocks[1] + footer.ljust(40, b"\0") + MAGIC)
    return at, max(value.nbytes for value in values.values())


def child(code: str, *arguments: str) -> dict[str, float]:
    """Run a program of its own; what it prints last."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=env, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def best(make: Callable[[], dict[str, float]], path: Path) -> dict[str, float]:
    """The fastest of some runs, the output removed each time, the largest peak of all."""
    runs = []
    for _ in range(REPEATS):
        path.unlink(missing_ok=True)
        runs.append(make())
    path.unlink(missing_ok=True)
    return {"seconds": min(r["seconds"] for r in runs), "peak": max(r.get("peak", 0) for r in runs)}


def copied(source: Path, target: Path) -> dict[str, float]:
    """``cp``."""
    start = time.perf_counter()
    subprocess.run(["cp", source, target], check=True)
    return {"seconds": time.perf_counter() - start}


def main(gigabytes: float) -> None:
    """Make the checkpoint, measure, print."""
    with tempfile.TemporaryDirectory(prefix="tfport-bench-") as temporary:
        folder = Path(temporary)
        count = max(1, round(gigabytes * 1e9 / 71e6))
        size, largest = make_checkpoint(folder / "ck", count)
        (folder / "net.py").write_text(MODULE.format(count=count))
        (folder / "net.tfport.json").write_text(json.dumps(record(count)))
        data, out = folder / "ck.data-00000-of-00001", folder / "out"
        safe = folder / "out.safetensors"
        cp = best(lambda: copied(data, out), out)
        plain = best(lambda: child(CHILD, str(folder / "ck"), json.dumps({"output": str(safe)})), safe)
        options = json.dumps({"output": str(safe), "module": f"{folder / 'net.py'}:Net"})
        moved = best(lambda: child(CHILD, str(folder / "ck"), options), safe)
        print(
            f"checkpoint                {size / 1e9:.2f} GB, {count * 4} tensors, the largest {largest / 1e6:.0f} MB"
        )
        print(f"cp                        {cp['seconds']:.2f} s   {size / cp['seconds'] / 1e9:.1f} GB/s")
        for name, run, wanted in (("without transposes", plain, 1.3), ("as a state_dict", moved, 2.0)):
            ratio = run["seconds"] / cp["seconds"]
            over = (run["peak"] - 2 * largest) / 1e6
            print(f"tfport, {name:<18}{run['seconds']:.2f} s   {ratio:.2f} times cp (at most {wanted} wanted)   "
                  f"peak {run['peak'] / 1e6:.0f} MB = 2 x largest {over:+.0f} MB (at most +200 wanted)")  # fmt: skip
        try:
            import importlib.util

            if importlib.util.find_spec("tensorflow") is None:
                raise ImportError
        except ImportError:
            print("TensorFlow is not installed: no comparison with it")
            return
        pt = folder / "out.pt"
        theirs = best(lambda: child(TENSORFLOW, str(folder / "ck"), str(pt)), pt)
        ratio = theirs["seconds"] / moved["seconds"]
        told = f"tfport is {ratio:.1f} times faster (at least 3 wanted)"
        print(f"tf.train.load_checkpoint, transpose, torch.save   {theirs['seconds']:.2f} s   {told}")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 2.0)
