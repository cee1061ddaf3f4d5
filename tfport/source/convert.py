"""From TensorFlow source to PyTorch source: text -> module -> names -> facts -> rewrites -> text and findings."""

from __future__ import annotations

import ast
import contextlib
import gc
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tfport.source import api_names, mixed, model_calls, rulebook, sessions, statements, training
from tfport.source.canonical import Canonical
from tfport.source.findings import CODES, Conversion, Finding, Tiers
from tfport.source.models import builder, sequential, subclass
from tfport.source.names import Ambiguous, Names, mentions_tensorflow
from tfport.source.rewrite import Rewriter
from tfport.source.rulebook import Rulebook
from tfport.source.text import Edit, Source, apply

LAYOUTS = ("nchw", "nhwc")
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


class ConversionError(Exception):
    """The converter itself failed on this file; the input is left as it is."""


def convert_source(
    text: str,
    *,
    layout: str = "nchw",
    path: str | Path | None = None,
    rules: Sequence[str] = (),
    version: int | None = None,
) -> Conversion:
    """Convert one file's text.

    ``path`` names the file in findings and tells its package (for relative imports inside Keras); ``rules`` are
    folders with further rules; ``version`` says 1 or 2 where the text does not. Raises SyntaxError for what is not
    Python 3, ValueError for an unknown layout.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout {layout!r} is not known; choose nchw or nhwc")
    if not mentions_tensorflow(text):
        return untouched(text, path)
    with _without_collector():
        return _converted(text, layout, path, rules, version)


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """The cyclic collector off: it would walk every node of the trees again and again and free none of them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _converted(
    text: str, layout: str, path: str | Path | None, rules: Sequence[str], version: int | None
) -> Conversion:
    bom, plain = ("\ufeff", text[1:]) if text.startswith("\ufeff") else ("", text)
    newline = "\r\n" if "\r\n" in text else "\n"
    plain = plain.replace("\r\n", "\n")
    source = Source(plain)
    book = rulebook.load(tuple(str(r) for r in rules))
    names = Names(source.tree, package_of(path), lambda base: exported(base, book))
    if not uses_tensorflow(names):
        return untouched(text, path)
    walk = Walk(source, names, book, layout, version, path)
    code = walk.run()
    record = walk.record
    record |= {
        "version": 1,
        "source": Path(path).name if path else "",
        "source_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "layout": layout,
        "tiers": walk.rewriter.tiers.counts(),
        "marks": [
            {"code": f.code, "api": f.api, "line": f.line} for f in walk.findings() if f.level == "mark"
        ],
    }
    if newline == "\r\n":
        code = code.replace("\n", "\r\n")
    code = bom + code
    return Conversion(code, tuple(walk.findings()), walk.rewriter.tiers, record, code != text)


def untouched(text: str, path: str | Path | None) -> Conversion:
    """A file that does not use TensorFlow, as it is."""
    note = Finding("TFP301", "note", 1, 1, "", CODES["TFP301"])
    return Conversion(text, (note,), Tiers(), {}, False)


def uses_tensorflow(names: Names) -> bool:
    """Whether any scope imports from TensorFlow, Keras or a companion."""
    scopes = {id(s): s for s in [names.module, *names.scope_of.values()]}
    return bool(names.stars) or any(
        b.imported is not None for s in scopes.values() for bindings in s.bindings.values() for b in bindings
    )


def exported(base: str, book: Rulebook) -> frozenset[str]:
    """The names that ``from base import *`` brings: TensorFlow's public ones and those that have rules."""
    return api_names.of(base) | book.below(base)


def package_of(path: str | Path | None) -> str:
    """The dotted package of a file, by the ``__init__.py`` files above it; empty for a script."""
    if path is None:
        return ""
    folder = Path(path).resolve().parent
    parts: list[str] = []
    while (folder / "__init__.py").is_file() and folder.name:
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts)


class Walk:
    """One conversion: visits every statement, then puts imports, marks and kept comments in their places."""

    def __init__(self, source: Source, names: Names, book: Rulebook, layout: str, version: int | None,
                 path: str | Path | None = None) -> None:  # fmt: skip
        self.source = source
        self.path = path
        self.layout = layout
        self.rewriter = Rewriter(source, names, book, version, path)
        self.rewriter.layout = layout
        self.imports: list[ast.stmt] = []
        self.removed: dict[ast.stmt, str] = {}  # statement -> text that stays
        self.skip: set[ast.AST] = set()
        self.before: list[tuple[ast.AST, str]] = []  # text to insert above a statement
        self.record: dict = {"models": {}, "arguments": [], "results": []}
        self.kept_lines: set[int] = set()  # lines whose comments were written elsewhere
        self.models: dict[str, list[str]] = {}  # class made of a model -> layouts of its inputs
        self.keras_classes: set[ast.AST] = set()
        self.kept_classes: dict[ast.AST, str] = {}  # Keras classes that stay as they are, and why
        self.constructed: dict[ast.AST, str] = {}  # model call -> the class that it became
        self.sessions = self.rewriter.sessions = sessions.prepare(self)

    def run(self) -> str:
        """The converted text."""
        subclass.subclasses(self)
        self._models(self.source.tree.body, self.source.tree)
        self.rewriter.models = model_calls.prepare(self)
        self.rewriter.tapes = training.prepare(self)
        mixed.prepare(self.rewriter)
        self.body(self.source.tree.body)
        self._take_out_imports()
        self._prune(self.source.tree)
        self._insert_imports()
        edits = [c.edit for c in self.rewriter.changes]
        edits += self._comments() + self._insertions() + self._marks() + self._removals()
        edits += self._dedents(edits)
        code = apply(self.source.text, edits)
        try:
            ast.parse(code)
        except SyntaxError as error:
            raise ConversionError(
                f"the converted text does not parse (line {error.lineno}): {error.msg}"
            ) from error
        return code

    def findings(self) -> list[Finding]:
        """Marks and notes in the order of their lines."""
        marks = [m for group in self.rewriter.marks.values() for m in group]
        return sorted([*marks, *self.rewriter.findings], key=lambda f: (f.line, f.column, f.api))

    # -- statements --------------------------------------------------------------------------------------

    def body(self, stmts: Iterable[ast.stmt]) -> None:
        """Walk the statements of a block."""
        for statement in stmts:
            self.statement(statement)

    def statement(self, statement: ast.stmt) -> None:
        """Walk one statement with the blocks inside it."""
        if statement in self.removed or statement in self.skip:
            return
        self.rewriter.statement = statement
        for handler in statements.HANDLERS:
            if handler(self, statement):
                return
            self.rewriter.statement = statement
        self.rewriter.rewrite_expressions(statement, frozenset(self.skip))
        self.blocks(statement)

    def blocks(self, statement: ast.stmt) -> None:
        """Walk the blocks inside a compound statement."""
        self.body(getattr(statement, "body", []))
        for handler in [*getattr(statement, "handlers", []), *getattr(statement, "cases", [])]:
            self.rewriter.statement = handler if hasattr(handler, "lineno") else statement
            self.rewriter.rewrite_expressions(handler)
            self.body(handler.body)
        self.body(getattr(statement, "orelse", []))
        self.body(getattr(statement, "finalbody", []))

    def is_namespace(self, meaning: Canonical) -> bool:
        """Whether a canonical name is a module: known rules lie below it and it has none itself, or it is public as one."""
        book = self.rewriter.book
        if book.knows(meaning.name):
            return False
        return (
            book.is_namespace(meaning.name)
            or meaning.name in ("tf", "tf.keras")
            or api_names.is_module(meaning.name)
        )

    def remove(self, statement: ast.stmt, instead: str = "") -> None:
        """Take a statement out; ``pass`` stays where its block would be empty."""
        self.removed[statement] = instead

    def remove_lines(self, node: ast.AST, owner: ast.AST) -> None:
        """Take out whole lines that hold a node, such as a decorator with its ``@``."""
        first, last = node.lineno, node.end_lineno  # type: ignore[attr-defined]
        end = min(self.source.starts[last], len(self.source.text))
        self.rewriter.change(self.source.starts[first - 1], end, "", owner)

    def dedent(self, statement: ast.With) -> None:
        """Take out the header of a block and move its body to the header's indentation."""
        first, last = self.source.first_line(statement.body[0]), statement.end_lineno or statement.lineno
        if not self.source.stands_alone(statement.body[0]):  # with tf.Session() as sess: print(sess.run(x))
            self.rewriter.change(
                self.source.span(statement)[0], self.source.span(statement.body[0])[0], "", statement
            )
            self.body(statement.body)
            return
        self.rewriter.change(
            self.source.starts[statement.lineno - 1], self.source.starts[first - 1], "", statement
        )
        columns = len(self.source.lines[first - 1]) - len(self.source.lines[first - 1].lstrip())
        columns -= len(self.source.lines[statement.lineno - 1]) - len(
            self.source.lines[statement.lineno - 1].lstrip()
        )
        frozen = {
            line
            for node in ast.walk(statement)
            if isinstance(node, ast.Constant | ast.JoinedStr)
            for line in range(node.lineno + 1, (node.end_lineno or node.lineno) + 1)
        }
        while last < len(self.source.lines) and _is_comment(
            self.source.lines[last], self.source.indent(first)
        ):
            last += 1
        for line in range(first, last + 1):
            content = self.source.lines[line - 1]
            if line not in frozen and content.strip():
                white = len(content) - len(content.lstrip())
                self.source.dedented[line] = min(white, self.source.dedented.get(line, 0) + columns)
        self.body(statement.body)

    def _dedents(self, edits: Sequence[Edit]) -> list[Edit]:
        """The indentation that moved blocks lose, where no other edit replaces the line's beginning."""
        found = []
        for line, columns in self.source.dedented.items():
            start = self.source.starts[line - 1]
            if not any(e.start < start + columns and start < e.end for e in edits):
                found.append(Edit(start, start + columns, ""))
        return found

    def insert_before(self, statement: ast.AST, text: str) -> None:
        """Put lines above a statement, at its indentation."""
        self.before.append((statement, text))

    # -- models ------------------------------------------------------------------------------------------

    def _models(self, stmts: list[ast.stmt], owner: ast.AST) -> None:
        """Keras models that can be written as classes, before the walk sees their statements."""
        builder.functional(self, stmts, owner)
        sequential.sequential(self, stmts, owner)
        for statement in stmts:
            if statement in self.keras_classes:
                continue  # written already; or its call() is in TensorFlow's layout, and so are the models inside
            inner = statement if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) else owner
            for field in ("body", "orelse", "finalbody"):
                self._models(getattr(statement, field, []), inner)

    def insert_class(self, statement: ast.AST, text: str) -> None:
        """Put a class above the top-level statement that holds ``statement``, and above the comments that lead it."""
        top = statement
        while not isinstance(self.rewriter.names.parent[top], ast.Module):
            top = self.rewriter.names.parent[top]
        line = self.source.first_line(top)
        while line > 1 and self.source.lines[line - 2].startswith("#"):
            line -= 1
        where = self.source.starts[line - 1]
        self.rewriter.change(where, where, f"{text}\n\n\n", top)

    def keep_comments(self, node: ast.AST) -> None:
        """The comments of a node stand elsewhere in the new text already."""
        above, _ = self.comments_of(node)
        first, last = node.lineno - len(above), node.end_lineno  # type: ignore[attr-defined]
        self.kept_lines.update(range(first, last + 1))

    def comments_of(self, node: ast.AST) -> tuple[tuple[str, ...], str]:
        """The comment lines directly above a node and the comment at the end of its last line."""
        lines, first, last = self.source.lines, node.lineno, node.end_lineno  # type: ignore[attr-defined]
        comments = {self.source.offset_line(start): text for start, _, text in self.source.comments()}
        above: list[str] = []
        at = first - 1
        while at >= 1 and at in comments and lines[at - 1].lstrip().startswith("#"):
            above.insert(0, comments[at])
            at -= 1
        inside = [comments[i] for i in range(first, last) if i in comments]
        return (*above, *inside), comments.get(last, "")

    # -- imports -----------------------------------------------------------------------------------------

    def _take_out_imports(self) -> None:
        for statement in self.imports:
            scope = self._scope(statement)
            kept = [k for k in [statements.kept_imports(statement)] if k]
            for name, shown in statements.imported_names(self, statement):
                if (self._owner(scope, name), name) in self.rewriter.stubs:
                    kept.append(f'{name} = {self.rewriter.imports.use("compat")}.unported("{shown}")')
            if isinstance(statement, ast.ImportFrom) and any(a.name == "*" for a in statement.names):
                kept += self._star_stubs(statement)
            self.remove(statement, "\n".join(dict.fromkeys(kept)))

    def _star_stubs(self, statement: ast.ImportFrom) -> list[str]:
        """Stubs for names that came by a star import and are still in use."""
        if statement is not self.rewriter.names.star_nodes[0]:
            return []
        compat, names = self.rewriter.imports, self.rewriter.names
        found = []
        for owner, name in sorted(self.rewriter.stubs, key=lambda s: s[1]):
            meaning = names.meaning(name, names.module) if owner is None else None
            shown = meaning.names[0] if isinstance(meaning, Ambiguous) else meaning.name if meaning else None
            if shown is not None:
                found.append(f'{name} = {compat.use("compat")}.unported("{shown}")')
        return found

    def _owner(self, scope: ast.AST, name: str) -> ast.AST | None:
        """The scope that a binding in ``scope`` belongs to, ``global`` and ``nonlocal`` minded."""
        names = self.rewriter.names
        owner = names.owner(name, names.scope_of.get(scope, names.module))
        return owner.node if owner else None

    def _scope(self, statement: ast.AST) -> ast.AST:
        at = self.rewriter.names.parent.get(statement)
        while at is not None and not isinstance(
            at, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module
        ):
            at = self.rewriter.names.parent.get(at)
        return at or self.source.tree

    def _prune(self, node: ast.AST) -> None:
        """Remove try and if statements of which nothing is left but the removed imports."""
        for field in ("body", "orelse", "finalbody", "handlers"):
            for inner in getattr(node, field, []):
                self._prune(inner)
        if not isinstance(node, ast.Try) or node.orelse or node.finalbody:
            return
        inside = [*node.body, *(s for h in node.handlers for s in h.body)]
        gone = [s for s in inside if s in self.removed]
        if gone and all(s in self.removed or isinstance(s, ast.Pass) or _is_none(s) for s in inside):
            kept = dict.fromkeys(line for s in gone for line in self.removed[s].split("\n") if line)
            self.removed[node] = "\n".join(kept)
            for s in gone:
                del self.removed[s]
            self.skip.update(inside)

    def _insert_imports(self) -> None:
        lines = self.rewriter.imports.lines()
        if not lines:
            return
        compat = self.rewriter.imports.use("compat") if self.rewriter.user_rules else ""
        for folder in sorted(self.rewriter.user_rules):
            beside = os.path.relpath(folder, Path(self.path).parent) if self.path else str(folder)
            lines.append(f"{compat}.load_rules({beside!r}, beside=__file__)".replace("'", '"'))
        top = self.source.tree.body
        place = next(
            (s for s in top if s in self.removed and s not in self.skip and self._was_import(s)), None
        )
        if place is not None:
            rest = self.removed[place]
            self.removed[place] = "\n".join([*lines, *([rest] if rest else [])])
            return
        index = 0
        while index < len(top) and _is_preamble(top[index], index):
            index += 1
        text = "\n".join(lines) + "\n"
        if index < len(top):
            self.rewriter.changes.append(_insertion(top[index], self.source, text))
        elif top:
            end = self.source.span(top[-1])[1]
            self.rewriter.change(end, end, "\n" + text.rstrip("\n"), top[-1])

    def _was_import(self, statement: ast.stmt) -> bool:
        return statement in self.imports or isinstance(statement, ast.Try)

    # -- putting together --------------------------------------------------------------------------------

    def _removals(self) -> list[Edit]:
        edits = []
        for statement, instead in self.removed.items():
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
                staying = [s for s in block if s not in self.removed or self.removed[s]]
                return bool(staying) or statement is not block[-1]
        return True

    def _marks(self) -> list[Edit]:
        edits = []
        for statement, found in self.rewriter.marks.items():
            line = self.line_above(statement)
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

    def line_above(self, statement: ast.AST) -> int:
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
        return [_insertion(statement, self.source, text).edit for statement, text in self.before]

    def _comments(self) -> list[Edit]:
        """Comments inside replaced text move above their statement, so that none is lost."""
        comments = self.source.comments()
        edits = []
        places = [(c.edit.start, c.edit.end, c.edit.text, c.statement) for c in self.rewriter.changes]
        places += [(*self.source.span(s), text, s) for s, text in self.removed.items()]
        for start, end, text, statement in places:
            if start == end:
                continue
            lost = [
                c
                for at, stop, c in comments
                if start <= at
                and stop <= end
                and c not in text
                and self.source.offset_line(at) not in self.kept_lines
            ]
            if lost:
                line = self.line_above(statement)
                indent = self.source.indent(line)
                where = self.source.starts[line - 1]
                edits.append(Edit(where, where, "".join(f"{indent}{c}\n" for c in lost)))
        return edits


def _insertion(statement: ast.AST, source: Source, text: str):  # type: ignore[no-untyped-def]
    from tfport.source.rewrite import Change

    line = source.first_line(statement)
    indent = source.indent(line)
    block = "".join(f"{indent}{part}\n" if part else "\n" for part in text.rstrip("\n").split("\n"))
    where = source.starts[line - 1]
    return Change(statement, Edit(where, where, block))


def _is_comment(line: str, indent: str) -> bool:
    """Whether a line is a comment that stands at least as far in as a block."""
    return line.startswith(indent) and line.lstrip().startswith("#")


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
