"""Shared by all tests: a quiet TensorFlow, Triton before TensorFlow, and the command line as a process."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Where TensorFlow is imported before Triton (CUDA builds of torch bring it) the process dies at the first
# torch.compile: both register the same LLVM options.
if importlib.util.find_spec("triton") is not None:
    import triton  # noqa: F401  # the import is the point

ROOT = Path(__file__).resolve().parent.parent


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what the parity tests counted."""
    from tests.parity.summary import lines

    reports = [r for kind in ("passed", "failed") for r in terminalreporter.stats.get(kind, [])]
    found = lines(pair for report in reports for pair in report.user_properties)
    for line in found:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture
def tfport(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs ``tfport ARGS`` as a user does: a process of its own, in an empty folder."""

    def run(*args: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "import sys; from tfport.cli import main; sys.exit(main())"]
        return subprocess.run(
            [*command, *map(str, args)],
            cwd=cwd or tmp_path,
            env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run
