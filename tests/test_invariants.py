"""Tests what holds for every conversion, over all of the installed Keras, tf_slim and the fixtures.

No crash, the output parses, a second run changes nothing, comments are kept, and the audit (tests/audit.py, which
shares no code with the converter) finds no TensorFlow or Keras name that is neither rewritten nor marked.
"""

from __future__ import annotations

import importlib.util
import traceback
from collections import defaultdict
from pathlib import Path

import pytest

import tfport
from tests.audit import audit

ROOT = Path(__file__).resolve().parent.parent
DEEP = {"layers", "backend", "applications"}  # large: one test per folder below
SHOWN = 25


def installed(package: str) -> Path:
    """The folder of an installed package, which is not imported."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None, (
        f"{package} is not installed: pip install -e '.[dev,tf]'"
    )
    return Path(spec.origin).parent


def by_folder() -> dict[str, list[Path]]:
    """Name of a test -> its files; every Python file of the three sources is in exactly one."""
    groups: dict[str, list[Path]] = defaultdict(list)
    keras, slim = installed("keras") / "src", installed("tf_slim")
    for name, top in (("keras", keras), ("tf_slim", slim), ("fixtures", ROOT / "fixtures")):
        for path in sorted(top.rglob("*.py")):
            parts = path.relative_to(top).parts[:-1]
            depth = 2 if parts and parts[0] in DEEP else 1
            groups["/".join((name, *parts[:depth]))].append(path)
    return groups


GROUPS = by_folder()


def broken_invariants(path: Path) -> list[str]:
    """What the conversion of one file breaks, a line each."""
    text = path.read_text(encoding="utf-8")
    try:
        once = tfport.convert_source(text).code
        twice = tfport.convert_source(once).code
    except (
        Exception
    ) as error:  # any exception is the finding: a crash, to be listed with those of other files
        where = traceback.extract_tb(error.__traceback__)[-1]
        return [f"crash: {type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"]
    found = audit(text, once)
    if twice != once:
        pairs = enumerate(zip(once.splitlines(), twice.splitlines()), 1)
        line = next((f"line {n}: {a!r} -> {b!r}" for n, (a, b) in pairs if a != b), "at the end")
        found.append(f"the second run changes the output: {line}")
    return found


@pytest.mark.parametrize("folder", GROUPS)
def test_invariants(folder: str) -> None:
    broken = [f"{path.name}: {line}" for path in GROUPS[folder] for line in broken_invariants(path)]
    assert not broken, f"{len(broken)} broken in {folder}:\n" + "\n".join(broken[:SHOWN])


def test_the_sources_are_all_there() -> None:
    count = {name: sum(len(p) for g, p in GROUPS.items() if g.split("/")[0] == name) for name in
             ("keras", "tf_slim", "fixtures")}  # fmt: skip
    assert count["keras"] > 500 and count["tf_slim"] > 50 and count["fixtures"] >= 10, count
