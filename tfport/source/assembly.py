"""The edits of a file: what the walk has changed, removed, inserted and marked, with every comment kept."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tfport.source.text import Edit, Source

if TYPE_CHECKING:
    from tfport.source.convert import Walk

BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


class Assembly:
    """Makes the edits of a walk that is done."""

    def __init__(self, walk: Walk) -> None:
        self.walk, self.source, self.rewriter = walk, walk.source, walk.rewriter

    def edits(self) -> list[Edit]:
        """All edits; none overlaps another, and insertions at one place stand in their order."""
        found = [c.edit for c in self.rewriter.changes]
        found += self._comments() + self._insertions() + self._marks() + self._removals()
        return found + self._dedents(found)

    def _removals(self) -> list[Edit]:
        edits = []
        for statement, instead in self.walk.removed.items():
            first, last = self.source.first_line(statement), statement.end_lineno or statement.lineno
            start, end = self.source.span(statement)
            line = self.source.lines[first - 1]
            if getattr(statement, "decorator_list", []):
                start = min(start, self.source.starts[first - 1] + len(line) - len(line.lstrip()))
            indent = self.source.indent(first)
            alone = self.source.stands_alone(statement)
            tail = self.source.text[end : self.source.starts[last] - 1]
            text = instead.replace(
                "\n", "\n" + indent if alone and not tail.lstrip().startswith(";") else "; "
            )
            if not text and (not self._leaves_block(statement) or not alone or tail.lstrip().startswith(";")):
                text = "pass"
            if text or tail.strip():
                end += len(tail) - len(tail.lstrip()) if not text else 0
                edits.append(Edit(start, end, text))
            else:
                edits.append(
                    Edit(
                        self.source.starts[first - 1],
                        min(self.source.starts[last], len(self.source.text)),
                        "",
                    )
                )
        return edits

    def _leaves_block(self, statement: ast.stmt) -> bool:
        """Whether the block of a removed statement keeps another one, or may be empty."""
        parent = self.rewriter.names.parent.get(statement)
        if parent is None or isinstance(parent, ast.Module):
            return True
        for field in ("body", "orelse", "finalbody"):
            block = getattr(parent, field, None)
            if isinstance(block, list) and statement in block:
                staying = [s for s in block if s not in self.walk.removed or self.walk.removed[s]]
                return bool(staying) or statement is not block[-1]
        return True

    def _marks(self) -> list[Edit]:
        edits = []
        for statement, found in self.rewriter.marks.items():
            line = self._line_above(statement)
            indent = self.source.indent(line)
            present = self._comment_lines_above(line)
            text = "".join(f"{indent}{f.mark()}\n" for f in found if f.mark() not in present)
            edits.append(Edit(self.source.starts[line - 1], self.source.starts[line - 1], text))
        return edits

    def _comment_lines_above(self, line: int) -> set[str]:
        found = set()
        while line > 1 and self.source.lines[line - 2].lstrip().startswith("#"):
            line -= 1
            found.add(self.source.lines[line - 1].strip())
        return found

    def _line_above(self, statement: ast.AST) -> int:
        """The line above which comments of a statement go: its own, or that of what it shares a line with."""
        at, parents = statement, self.rewriter.names.parent
        while not isinstance(at, ast.Module) and not self.source.stands_alone(at):
            parent = parents[at]
            block = next((b for f in BLOCKS if at in (b := getattr(parent, f, None) or [])), [])
            index = block.index(at) if block else 0
            if index:
                at = block[index - 1]
            elif block is getattr(parent, "body", None) and hasattr(parent, "lineno"):
                at = parent
            else:  # `else: f()` and its like
                break
        return self.source.logical_line(self.source.first_line(at))

    def _insertions(self) -> list[Edit]:
        return [_insertion(statement, self.source, text) for statement, text in self.walk.before]

    def _comments(self) -> list[Edit]:
        """Comments inside replaced text move above their statement, so that none is lost."""
        comments = self.source.comments()
        edits = []
        places = [(c.edit.start, c.edit.end, c.edit.text, c.statement) for c in self.rewriter.changes]
        places += [(*self.source.span(s), text, s) for s, text in self.walk.removed.items()]
        for start, end, text, statement in places:
            if start == end:
                continue
            lost = [
                c
                for at, stop, c in comments
                if start <= at
                and stop <= end
                and c not in text
                and self.source.offset_line(at) not in self.walk.kept_lines
            ]
            if lost:
                line = self._line_above(statement)
                indent = self.source.indent(line)
                where = self.source.starts[line - 1]
                edits.append(Edit(where, where, "".join(f"{indent}{c}\n" for c in lost)))
        return edits

    def _dedents(self, edits: Sequence[Edit]) -> list[Edit]:
        """The indentation that moved blocks lose, where no other edit replaces the line's beginning."""
        found = []
        for line, columns in self.source.dedented.items():
            start = self.source.starts[line - 1]
            if not any(e.start < start + columns and start < e.end for e in edits):
                found.append(Edit(start, start + columns, ""))
        return found


def _insertion(statement: ast.AST, source: Source, text: str) -> Edit:
    """Lines above a statement, at its indentation."""
    line = source.first_line(statement)
    indent = source.indent(line)
    block = "".join(f"{indent}{part}\n" if part else "\n" for part in text.rstrip("\n").split("\n"))
    where = source.starts[line - 1]
    return Edit(where, where, block)
