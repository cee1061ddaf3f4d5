"""Tests that the documentation tells the truth: the README's before/after is the tool's output, every code is explained."""

from __future__ import annotations

import re
from pathlib import Path

import tfport
from tfport.source.findings import CODES


def blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_before_and_after_are_what_the_tool_writes(root: Path) -> None:
    text = (root / "README.md").read_text()
    before, after = blocks(text[text.index("## Before and after") :])[:2]
    assert tfport.convert_source(before).code == after


def test_the_page_of_marks_explains_every_code(root: Path) -> None:
    page = (root / "docs" / "marks.md").read_text()
    assert set(re.findall(r"TFP\d{3}", page)) == set(CODES)


def test_the_example_rule_of_contributing_is_a_rule(root: Path) -> None:
    """The rule that CONTRIBUTING.md shows stands in the rules, word for word."""
    [example] = [b for b in blocks((root / "CONTRIBUTING.md").read_text()) if "@rule(" in b]
    body = example[example.index("@rule(") :].strip()
    assert any(body in path.read_text() for path in (root / "rules").glob("*.py"))
