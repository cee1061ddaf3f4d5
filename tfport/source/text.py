"""Source text as a tree with places: spans of nodes, comments, and the splicing of new text into old."""

from __future__ import annotations

import ast
import bisect
import dataclasses
import io
import tokenize
from collections.abc import Iterable, Iterator, Mapping

from tfport.source.fstrings import relocate


@dataclasses.dataclass(frozen=True)
class Fragment:
    """New text of an expression, with how tightly it binds (``precedence`` as in `PRECEDENCE`)."""

    text: str
    precedence: int = 20


ATOM = 20
OPERATORS = (ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp)
PRECEDENCE: dict[type, int] = {
    ast.NamedExpr: 0, ast.Tuple: 1, ast.Yield: 1, ast.YieldFrom: 1, ast.Lambda: 2, ast.IfExp: 3, ast.Or: 4,
    ast.And: 5, ast.Not: 6, ast.Compare: 7, ast.BitOr: 8, ast.BitXor: 9, ast.BitAnd: 10, ast.LShift: 11,
    ast.RShift: 11, ast.Add: 12, ast.Sub: 12, ast.Mult: 13, ast.Div: 13, ast.FloorDiv: 13, ast.Mod: 13,
    ast.MatMult: 13, ast.UAdd: 14, ast.USub: 14, ast.Invert: 14, ast.Pow: 15, ast.Await: 16,
}  # fmt: skip


def precedence(node: ast.AST) -> int:
    """How tightly the outermost operator of an expression binds; atoms, calls and subscripts are `ATOM`."""
    if isinstance(node, ast.BinOp | ast.UnaryOp | ast.BoolOp):
        return PRECEDENCE[type(node.op)]
    if (
        isinstance(node, ast.Constant)
        and isinstance(node.value, int | float)
        and not isinstance(node.value, bool)
    ):
        return ATOM - 1  # `1.real` needs parentheses
    return PRECEDENCE.get(type(node), ATOM)


def required(parent: ast.AST, field: str, child: ast.AST) -> int:
    """The least precedence that ``child`` needs at this place of ``parent`` to stand without parentheses."""
    if isinstance(parent, ast.Attribute | ast.Subscript) and field == "value":
        return ATOM
    if isinstance(parent, ast.Call) and field == "func":
        return ATOM - 1
    if isinstance(parent, ast.BinOp):
        own = PRECEDENCE[type(parent.op)]
        tighter = (field == "right") != isinstance(parent.op, ast.Pow)
        return own + tighter
    if isinstance(parent, ast.UnaryOp | ast.BoolOp):
        return PRECEDENCE[type(parent.op)] + isinstance(parent, ast.BoolOp)
    if isinstance(parent, ast.Compare):
        return PRECEDENCE[ast.Compare] + 1
    if isinstance(parent, ast.IfExp):
        return PRECEDENCE[ast.IfExp] + (field != "orelse")
    if isinstance(parent, ast.Starred | ast.Await):
        return PRECEDENCE[ast.BitOr]
    if isinstance(parent, ast.comprehension):
        return PRECEDENCE[ast.Or]
    if isinstance(parent, ast.stmt):
        return 0 if isinstance(parent, ast.Expr) else 1
    if isinstance(parent, ast.Subscript):
        return 1
    return PRECEDENCE[ast.Lambda]


def parenthesised(fragment: Fragment, least: int) -> str:
    """The fragment's text, in parentheses where it binds less tightly than its place needs."""
    return f"({fragment.text})" if fragment.precedence < least else fragment.text


def is_bracketed(text: str) -> bool:
    """Whether every line break of an expression's text stands inside brackets or a string."""
    if "\n" not in text:
        return True
    try:
        ast.parse(text.strip(), mode="eval")
    except SyntaxError:
        return False
    return True


class Source:
    """A parsed Python file: the tree, and every node's place in the text as character offsets."""

    def __init__(self, text: str, tree: ast.Module | None = None) -> None:
        self.text = text
        self.tree = tree if tree is not None else ast.parse(text)
        self.lines = text.split("\n")
        self._ascii = text.isascii()
        starts = [0]
        for line in self.lines:
            starts.append(starts[-1] + len(line) + 1)
        self.starts = starts
        self._comments: list[tuple[int, int, str]] | None = None
        relocate(self)
        self.dedented: dict[int, int] = {}  # 1-based line -> columns that its block moves to the left

    def offset(self, line: int, column: int) -> int:
        """Character offset of ast's 1-based line and UTF-8 byte column."""
        if self._ascii:
            return self.starts[line - 1] + column
        return self.starts[line - 1] + len(self.lines[line - 1].encode()[:column].decode())

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Character offsets of the first character of a node and the one after its last."""
        return (
            self.offset(node.lineno, node.col_offset),  # type: ignore[attr-defined]
            self.offset(node.end_lineno, node.end_col_offset),  # type: ignore[attr-defined]
        )

    def segment(self, node: ast.AST) -> str:
        """The text of a node as it stands."""
        start, end = self.span(node)
        return self.text[start:end]

    def first_line(self, stmt: ast.AST) -> int:
        """The first line of a statement, decorators included."""
        decorators = getattr(stmt, "decorator_list", [])
        return min([stmt.lineno, *(d.lineno for d in decorators)])  # type: ignore[attr-defined]

    def precedence(self, node: ast.AST) -> int:
        """As `precedence`; a tuple in its own parentheses is an atom."""
        if not isinstance(node, ast.Tuple):
            return precedence(node)
        text = self.segment(node)
        if not text.startswith("("):
            return precedence(node)
        return (
            ATOM
            if isinstance(ast.parse(f"({text}\n[0])", mode="eval").body, ast.Subscript)
            else precedence(node)
        )

    def required(self, parent: ast.AST, field: str, child: ast.AST) -> int:
        """As `required`; no more than the child has now, and nothing where it stands in parentheses of its own."""
        if isinstance(parent, OPERATORS) or field == "value":
            start, end = self.span(child)
            if self.text[:start].rstrip()[-1:] == "(" and self.text[end:].lstrip()[:1] == ")":
                return 0
        return min(required(parent, field, child), self.precedence(child))

    def stands_alone(self, stmt: ast.AST) -> bool:
        """Whether nothing but white space (and its decorators' ``@``) stands before a statement on its logical line."""
        line = self.first_line(stmt)
        decorated = bool(getattr(stmt, "decorator_list", []))
        before = self.lines[line - 1] if decorated else self.text[self.starts[line - 1] : self.span(stmt)[0]]
        return (not before.strip() or before.lstrip().startswith("@")) and self.logical_line(line) == line

    def has_line_to_itself(self, stmt: ast.stmt) -> bool:
        """Whether no other statement stands on the lines of this one."""
        last = stmt.end_lineno or stmt.lineno
        return self.stands_alone(stmt) and not self.text[
            self.span(stmt)[1] : self.starts[last]
        ].lstrip().startswith(";")

    def logical_line(self, line: int) -> int:
        """The first of the lines that backslashes join to a 1-based line."""
        while line > 1 and self.lines[line - 2].endswith("\\"):
            line -= 1
        return line

    def indent(self, line: int) -> str:
        """White space at the beginning of a 1-based line."""
        content = self.lines[line - 1]
        return content[self.dedented.get(line, 0) : len(content) - len(content.lstrip())]

    def offset_line(self, offset: int) -> int:
        """The 1-based line of a character offset."""
        return bisect.bisect_right(self.starts, offset)

    def comments(self) -> list[tuple[int, int, str]]:
        """Every comment: start offset, end offset, text."""
        if self._comments is None:
            self._comments = self._read_comments() if "#" in self.text else []
        return self._comments

    def _read_comments(self) -> list[tuple[int, int, str]]:
        found = []
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type == tokenize.COMMENT:
                start = self.starts[token.start[0] - 1] + token.start[1]
                found.append((start, start + len(token.string), token.string))
        return found


@dataclasses.dataclass(frozen=True)
class Edit:
    """Replace the text between two offsets."""

    start: int
    end: int
    text: str


def apply(text: str, edits: Iterable[Edit], base: int = 0) -> str:
    """The text with the edits made; they must not overlap. Insertions at one place keep their order."""
    pieces, at = [], 0
    for edit in sorted(edits, key=lambda e: (e.start, e.end)):
        pieces.append(text[at : edit.start - base])
        pieces.append(edit.text)
        at = edit.end - base
    pieces.append(text[at:])
    return "".join(pieces)


def children(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """The direct children of a node with the field in which each stands."""
    for field in node._fields:
        value = getattr(node, field, None)
        if isinstance(value, ast.AST):
            yield field, value
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, ast.AST):
                    yield field, item


def spaced(text: str, start: int, end: int, new: str) -> str:
    """New text for a place, with a space where it would run into a neighbour: ``f(x)for x in y``."""
    before, after = text[start - 1 : start], text[end : end + 1]
    left = " " if _in_word(before) and _in_word(new[:1]) else ""
    return left + new + (" " if _in_word(after) and (_in_word(new[-1:]) or new.endswith(".")) else "")


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def splice(source: Source, node: ast.AST, replaced: Mapping[ast.AST, Fragment]) -> Fragment:
    """A node's text with some of its direct or inner children replaced, parenthesised as their places need."""
    start, end = source.span(node)
    edits = []

    def descend(parent: ast.AST) -> None:
        for field, child in children(parent):
            if child in replaced:
                begin, stop = source.span(child)
                new = parenthesised(replaced[child], source.required(parent, field, child))
                edits.append(Edit(begin, stop, spaced(source.text, begin, stop, new)))
            elif not isinstance(child, ast.expr_context | ast.operator):
                descend(child)

    descend(node)
    return Fragment(apply(source.text[start:end], edits, start), source.precedence(node))
