"""How fast the converter is: ``python benchmarks/convert.py [FOLDER...]``; prints figures, asserts nothing.

1. Lines per second of ``tfport.convert_source`` over the files of a folder (default: ``layers`` and
   ``applications`` of the installed Keras), one process, one core; and the ratio to libcst parsing and printing the same files
   without a change, in the same run. Best of three rounds each, the two taking turns.
2. Wall time of ``tfport convert`` on a file of 100 lines in a fresh process: median of five.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROUNDS = 3
PROCESSES = 5

SNIPPET = '''\
def block_{i}(x, w):
    """A layer by hand."""
    y = tf.nn.relu(tf.matmul(x, w))
    mean = tf.reduce_mean(y, axis=-1, keepdims=True)
    # centre, then scale
    y = (y - mean) / tf.sqrt(tf.reduce_sum(tf.square(y), axis=-1, keepdims=True))
    return tf.concat([x, tf.cast(y, tf.float32)], axis=1)


'''


def default_folders() -> list[Path]:
    spec = importlib.util.find_spec("keras")
    if spec is None or spec.origin is None:
        sys.exit("Keras is not installed; name a folder")
    source = Path(spec.origin).parent / "src"
    return [source / "layers", source / "applications"]


def timed(work: Callable[[str], object], texts: list[str]) -> float:
    """Seconds that ``work`` takes over all texts."""
    gc.collect()
    start = time.perf_counter()
    for text in texts:
        work(text)
    return time.perf_counter() - start


def throughput(texts: list[str]) -> None:
    import libcst

    import tfport

    def convert(text: str) -> object:
        return tfport.convert_source(text)

    def print_back(text: str) -> object:
        return libcst.parse_module(text).code

    for warm in (convert, print_back):  # rule book, grammar
        warm(texts[0])
    converted, printed = [], []
    for _ in range(ROUNDS):
        converted.append(timed(convert, texts))
        printed.append(timed(print_back, texts))
    lines = sum(text.count("\n") for text in texts)
    ours, theirs = min(converted), min(printed)
    print(f"files                     {len(texts)}")
    print(f"lines                     {lines}")
    print(f"tfport.convert_source     {lines / ours:9.0f} lines/s   {ours:.2f} s")
    print(f"libcst parse and print    {lines / theirs:9.0f} lines/s   {theirs:.2f} s")
    print(f"ratio to libcst           {ours / theirs:9.2f}   (at most 4 wanted)")


def hundred_lines() -> str:
    blocks = "".join(SNIPPET.format(i=i) for i in range(11))
    return ("import tensorflow as tf\n\n\n" + blocks).rstrip() + "\n"


def start_to_end() -> None:
    """`tfport convert` as a user feels it: interpreter, imports, conversion, output file, summary."""
    command = Path(sys.executable).with_name("tfport")
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.py"
        model.write_text(hundred_lines())
        for _ in range(PROCESSES):
            start = time.perf_counter()
            done = subprocess.run([command, "convert", model], capture_output=True, text=True, env=os.environ)
            seconds.append(time.perf_counter() - start)
            if done.returncode == 2:
                sys.exit(f"tfport convert failed: {done.stderr.strip()}")
        lines = model.read_text().count("\n")
    median = statistics.median(seconds)
    print(f"tfport convert, {lines} lines {median:9.2f} s, median of {PROCESSES}   (at most 0.6 wanted)")


def main() -> None:
    folders = [Path(a) for a in sys.argv[1:]] or default_folders()
    files = sorted(path for folder in folders for path in folder.rglob("*.py"))
    texts = [path.read_text(encoding="utf-8") for path in files]
    throughput([text for text in texts if text.strip()])
    start_to_end()


if __name__ == "__main__":
    main()
