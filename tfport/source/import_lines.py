"""The import statements of a file: TensorFlow's go, the stubs that marked code needs and torch's come."""

from __future__ import annotations

import ast
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tfport.source import statements
from tfport.source.names import Ambiguous

if TYPE_CHECKING:
    from tfport.source.convert import Walk


class ImportLines:
    """Rewrites the imports when all else is written: only then it is known which names are in use."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk

    def rewrite(self) -> None:
        """Take out, prune and insert."""
        self.take_out()
        self.prune(self.walk.source.tree)
        self.insert()

    def take_out(self) -> None:
        """Remove them; names that marked code still uses become stubs."""
        for statement in self.walk.imports:
            scope = self._scope(statement)
            kept = [k for k in [statements.kept_imports(statement)] if k]
            for name, shown in statements.imported_names(self.walk, statement):
                if (self._owner(scope, name), name) in self.walk.rewriter.stubs:
                    kept.append(f'{name} = {self.walk.rewriter.imports.use("compat")}.unported("{shown}")')
            if isinstance(statement, ast.ImportFrom) and any(a.name == "*" for a in statement.names):
                kept += self._star_stubs(statement)
            self.walk.remove(statement, "\n".join(dict.fromkeys(kept)))

    def _star_stubs(self, statement: ast.ImportFrom) -> list[str]:
        """Stubs for names that came by a star import and are still in use."""
        if statement is not self.walk.rewriter.names.star_nodes[0]:
            return []
        compat, names = self.walk.rewriter.imports, self.walk.rewriter.names
        found = []
        for owner, name in sorted(self.walk.rewriter.stubs, key=lambda s: s[1]):
            meaning = names.meaning(name, names.module) if owner is None else None
            shown = meaning.names[0] if isinstance(meaning, Ambiguous) else meaning.name if meaning else None
            if shown is not None:
                found.append(f'{name} = {compat.use("compat")}.unported("{shown}")')
        return found

    def _owner(self, scope: ast.AST, name: str) -> ast.AST | None:
        """The scope that a binding in ``scope`` belongs to, ``global`` and ``nonlocal`` minded."""
        names = self.walk.rewriter.names
        owner = names.owner(name, names.scope_of.get(scope, names.module))
        return owner.node if owner else None

    def _scope(self, statement: ast.AST) -> ast.AST:
        at = self.walk.rewriter.names.parent.get(statement)
        while at is not None and not isinstance(
            at, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module
        ):
            at = self.walk.rewriter.names.parent.get(at)
        return at or self.walk.source.tree

    def prune(self, node: ast.AST) -> None:
        """Remove try and if statements of which nothing is left but the removed imports."""
        for field in ("body", "orelse", "finalbody", "handlers"):
            for inner in getattr(node, field, []):
                self.prune(inner)
        if not isinstance(node, ast.Try) or node.orelse or node.finalbody:
            return
        inside = [*node.body, *(s for h in node.handlers for s in h.body)]
        gone = [s for s in inside if s in self.walk.removed]
        if gone and all(s in self.walk.removed or isinstance(s, ast.Pass) or _is_none(s) for s in inside):
            kept = dict.fromkeys(line for s in gone for line in self.walk.removed[s].split("\n") if line)
            self.walk.removed[node] = "\n".join(kept)
            for s in gone:
                del self.walk.removed[s]
            self.walk.skip.update(inside)

    def insert(self) -> None:
        """Put in what the new text needs, at the place of the first import that went, or below the docstring."""
        lines = self.walk.rewriter.imports.lines()
        if not lines:
            return
        compat = self.walk.rewriter.imports.use("compat") if self.walk.rewriter.user_rules else ""
        for folder in sorted(self.walk.rewriter.user_rules):
            beside = os.path.relpath(folder, Path(self.walk.path).parent) if self.walk.path else str(folder)
            lines.append(f"{compat}.load_rules({beside!r}, beside=__file__)".replace("'", '"'))
        top = self.walk.source.tree.body
        place = next(
            (s for s in top if s in self.walk.removed and s not in self.walk.skip and self._was_import(s)),
            None,
        )
        if place is not None:
            rest = self.walk.removed[place]
            self.walk.removed[place] = "\n".join([*lines, *([rest] if rest else [])])
            return
        index = 0
        while index < len(top) and _is_preamble(top[index], index):
            index += 1
        text = "\n".join(lines) + "\n"
        if index < len(top):
            where = self.walk.source.starts[self.walk.source.first_line(top[index]) - 1]
            self.walk.rewriter.change(where, where, text, top[index])
        elif top:
            end = self.walk.source.span(top[-1])[1]
            self.walk.rewriter.change(end, end, "\n" + text.rstrip("\n"), top[-1])

    def _was_import(self, statement: ast.stmt) -> bool:
        return statement in self.walk.imports or isinstance(statement, ast.Try)


def _is_preamble(statement: ast.stmt, index: int) -> bool:
    if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
        return True
    return index == 0 and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_none(statement: ast.stmt) -> bool:
    """``tf = None`` in the except arm of an import."""
    return (
        isinstance(statement, ast.Assign)
        and isinstance(statement.value, ast.Constant)
        and statement.value.value is None
    )
