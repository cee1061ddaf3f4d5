"""From TensorFlow source to PyTorch source: text -> module -> names -> facts -> rewrites -> text and findings."""

from __future__ import annotations

import ast
import contextlib
import gc
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tfport.source import (
    api_names,
    identity,
    mixed,
    model_calls,
    operators,
    rulebook,
    sessions,
    statements,
    training,
    variables,
)
from tfport.source.assembly import Assembly
from tfport.source.canonical import Canonical
from tfport.source.findings import CODES, Conversion, Finding, Tiers
from tfport.source.import_lines import ImportLines
from tfport.source.models import builder, nested, sequential, subclass
from tfport.source.names import Names, mentions_tensorflow
from tfport.source.rewrite import Rewriter
from tfport.source.rulebook import Rulebook
from tfport.source.text import Source, apply

LAYOUTS = ("nchw", "nhwc")


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
        self.nested: frozenset[ast.AST] = frozenset()  # calls that make models which other models call
        self.sessions = self.rewriter.sessions = sessions.prepare(self)

    def run(self) -> str:
        """The converted text."""
        subclass.subclasses(self)
        self.nested = nested.called_on_symbols(self)
        self._models(self.source.tree.body, self.source.tree)
        self.rewriter.models = model_calls.prepare(self)
        self.rewriter.tapes = training.prepare(self)
        mixed.prepare(self.rewriter)
        operators.prepare(self.rewriter)
        variables.prepare(self.rewriter)
        identity.prepare(self.rewriter)
        self.body(self.source.tree.body)
        ImportLines(self).rewrite()
        code = apply(self.source.text, Assembly(self).edits())
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


def _is_comment(line: str, indent: str) -> bool:
    """Whether a line is a comment that stands at least as far in as a block."""
    return line.startswith(indent) and line.lstrip().startswith("#")
