"""Places of expressions inside f-strings.

Before Python 3.12 ``ast`` gives nodes inside an f-string positions that are relative or plainly wrong. `relocate`
finds every replacement field in the text and gives its nodes their true positions.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tfport.source.nodes import every

if TYPE_CHECKING:
    from tfport.source.text import Source

OPENING, CLOSING = "([{", ")]}"


def relocate(source: Source) -> None:
    """Correct the positions of all nodes inside f-strings; nothing to do from Python 3.12 on."""
    if sys.version_info >= (3, 12):
        return
    inner: set[ast.AST] = set()
    for node in every(source.tree):
        if isinstance(node, ast.JoinedStr) and node not in inner:
            inner.update(n for n in ast.walk(node) if isinstance(n, ast.JoinedStr))
            _relocate(source, node)


def _relocate(source: Source, node: ast.JoinedStr) -> None:
    start, end = source.span(node)
    places = list(_places(source.text[start:end], start))
    values = [v.value for v in fields(node)]
    if len(places) != len(values):
        return
    for (begin, stop), value in zip(places, values, strict=True):
        text = source.text[begin:stop]
        lead = len(text) - len(text.lstrip())
        parsed = ast.parse(f"({text.strip()}\n)", mode="eval").body
        _copy_positions(source, parsed, value, text.strip(), begin + lead)


def fields(node: ast.JoinedStr) -> Iterator[ast.FormattedValue]:
    """Replacement fields in the order of the text, those of a format specification after their field."""
    for value in node.values:
        if isinstance(value, ast.FormattedValue):
            yield value
            if isinstance(value.format_spec, ast.JoinedStr):
                yield from fields(value.format_spec)


LOCATED = (ast.expr, ast.keyword, ast.arg)  # the nodes of an expression that have a position


def _copy_positions(source: Source, parsed: ast.AST, target: ast.AST, text: str, base: int) -> None:
    """Give the nodes of ``target`` the places that the same expression has at ``base`` of the file."""
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)

    def place(line: int, column: int) -> tuple[int, int]:
        if line > len(lines):  # a bare tuple takes the parentheses for its own
            line, column = len(lines), len(lines[-1].encode())
        elif line == 1:
            column = max(column - 1, 0)  # the parenthesis
        characters = len(lines[line - 1].encode()[:column].decode())
        offset = base + starts[line - 1] + characters
        at = source.offset_line(offset)
        return at, len(source.text[source.starts[at - 1] : offset].encode())

    for new, old in zip(ast.walk(parsed), ast.walk(target), strict=True):
        if isinstance(new, LOCATED) and isinstance(old, LOCATED):
            old.lineno, old.col_offset = place(new.lineno, new.col_offset)
            old.end_lineno, old.end_col_offset = place(new.end_lineno, new.end_col_offset)  # type: ignore[arg-type]


def _places(text: str, base: int) -> Iterator[tuple[int, int]]:
    """Offsets of the expressions in every f-string literal of an implicit concatenation."""
    lines = ["(" + text, ")"]
    joined = "\n".join(lines)
    starts = [0]
    for line in joined.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    for token in tokenize.generate_tokens(io.StringIO(joined).readline):
        if token.type != tokenize.STRING:
            continue
        prefix = token.string[: len(token.string) - len(token.string.lstrip("rRbBfFuU"))]
        if "f" not in prefix.lower():
            continue
        at = starts[token.start[0] - 1] + token.start[1] - 1 + base
        quote = 3 if token.string[len(prefix) :][:3] in ('"""', "'''") else 1
        begin = len(prefix) + quote
        yield from _replacements(token.string, begin, len(token.string) - quote, at)


def _replacements(text: str, begin: int, end: int, base: int) -> Iterator[tuple[int, int]]:
    i = begin
    while i < end:
        if text.startswith(("{{", "}}"), i):
            i += 2
        elif text[i] == "{":
            stop, after = _expression_end(text, i + 1, end)
            yield base + i + 1, base + stop
            if text[after] == ":":
                close = _matching(text, after + 1, end)
                yield from _replacements(text, after + 1, close, base)
                after = close
            i = after + 1
        else:
            i += 1


def _expression_end(text: str, start: int, end: int) -> tuple[int, int]:
    """Where an expression ends, and where its ``:`` or ``}`` stands; ``=`` and ``!r`` are left out."""
    depth, i, quote = 0, start, ""
    stop = -1
    while i < end:
        c = text[i]
        if quote:
            if text.startswith(quote, i):
                i += len(quote) - 1
                quote = ""
        elif c in "\"'":
            quote = text[i : i + 3] if text[i : i + 3] in ('"""', "'''") else c
            i += len(quote) - 1
        elif c in OPENING:
            depth += 1
        elif c in CLOSING and depth:
            depth -= 1
        elif depth == 0 and c == "!" and text[i + 1] != "=":
            stop = i
        elif depth == 0 and c in ":}":
            stop = i if stop < 0 else stop
            expression = text[start:stop].rstrip()
            if expression.endswith("=") and not expression.endswith(("==", "!=", "<=", ">=")):
                stop = start + len(expression) - 1
            return stop, i
        i += 1
    return end, end


def _matching(text: str, start: int, end: int) -> int:
    """The ``}`` that closes a format specification."""
    depth = 0
    for i in range(start, end):
        if text[i] == "{":
            depth += 1
        elif text[i] == "}":
            if depth == 0:
                return i
            depth -= 1
    return end


def requoted(text: str, literal: str) -> str | None:
    """New text for a replacement field without the quotes of its literal; None where that cannot be."""
    body = literal.lstrip("rRbBfFuU")
    quote = body[:3] if body[:3] in ('"""', "'''") else body[:1]
    other = "'" if quote[0] == '"' else '"'
    if "\\" in text or ("\n" in text and len(quote) == 1):
        return None
    if quote[0] not in text:
        return text
    return text.replace(quote[0], other) if other not in text else None
