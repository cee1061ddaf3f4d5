"""A file of a project: its imports are found where the project's main script lies, and each side's in its own project."""

import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from tfport.cli import main
from tfport.parity.reference.errors import CaptureError
from tfport.parity.reference.targets import load_target

REFERENCE = {
    "config.py": "SCALE = 3.0\n",
    "models/blocks.py": "import tensorflow as tf\nfrom config import SCALE\n\n\ndef scaled(x):\n    return tf.nn.relu(x) * SCALE\n",
    "models/net.py": "from models.blocks import scaled\nfrom nets import unused\n\n\ndef run(x):\n    return scaled(x) + 1.0\n",
    "nets/__init__.py": "unused = 1\n",
}
CANDIDATE = REFERENCE | {
    "models/blocks.py": "import torch\nfrom config import SCALE\n\n\ndef scaled(x):\n    return torch.relu(x) * SCALE\n",
}
LINEAR = (
    "import torch\nfrom linear_config import SIZE\n\n\ndef build():\n    return torch.nn.Linear(SIZE, 2)\n"
)


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("scale, status", [("3.0", 0), ("3.5", 1)])
def test_each_side_finds_its_own_modules(tmp_path, scale, status):
    """Called in the reference's project, whose `models` has the names of the candidate's."""
    reference = write(tmp_path / "project", REFERENCE)
    candidate = write(tmp_path / "ported", CANDIDATE | {"config.py": f"SCALE = {scale}\n"})
    command = [
        "verify",
        "models/net.py:run",
        f"{candidate}/models/net.py:run",
        "--input",
        "2x3",
        "--format",
        "json",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tfport.cli", *command], cwd=reference, capture_output=True, text=True
    )
    assert done.returncode == status, done.stdout + done.stderr
    (part,) = json.loads(done.stdout)["runs"]
    assert part["error"] is None and bool(part["ok"]) == (status == 0)


def test_weights_find_the_modules_of_the_projects_root(tmp_path):
    folder = write(tmp_path, {"nets/linear.py": LINEAR, "linear_config.py": "SIZE = 3\n"})
    np.savez(tmp_path / "unused.npz", a=np.zeros(1))
    done = CliRunner().invoke(
        main, ["weights", str(tmp_path / "unused.npz"), "--module", f"{folder}/nets/linear.py:build"]
    )
    assert done.exit_code == 2 and "ModuleNotFoundError" not in done.output and "unused.npz" in done.output


def test_what_is_nowhere_is_told(tmp_path):
    file = write(tmp_path, {"models/net.py": "import config_that_is_nowhere\n"}) / "models/net.py"
    with pytest.raises(CaptureError, match=r"No module named 'config_that_is_nowhere' \(net\.py:1\)"):
        load_target(str(file), "run")


def test_a_second_run_builds_anew_what_lies_above(tmp_path):
    """Of two files with a `config` of their own each gets its own."""
    for name, size in (("one", 1), ("two", 2)):
        folder = write(
            tmp_path / name, {"config.py": f"SIZE = {size}\n", "nets/net.py": "from config import SIZE\n"}
        )
        assert load_target(str(folder / "nets/net.py"), "SIZE")[1] == size
