"""docs/parity.md: its commands run as they stand, in order, its options exist, its tests pass, its CI file is the one beside it."""

import os
import re
import shlex
import subprocess
import sys

import pytest
import yaml

from tests.parity.conftest import PROGRAMS

TFPORT = [sys.executable, "-c", "import sys; from tfport.cli import main; sys.exit(main())"]


@pytest.fixture(scope="module")
def page(request):
    """The text of the page."""
    return (request.config.rootpath / "docs" / "parity.md").read_text()


@pytest.fixture(scope="module")
def project(page, tmp_path_factory):
    """A project as the page supposes: a model, its port, an environment with TensorFlow, and the page's own tests."""
    folder = tmp_path_factory.mktemp("docs")
    for ending in (".py", "_torch.py", "_torch.tfport.json"):
        text = (PROGRAMS / f"mlp{ending}").read_text()
        # TensorFlow's gelu holds the root of 2 in float32, so that in float64 it is 5e-9 off torch's.
        text = text.replace('"gelu"', '"elu"').replace("F.gelu", "F.elu")
        (folder / f"model{ending}").write_text(text)
    (folder / "tf-env" / "bin").mkdir(parents=True)
    python = folder / "tf-env" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    (folder / "tests").mkdir()
    (tests,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (folder / "tests" / "test_port.py").write_text(tests)
    return folder


def commands(page):
    """Every command of the page, in order."""
    return [
        line[2:]
        for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL)
        for line in block.splitlines()
    ]


def test_every_command_runs(page, project):
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": os.getcwd(), "COLUMNS": "200"}
    env = {k: v for k, v in env.items() if not k.startswith("PYTEST_")}
    ran = commands(page)
    assert len(ran) >= 8
    for text in ran:
        program, *words = shlex.split(text)
        start = {
            "tfport": TFPORT,
            "python": [sys.executable],
            "pytest": [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        }[program]
        done = subprocess.run(
            [*start, *words], cwd=project, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (text, done.stdout, done.stderr)
    for name in ("golden/manifest.json", "report.html", "junit.xml", "tests/golden/model/manifest.json"):
        assert (project / name).is_file(), name


def test_every_option_exists(page):
    from tfport.parity.cli_verify import capture_command, verify_command
    from tfport.parity.pytest_plugin import pytest_addoption
    from tfport.weights.cli_weights import weights

    known = {
        option for c in (capture_command, verify_command, weights) for p in c.params for option in p.opts
    }

    class Group:
        def addoption(self, name, **how):
            known.add(name)

        def getgroup(self, *names):
            return self

    pytest_addoption(Group())
    known |= {"--junitxml"}
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", page))
    assert used <= known and len(used) > 20, used - known


def test_the_ci_file_is_the_one_of_the_page(page, request):
    path = request.config.rootpath / "docs" / "github-actions.yml"
    (shown,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert path.read_text() == shown
    steps = yaml.safe_load(shown)["jobs"]["parity"]["steps"]
    ran = "\n".join(step.get("run", "") for step in steps)
    assert (
        "tensorflow" not in ran.lower()
        and "pytest tests --parity-html parity.html --junitxml parity.xml" in ran
    )


def test_the_readme_leads_here(request):
    text = (request.config.rootpath / "README.md").read_text()
    assert "docs/parity.md" in text
    for path in re.findall(r"\]\((docs/[\w.-]+)\)", text):
        assert (request.config.rootpath / path).is_file(), path
