"""The command line: every dtype is run, and the golden folder takes its name when all went well."""

import argparse
import collections
import json
import os
import platform
import shutil
import sys
import tempfile

from tfport.parity.reference.environment import (
    graphs_seeded,
    import_tensorflow,
    machine_of,
    set_determinism,
    versions,
)
from tfport.parity.reference.errors import CaptureError
from tfport.parity.reference.inputs import GIVEN, make_inputs
from tfport.parity.reference.manifest import MANIFEST_VERSION, digest, own_files, replace_golden, sha256
from tfport.parity.reference.run import run_all
from tfport.parity.reference.targets import alone, parse_call, split_reference


def capture(options):
    """Runs every dtype into a temporary folder, which takes its final name only when all went well."""
    target, name = split_reference(options.target)
    source = os.path.join(target, "saved_model.pb") if os.path.isdir(target) else target
    final = os.path.realpath(options.output)
    if os.path.exists(final) and not options.update:
        raise CaptureError("%s exists: pass --update to replace it" % options.output)
    own = own_files(final) if os.path.exists(final) else None
    if os.path.exists(final) and own is None:
        raise CaptureError("%s exists and is no golden folder: choose another name" % options.output)
    parent = os.path.dirname(final)
    if not os.path.isdir(parent):
        raise CaptureError("%s: no such folder" % parent)
    parse_call(options.call_args)
    GIVEN.clear()
    make_inputs(options.input, options.seed, "float32")
    tf = import_tensorflow()
    try:
        folder = tempfile.mkdtemp(prefix=".tfport-%d-" % os.getpid(), dir=parent)
    except OSError as error:
        raise CaptureError("%s cannot be written: %s" % (parent, error.strerror))
    try:
        with graphs_seeded(tf, options.seed):
            runs, deterministic = run_deterministically(tf, options, folder)
        manifest = collections.OrderedDict(
            format="tfport golden", version=MANIFEST_VERSION,
            target=os.path.basename(target) + (":" + name if name else ""),
            source_sha256=sha256(source), seed=options.seed, call_args=options.call_args or "", layout="NHWC",
            versions=versions(tf), machine=platform.machine(), threads=os.cpu_count(),
            tf32=False, deterministic=deterministic, runs=runs,
        )  # fmt: skip
        manifest.update(machine_of(tf))
        manifest["sha256"] = {n: sha256(os.path.join(folder, n)) for n in sorted(os.listdir(folder))}
        manifest["digest"] = digest(manifest)
        with open(os.path.join(folder, "manifest.json"), "w") as f:
            json.dump(manifest, f, indent=1)
            f.write("\n")
        os.chmod(folder, 0o755)
        replace_golden(folder, final, own)
    except OSError as error:  # the program's own are told as the program's
        raise CaptureError("%s cannot be written: %s" % (options.output, error.strerror or error))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_deterministically(tf, options, folder):
    """`run_all` with deterministic operations; again without them where one of the program's has no such form.

    Returns the manifest's entries and whether the operations were deterministic.
    """
    on = set_determinism(tf, True)
    try:
        return run_all(tf, options, folder), on
    except CaptureError as error:
        if "determinis" not in str(error).lower() or set_determinism(tf, False):
            raise
        why = str(error).replace("the reference raised ", "")
    for name in os.listdir(folder):
        os.remove(os.path.join(folder, name))
    runs = run_all(tf, options, folder)
    for entry in runs:
        entry["notes"].append("deterministic operations are off: " + why)
    return runs, False


def main(argv=None):
    """Command line; exit status 0 when the folder was written, 2 otherwise, with one line on stderr."""
    parser = argparse.ArgumentParser(prog="capture.py", description="Record a TensorFlow program's run.")
    parser.add_argument("target", help="FILE.py:NAME, graph.pb[:OUTPUT,OUTPUT] or a SavedModel's folder")
    parser.add_argument("-o", "--output", required=True, help="folder to write")
    spec = "2x28x28x1:float32, ids=4x10:int32<100, x.npy, batch.npz, @FILE.py:NAME"
    parser.add_argument("--input", "--inputs", action="append", default=[], help=spec)
    parser.add_argument("--call-args", default="", help='arguments of the builder: "10, weights=None"')
    parser.add_argument("--weights", help="load these weights instead of random ones")
    parser.add_argument("--dtype", default="float32", help="float32,float64")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--layers", choices=("auto", "all", "none"), default="auto")
    parser.add_argument(
        "--tensor", action="append", default=[], help="a graph's tensor, operation or scope to record"
    )
    parser.add_argument("--signature", help="the signature of a SavedModel to run")
    parser.add_argument(
        "--no-calibrate", dest="calibrate", action="store_false", help="no second run in float64"
    )
    parser.add_argument("--gradients", action="store_true", help="record gradients of weights and inputs")
    parser.add_argument("--steps", type=int, default=0, help="record this many steps of training")
    parser.add_argument("--loss", help="mse, or FILE.py:NAME")
    parser.add_argument("--optimizer", help="the optimizer of --steps")
    parser.add_argument("--train-step", help="a function that makes one step of training")
    parser.add_argument(
        "--target", dest="targets", action="append", default=[], help="targets of --steps, as --input"
    )
    parser.add_argument("--batches", help="FILE.py:NAME, a function that gives the batches of --steps")
    parser.add_argument("--update", action="store_true", help="replace an existing folder")
    options = parser.parse_args(argv)
    alone(options.target.rpartition(":")[0] or options.target)
    try:
        capture(options)
    except CaptureError as error:
        sys.stderr.write("\ntfport: %s\n" % " ".join(str(error).split()))
        return 2
    return 0
