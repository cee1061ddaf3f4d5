"""The single file of the capture needs no other file, no Python after 3.7, no TensorFlow after 1.15; it says what is missing."""

import ast
import builtins
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.parity.conftest import PROGRAMS
from tfport.parity import bundle, verification
from tfport.parity.reference.errors import CaptureError

SOURCE = bundle.script()
TREE = ast.parse(SOURCE, feature_version=(3, 7))

LATER = {
    "removeprefix", "removesuffix", "is_relative_to", "readlink", "with_stem", "bit_count", "pairwise", "batched",
    "lcm", "cached_property", "cache", "singledispatchmethod", "prod", "dist", "perm", "comb", "isqrt", "randbytes",
    "file_digest", "aclosing", "chdir", "add_note", "to_thread", "fromisoformat", "unparse", "get_source_segment",
    "indent_tree", "get_args", "get_origin", "TypedDict", "Protocol", "Final", "Literal", "get_annotations",
}  # fmt: skip
"""Methods and functions of the standard library that came after 3.7 and could be mistaken for older ones."""

TENSORFLOW_1_15 = {
    "GradientTape.gradient", "Graph.__init__", "IndexedSlices", "Module", "SparseTensor", "Tensor", "TensorShape",
    "TensorSpec", "Variable", "__version__", "add", "add_n", "as_dtype", "clip_by_value", "compat.v1.GraphDef",
    "compat.v1.InteractiveSession", "compat.v1.NodeDef", "compat.v1.Session", "compat.v1.Session.run",
    "compat.v1.get_default_graph", "compat.v1.global_variables", "compat.v1.global_variables_initializer",
    "compat.v1.graph_util.convert_variables_to_constants", "compat.v1.keras.backend.get_session",
    "compat.v1.local_variables_initializer", "compat.v1.reset_default_graph", "compat.v1.saved_model.load",
    "compat.v1.set_random_seed", "compat.v1.train", "config.experimental", "constant", "convert_to_tensor",
    "errors.FailedPreconditionError", "errors.InvalidArgumentError", "executing_eagerly", "float32.as_datatype_enum",
    "float64.as_datatype_enum", "function", "import_graph_def", "keras.backend.set_value", "keras.losses",
    "keras.losses.get", "keras.optimizers", "keras.optimizers.schedules", "make_ndarray", "make_tensor_proto",
    "math.log", "maximum", "nest.flatten", "nest.map_structure", "nest.pack_sequence_as", "nn.log_softmax", "nn.softplus",
    "nn.sigmoid_cross_entropy_with_logits", "one_hot", "ones_like", "random", "reduce_mean", "reduce_sum",
    "saved_model.load", "square", "float32", "keras", "config", "compat.v1", "compat.v1.keras.backend", "zeros_like",
    "stop_gradient", "cast", "reshape", "zeros", "ones", "shape", "concat", "stack", "bool", "int32", "int64",
    "float64", "string", "losses", "abs", "exp", "is_tensor", "equal", "group", "no_op", "identity", "gradients",
    "Operation", "Graph.is_fetchable", "compat.v1.GraphKeys.TABLE_INITIALIZERS", "compat.v1.local_variables",
    "compat.v1.trainable_variables", "train.load_checkpoint", "compat.v1.gradients", "compat.v1.placeholder", "compat.v1.train.Optimizer", "math.erf", "tanh", "where",
    "einsum", "pad", "tensordot",
}  # fmt: skip
"""Names that TensorFlow 1.15 has, under `tf.`, among which the capture may choose."""

GUARDED = {"random.set_seed"}
"""Names that are used only where `getattr` has found them."""


def dotted(node):
    """`tf.a.b` -> ["tf", "a", "b"]; `self.tf` and `v1` are what they stand for. None for what is not TensorFlow's."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    parts.insert(0, node.id if isinstance(node, ast.Name) else "?")
    if "tf" in parts[1:]:
        parts = parts[parts.index("tf") :]
    if parts[0] == "v1":
        parts = ["tf", "compat", "v1", *parts[1:]]
    return parts if parts[0] == "tf" and len(parts) > 1 else None


def test_it_imports_nothing_but_python_numpy_and_tensorflow():
    names = {a.name.split(".")[0] for n in ast.walk(TREE) if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module.split(".")[0] for n in ast.walk(TREE) if isinstance(n, ast.ImportFrom)}
    # h5py comes with Keras 2, in whose files names are changed
    assert names - set(sys.stdlib_module_names) == {"numpy", "tensorflow", "keras", "h5py"}


def test_it_calls_nothing_that_came_after_python_3_7():
    used = {n.attr for n in ast.walk(TREE) if isinstance(n, ast.Attribute)}
    used |= {n.id for n in ast.walk(TREE) if isinstance(n, ast.Name)} - set(dir(builtins)) | {
        n.id
        for n in ast.walk(TREE)
        if isinstance(n, ast.Name) and n.id in ("aiter", "anext", "ExceptionGroup")
    }
    own = {n.name for n in ast.walk(TREE) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    arrays = {"prod"}  # NumPy's
    assert used & LATER - own - arrays == set()
    for node in ast.walk(TREE):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            assert not isinstance(node.left, ast.Dict) and not isinstance(node.right, ast.Dict)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "zip":
            assert not [k for k in node.keywords if k.arg == "strict"]
        annotations = [getattr(node, "returns", None), getattr(node, "annotation", None)]
        assert annotations == [None, None]
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "run":
            assert not {k.arg for k in node.keywords} & {"capture_output"}


def test_every_name_of_tensorflow_is_in_1_15_or_looked_for_first():
    found = set()
    for node in ast.walk(TREE):
        parts = dotted(node) if isinstance(node, ast.Attribute) else None
        if parts:
            found.add(".".join(parts[1:]))
    longest = {f for f in found if not any(g.startswith(f + ".") for g in found)}
    assert "compat.v1.Session.run" in longest
    assert longest - GUARDED - TENSORFLOW_1_15 == set()


def test_every_name_in_the_list_is_still_in_this_tensorflow():
    code = (
        "import sys, tensorflow as tf\n"
        "def get(name):\n"
        "    x = tf\n"
        "    for part in name.split('.'):\n"
        "        x = getattr(x, part, None)\n"
        "    return x\n"
        "print([n for n in sys.argv[1:] if get(n) is None])\n"
    )
    used = sorted(TENSORFLOW_1_15 - {"compat.v1.keras.backend", "compat.v1.keras.backend.get_session"})
    used = [name for name in used if name in SOURCE.replace("v1.", "compat.v1.") or f"tf.{name}" in SOURCE]
    done = subprocess.run([sys.executable, "-c", code, *used], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", (done.stdout, done.stderr[-500:])


def old_python():
    """A Python 3.7 that runs, or None: a name on the path may be a launcher without one behind it."""
    found = shutil.which("python3.7")
    asked = [found, "-c", "import sys; sys.exit(sys.version_info[:2] != (3, 7))"]
    return (
        found if found and subprocess.run(asked, capture_output=True, check=False).returncode == 0 else None
    )


@pytest.mark.skipif(
    old_python() is None, reason="no Python 3.7 runs here; its grammar is checked by ast all the same"
)
def test_python_3_7_compiles_it(script):
    code = "import sys; compile(open(sys.argv[1], encoding='utf-8').read(), 'capture.py', 'exec')"
    done = subprocess.run([old_python(), "-c", code, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A Python without any package."""
    folder = tmp_path_factory.mktemp("bare") / "env"
    venv.create(folder, with_pip=False, symlinks=True)
    return folder / "bin" / "python"


def told(plan, output):
    """The one line that a capture which cannot be made gives; nothing is left behind."""
    before = sorted(p.name for p in output.parent.iterdir())
    with pytest.raises(CaptureError) as caught:
        verification.run_capture(plan, output)
    assert sorted(p.name for p in output.parent.iterdir()) == before
    text = str(caught.value)
    assert "\n" not in text and "Traceback" not in text
    return text


FUNCTIONS = f"{PROGRAMS / 'functions.py'}:constants"


def test_a_wrong_python_is_told(bare, tmp_path):
    plan = verification.Plan(FUNCTIONS, python=str(tmp_path / "no" / "python"))
    assert "no such program" in told(plan, tmp_path / "golden")
    plan.python = str(bare)
    text = told(plan, tmp_path / "golden")
    assert "NumPy is not installed" in text and "env" in text and "pip install" in text
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho I am no Python >&2\nexit 3\n")
    program.chmod(0o755)
    plan.python = str(program)
    text = told(plan, tmp_path / "golden")
    assert "program: it is no Python; name the one that has TensorFlow" in text


def test_a_python_with_numpy_and_without_tensorflow_is_told(bare, script, tmp_path):
    import numpy

    site = tmp_path / "site"
    site.mkdir()
    folder = Path(numpy.__file__).parent
    for name in ("numpy", "numpy.libs"):
        if (folder.parent / name).exists():
            (site / name).symlink_to(folder.parent / name)
    command = [bare, script, FUNCTIONS, "-o", tmp_path / "golden"]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(site)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 2 and not (tmp_path / "golden").exists()
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("tfport: TensorFlow is not installed for ") and "--python" in last


@pytest.mark.skipif(
    not Path("/proc/self").is_dir(), reason="no /proc here, where not even root may make a folder"
)
def test_a_folder_that_cannot_be_written_is_told():
    with pytest.raises(CaptureError, match=r"/proc.* cannot be written"):
        verification.run_capture(verification.Plan(FUNCTIONS), "/proc/golden")


def test_a_folder_that_is_a_file_is_told(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CaptureError, match="file: no such folder"):
        verification.run_capture(verification.Plan(FUNCTIONS), tmp_path / "file" / "golden")
    with pytest.raises(CaptureError, match="exists"):
        verification.run_capture(verification.Plan(FUNCTIONS), tmp_path / "file", update=True)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_full_disk_is_told_and_leaves_nothing(script, tmp_path):
    """A limit on the size of files stands for it."""
    source = tmp_path / "big.py"
    source.write_text("import tensorflow as tf\ndef big():\n    return tf.random.normal([512, 512])\n")
    output = tmp_path / "golden"
    command = f"ulimit -f 1; exec {sys.executable} {script} {source}:big -o {output} --no-calibrate"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr[-500:]
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("tfport: ") and "cannot be written: File too large" in last
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "__pycache__") == ["big.py"]


@pytest.mark.parametrize("body", ["", "raise ImportError('damaged')"], ids=["imported", "fails"])
def test_the_collector_rests_while_tensorflow_is_imported(body, tmp_path):
    """And works again after it, without the objects that the import made."""
    (tmp_path / "tensorflow.py").write_text(f"import gc\nresting = not gc.isenabled()\n{body}\n")
    code = (
        "import contextlib, gc\n"
        "from tfport.parity.reference.environment import import_tensorflow\n"
        "from tfport.parity.reference.errors import CaptureError\n"
        "with contextlib.suppress(CaptureError):\n"
        "    assert import_tensorflow().resting and gc.get_freeze_count() > 1000\n"
        "assert gc.isenabled()\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.getcwd()])}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)
