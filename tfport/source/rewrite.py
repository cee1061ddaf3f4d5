"""The walk: every expression that comes from TensorFlow is inlined, made a compat call, or marked."""

from __future__ import annotations

import ast
import contextlib
import copy
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

from tfport.source import (
    arrays,
    dtype_attributes,
    fstrings,
    identity,
    loops,
    mixed,
    model_calls,
    operators,
    sessions,
    shapes_of_tensors,
    slices,
    training,
    variables,
    version_text,
    versions,
)
from tfport.source.advice import advice
from tfport.source.calls import Calls
from tfport.source.canonical import Canonical
from tfport.source.choice import Choice
from tfport.source.findings import Finding, Tiers
from tfport.source.hits import find_hits
from tfport.source.imports import Imports
from tfport.source.inline import MODULES, Inliner
from tfport.source.models import boundary
from tfport.source.names import Ambiguous, Names
from tfport.source.rulebook import Rulebook
from tfport.source.sharing import Sharing
from tfport.source.text import (
    Edit,
    Fragment,
    Source,
    children,
    is_bracketed,
    parenthesised,
    precedence,
    spaced,
    splice,
)

Special = Callable[["Rewriter", ast.AST], "Fragment | None"]


@dataclasses.dataclass(frozen=True)
class Change:
    """A finding-bearing edit of one statement; ``statement`` is where its lost comments and marks go."""

    statement: ast.AST
    edit: Edit


class Rewriter:
    """Rewrites the expressions of one file; statement handlers use it for theirs."""

    def __init__(self, source: Source, names: Names, book: Rulebook, version: int | None = None,
                 path: str | Path | None = None) -> None:  # fmt: skip
        self.source, self.names, self.book = source, names, book
        self.imports = Imports(names)
        self.inliner = Inliner(self.imports.use)
        self.tiers = Tiers()
        self.changes: list[Change] = []
        self.marks: dict[ast.AST, list[Finding]] = {}
        self.findings: list[Finding] = []
        self.user_rules: set[Path] = set()  # folders of user rules that compat must load at run time
        self.stubs: set[tuple[ast.AST | None, str]] = set()
        self.hits = dict(find_hits(source.tree, names, book))
        version = version or versions.of_file(self.hits.values(), source)
        if version is None and path is not None:
            version = versions.of_neighbours(Path(path))
        self.choice = Choice(names, book, version)
        self.facts = self.choice.facts
        self.calls = Calls(self, self.choice)
        self.dirty = self._ancestors()
        self.statement: ast.AST = source.tree
        self.layout = "nchw"
        self.sessions: sessions.FetchOnly | None = None
        self.models: model_calls.ModelCalls | None = None
        self.arrays: mixed.Arrays | None = None
        self.tapes: training.Tapes | None = None
        self.operators: operators.Operators | None = None
        self.sharing: Sharing | None = None
        self.changed: frozenset[str] | None = None  # see `arrays.changed`
        self.compares_identity = False  # == of tensors, as in TensorFlow 1
        self.variables: variables.Variables | None = None
        self.overrides: dict[ast.AST, Fragment] = {}  # expressions whose new text is decided elsewhere
        loops.assume_tensors(source.tree, names, self.facts)
        for node in [
            *slices.backwards(source.tree, self.facts),
            *shapes_of_tensors.values(source.tree, self.facts),
            *dtype_attributes.of_tensors(source.tree, source.text, self.facts),
        ]:
            self.touch(node)

    def touch(self, node: ast.AST) -> None:
        """Make the walk look at a node that holds no TensorFlow name itself."""
        at: ast.AST | None = node
        while at is not None and at not in self.dirty:
            self.dirty.add(at)
            at = self.names.parent.get(at)

    def _ancestors(self) -> set[ast.AST]:
        dirty: set[ast.AST] = set()
        for node in self.hits:
            at: ast.AST | None = node
            while at is not None and at not in dirty:
                dirty.add(at)
                at = self.names.parent.get(at)
        return dirty

    @contextlib.contextmanager
    def attempt(self) -> Iterator[None]:
        """Undo what was asked for (imports, counts, marks) when the block raises."""
        needed, tiers = set(self.imports.needed), copy.deepcopy(self.tiers)
        marks, stubs = {k: list(v) for k, v in self.marks.items()}, set(self.stubs)
        try:
            yield
        except BaseException:
            self.imports.needed, self.tiers, self.marks, self.stubs = needed, tiers, marks, stubs
            raise

    # -- reporting ---------------------------------------------------------------------------------------

    def mark(self, node: ast.AST, code: str, api: str, message: str, what_to_do: str | None = None) -> None:
        """Put a mark above the current statement; the same one once."""
        finding = Finding(
            code, "mark", node.lineno, node.col_offset + 1, api, message,  # type: ignore[attr-defined]
            advice(api) if what_to_do is None else what_to_do,
        )  # fmt: skip
        self.tiers.unported[api] += 1
        present = self.marks.setdefault(self.statement, [])
        if all((m.code, m.api) != (finding.code, finding.api) for m in present):
            present.append(finding)
        self._need_stub(node)

    def note(self, node: ast.AST, code: str, api: str, message: str, what_to_do: str = "") -> None:
        """Report something that needs no mark."""
        line, column = node.lineno, node.col_offset + 1  # type: ignore[attr-defined]
        self.findings.append(Finding(code, "note", line, column, api, message, what_to_do))

    def note_once(self, node: ast.AST, code: str, api: str, message: str) -> None:
        """`note`, unless this place has it already."""
        line = node.lineno  # type: ignore[attr-defined]
        if all((f.code, f.api, f.line) != (code, api, line) for f in self.findings):
            self.note(node, code, api, message)

    def _need_stub(self, node: ast.AST) -> None:
        """The names below a marked expression stay in use: their imports become stubs."""
        for name in ast.walk(node):
            if (
                isinstance(name, ast.Name)
                and self.names.resolve(name) is not None
                and name in self.names.scope_of
            ):
                owner = self.names.owner(name.id, self.names.scope_of[name])
                self.stubs.add((owner.node if owner else None, name.id))

    def change(self, start: int, end: int, text: str, statement: ast.AST | None = None) -> None:
        """Replace the text between two offsets on behalf of a statement."""
        self.changes.append(Change(statement or self.statement, Edit(start, end, text)))

    # -- expressions -------------------------------------------------------------------------------------

    def is_dirty(self, node: ast.AST) -> bool:
        """Whether a node holds anything to rewrite."""
        return node in self.dirty

    def is_exact_operation(self, node: ast.BinOp) -> bool:
        """Whether an operator is left to `compat.operators`, which decides at run time."""
        return self.operators is not None and self.operators.decision(node) == "exact"

    def expr(self, node: ast.AST) -> Fragment:
        """The new text of an expression."""
        if node in self.overrides:
            return self.overrides[node]
        if node not in self.dirty:
            return Fragment(self.source.segment(node), self.source.precedence(node))
        for special in SPECIALS:
            result = special(self, node)
            if result is not None:
                return result
        if isinstance(node, ast.Call):
            return self.calls.call(node)
        if node in self.hits:
            return self._reference(node, self.hits[node])
        return self._children(node)

    def spliced(self, node: ast.AST) -> Fragment:
        """The text of a node with what is inside it rewritten."""
        return self._children(node)

    def _children(self, node: ast.AST) -> Fragment:
        if isinstance(node, ast.JoinedStr):
            return self._formatted(node)
        return splice(self.source, node, {c: self.expr(c) for c in self.dirty_children(node)})

    def _formatted(self, node: ast.JoinedStr) -> Fragment:
        """An f-string; the new text of a field must do without the literal's own quotes."""
        literal = self.source.segment(node)
        plain = literal.count(literal.lstrip("rRbBfFuU")[0]) <= 2  # one literal: its quote is known
        replaced: dict[ast.AST, Fragment] = {}
        for field in fstrings.fields(node):
            if field.value not in self.dirty:
                continue
            new = self.expr(field.value)
            text = fstrings.requoted(new.text, literal)
            if text is None or (text != new.text and not plain):
                self.mark(field.value, "TFP108", self._first_hit(field.value), "the new text does not fit into the f-string",
                          "take the expression out of the f-string")  # fmt: skip
            else:
                replaced[field.value] = Fragment(text, new.precedence)
        return splice(self.source, node, replaced)

    def _first_hit(self, node: ast.AST) -> str:
        found = next((self.hits[n] for n in ast.walk(node) if n in self.hits), None)
        return found.name if isinstance(found, Canonical) else "tensorflow"

    def dirty_children(self, node: ast.AST) -> Iterator[ast.AST]:
        """The outermost expressions below a node that hold something to rewrite."""
        for _, child in children(node):
            if child in self.dirty:
                if isinstance(child, ast.expr):
                    yield child
                else:
                    yield from self.dirty_children(child)

    def _reference(self, node: ast.AST, meaning: Canonical | Ambiguous) -> Fragment:
        """A name that is not called: a constant, a function as a value, or nothing known."""
        if isinstance(meaning, Ambiguous):
            return self._ambiguous(node, meaning)
        if not isinstance(getattr(node, "ctx", None), ast.Load | None):
            self.mark(node, "TFP106", meaning.name, "a TensorFlow name is assigned to or deleted")
            return Fragment(self.source.segment(node))
        constant = self.book.constant(meaning.name)
        if constant is not None:
            self.tiers.inlined[meaning.name] += 1
            return self.constant_text(constant.text)
        rules = self.choice.rules_for(meaning)
        if len(rules) == 1 and rules[0].kind != "method":
            return self.calls.compat_reference(rules[0])
        if len(rules) > 1:
            self.mark(node, "TFP103", meaning.name, "TensorFlow 1 and 2 differ here and the file does not say which it is",
                      "write tf.compat.v1 or tf.compat.v2")  # fmt: skip
        elif self.book.is_namespace(meaning.name) or meaning.name in ("tf", "tf.keras"):
            self.mark(
                node,
                "TFP105",
                meaning.name,
                "a TensorFlow module is used as a value",
                "name the functions that are meant",
            )
        else:
            self.mark(node, "TFP101", meaning.name, "no rule for this name yet")
        return Fragment(self.source.segment(node))

    def _ambiguous(self, node: ast.AST, meaning: Ambiguous) -> Fragment:
        names = "|".join(meaning.names)
        self.mark(node, "TFP102", names, "the name may or may not come from TensorFlow", "bind it once")
        return Fragment(self.source.segment(node))

    def constant_text(self, text: str) -> Fragment:
        """A constant's replacement with its module spelt as this file spells it."""
        root, dot, rest = text.partition(".")
        if root in MODULES or root == "compat":
            return Fragment(self.imports.use(root) + dot + rest)
        tree = ast.parse(text, mode="eval").body
        return Fragment(text, precedence(tree))

    # -- statements --------------------------------------------------------------------------------------

    def rewrite_expressions(self, statement: ast.AST, skip: frozenset[ast.AST] = frozenset()) -> None:
        """Rewrite every expression that stands directly in a statement, not those of the statements inside it."""
        for parent, field, child in direct_expressions(statement):
            if child in self.dirty and child not in skip:
                self.rewrite_at(parent, field, child)

    def rewrite_at(self, parent: ast.AST, field: str, node: ast.AST) -> None:
        """Rewrite one expression where it stands."""
        new = self.expr(node)
        start, end = self.source.span(node)
        if new.text == self.source.text[start:end]:
            return
        text = parenthesised(new, self.source.required(parent, field, node))
        if "\n" in text and not is_bracketed(text):
            text = f"({text})"
        self.change(start, end, spaced(self.source.text, start, end, text))


SPECIALS: list[Special] = [
    boundary.special,
    variables.special,
    identity.special,
    shapes_of_tensors.special,
    sessions.fetch,
    slices.special,
    mixed.special,
    dtype_attributes.special,
    operators.special,
    arrays.special,
    training.special,
    model_calls.special,
    version_text.special,
]


def direct_expressions(node: ast.AST) -> Iterator[tuple[ast.AST, str, ast.AST]]:
    """Expressions that belong to a statement itself: its value, targets, header, defaults and decorators."""
    for field, child in children(node):
        if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            continue
        if isinstance(child, ast.expr):
            yield node, field, child
        else:
            yield from direct_expressions(child)
