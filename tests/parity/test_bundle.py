"""The single file: it is all of the capture, it runs by path, and what cannot be joined is refused."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tfport.cli import main
from tfport.parity import bundle
from tfport.parity.golden import read_golden

FIXTURES = Path(__file__).parents[2] / "fixtures"


def run(script, *words, cwd):
    command = [sys.executable, "-I", script, *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_it_is_one_file_of_python_3_7_without_tfport():
    text = bundle.script()
    tree = ast.parse(text, feature_version=(3, 7))
    imports = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    assert not [n for n in imports if "tfport" in ast.unparse(n)]
    top = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
    assert tree.body[1 : 1 + len(top)] == top and len({ast.unparse(n) for n in top}) == len(top)
    assert text.endswith('\nif __name__ == "__main__":\n    sys.exit(main())\n')
    assert text is bundle.script()


def test_every_module_is_in_it():
    names = {path.stem for path in bundle.FOLDER.glob("*.py")} - {"__init__"}
    assert {name for name in names if f"# {'-' * 64} {name}\n" in bundle.script()} == names
    assert max(len(path.read_text().splitlines()) for path in bundle.FOLDER.glob("*.py")) < 500


def test_it_runs_by_path(script, tmp_path):
    done = run(script, "--help", cwd=tmp_path)
    assert done.returncode == 0 and "usage: capture.py" in done.stdout, done.stderr
    words = [f"{FIXTURES / 'cnn.py'}:build", "-o", "golden", "--layers", "none"]
    done = run(script, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert read_golden(tmp_path / "golden").run("float32")["kind"] == "keras"


def test_the_command_line_writes_it(tmp_path):
    def told(*words):
        done = CliRunner().invoke(main, ["capture", *map(str, words)])
        return done.exit_code, " ".join(done.output.split())

    path = tmp_path / "single.py"
    assert told("--script", path) == (0, f"wrote {path}: python {path} REFERENCE -o GOLDEN")
    assert path.read_text() == bundle.script()
    path.write_text("mine")
    status, text = told("--script", path)
    assert status == 2 and "single.py exists: pass --update to replace it" in text
    assert path.read_text() == "mine"
    assert told("--script", path, "--update")[0] == 0 and path.read_text() == bundle.script()
    status, text = told("--script", tmp_path / "no" / "x.py")
    assert status == 2 and "No such file or directory" in text
    for words, option in (
        (["model.py:build"], "REFERENCE"),
        (["-o", "golden"], "--output"),
        (["--seed", "1"], "--seed"),
    ):
        status, text = told("--script", path, "--update", *words)
        assert status == 2 and f"{option} has no place here: --script writes the capture" in text


def test_without_it_reference_and_output_are_needed():
    for words, missing in (
        ([], "argument 'REFERENCE'"),
        (["-o", "golden"], "argument 'REFERENCE'"),
        (["model.py:build"], "option '-o / --output'"),
    ):
        done = CliRunner().invoke(main, ["capture", *words])
        assert done.exit_code == 2 and f"Error: Missing {missing}." in done.output


HEAD = '"""Doc."""\n'
FROM = "from tfport.parity.reference."
REFUSED = {
    "one name twice": ({"a": "def f():\n    pass\n", "main": f"{FROM}a import f\nf = 1\n"}, "f is defined by a and by main"),
    "a name that is imported": ({"a": "import re\n", "main": f"{FROM}a import f\nre = 1\n"}, "a, which does not define it"),
    "a name of a library": ({"main": "import re\n\ndef re():\n    pass\n"}, "re is imported, and defined by main"),
    "a circle": (
        {"main": f"{FROM}a import x\n", "a": f"{FROM}b import x\n", "b": f"{FROM}a import x\n"},
        "import each other: a -> b -> a",
    ),
    "no such module": ({"main": f"{FROM}a import x\n"}, "main imports a, which is no module"),
    "a new name": ({"a": "x = 1\n", "main": f"{FROM}a import x as y\n"}, "main, line 2: names are imported by name"),
    "a part of a library": ({"main": "from re import compile\n"}, "other modules are imported as a whole"),
    "another library": ({"main": "import h5py\n"}, "import h5py: the standard library"),
    "tfport in a function": ({"main": "def f():\n    import tfport\n"}, "main, line 3: modules of tfport"),
    "a statement": ({"main": "if 1:\n    x = 1\n"}, "main, line 2: a module is imports, definitions"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_joined_is_refused(case):
    sources, why = REFUSED[case]
    with pytest.raises(bundle.BundleError) as caught:
        bundle.join({"__init__": HEAD, **{name: HEAD + text for name, text in sources.items()}})
    assert why in str(caught.value)


def test_modules_come_after_what_they_import():
    sources = {
        "__init__": '"""All."""\n',
        "main": f'{HEAD}import sys\nimport numpy as np\n{FROM}b import (\n    two,\n)\n{FROM}a import one\n\n# kept\nx = one\n',
        "a": f"{HEAD}import os\n\none = 1  # one\n",
        "b": f"{HEAD}{FROM}a import one\n\ntwo = one + 1\n",
        "unused": f"{HEAD}x = 1\n",
    }  # fmt: skip
    text = bundle.join(sources)
    assert text.startswith('"""All.\n"""\n\nimport os\nimport sys\n\ntry:\n    import numpy as np\n')
    kept = [
        line for line in text.splitlines() if line in ("one = 1  # one", "two = one + 1", "# kept", "x = one")
    ]
    assert kept == ["one = 1  # one", "two = one + 1", "# kept", "x = one"] and "parity" not in text
