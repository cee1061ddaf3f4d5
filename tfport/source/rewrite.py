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
    divisions,
    dtype_attributes,
    fstrings,
    loops,
    mixed,
    model_calls,
    origins,
    purity,
    sessions,
    shapes_of_tensors,
    slices,
    training,
    version_text,
    versions,
)
from tfport.source.advice import advice
from tfport.source.canonical import Canonical
from tfport.source.facts import Facts
from tfport.source.findings import Finding, Tiers
from tfport.source.imports import Imports
from tfport.source.inline import MODULES, Argument, Inliner, Undecided
from tfport.source.models import boundary
from tfport.source.names import Ambiguous, Names, imported_by_name
from tfport.source.nodes import every
from tfport.source.rulebook import Parameter, Rulebook, RuleText
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
from tfport.source.values import Fact, Symbol, of_value

Bound = tuple[RuleText, dict[str, ast.expr]]
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
        self.facts = Facts(names, self.rule_of, self.constant)
        self.tiers = Tiers()
        self.changes: list[Change] = []
        self.marks: dict[ast.AST, list[Finding]] = {}
        self.findings: list[Finding] = []
        self.user_rules: set[Path] = set()  # folders of user rules that compat must load at run time
        self.stubs: set[tuple[ast.AST | None, str]] = set()
        self.hits = dict(find_hits(source.tree, names, book))
        self.version = version or versions.of_file(self.hits.values(), source)
        if self.version is None and path is not None:
            self.version = versions.of_neighbours(Path(path))
        self.dirty = self._ancestors()
        self.statement: ast.AST = source.tree
        self.layout = "nchw"
        self.sessions: sessions.FetchOnly | None = None
        self.models: model_calls.ModelCalls | None = None
        self.arrays: mixed.Arrays | None = None
        self.tapes: training.Tapes | None = None
        self.overrides: dict[ast.AST, Fragment] = {}  # expressions whose new text is decided elsewhere
        loops.assume_tensors(source.tree, names, self.facts)
        for node in [
            *slices.backwards(source.tree, self.facts),
            *divisions.of_integers(source.tree, self.facts),
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

    # -- rules -------------------------------------------------------------------------------------------

    def constant(self, name: str) -> str | None:
        """The expression that replaces a TensorFlow constant."""
        found = self.book.constant(name)
        return None if found is None else found.text

    def rules_for(self, meaning: Canonical) -> list[RuleText]:
        """The rules that apply to a name in this file: one, or several where the version is not decided."""
        rules = self.book.find(meaning.name)
        version = meaning.version or self.version
        if len(rules) > 1 and version is not None:
            exact = [r for r in rules if r.version == version]
            return exact[-1:] or [r for r in rules if r.version is None][-1:] or rules[-1:]
        if len(rules) > 1 and len({r.version for r in rules}) == 1:
            return rules[-1:]
        return rules

    def rule_of(self, node: ast.Call, meaning: Canonical) -> RuleText | None:
        """The one rule of a call, None if there is none or the version leaves two that fit."""
        rules = self.rules_for(meaning)
        if len(rules) == 1:
            return rules[0]
        bound = [(r, a) for r in rules if (a := self.bind(r, node)) is not None]
        if len(bound) > 1:
            bound = self._either(meaning, bound, node)
        return bound[0][0] if len(bound) == 1 else None

    # -- expressions -------------------------------------------------------------------------------------

    def is_dirty(self, node: ast.AST) -> bool:
        """Whether a node holds anything to rewrite."""
        return node in self.dirty

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
            return self._call(node)
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
        rules = self.rules_for(meaning)
        if len(rules) == 1 and rules[0].kind != "method":
            return self.compat_reference(rules[0])
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

    def compat_reference(self, rule: RuleText) -> Fragment:
        """``compat.x`` for a rule used as a value."""
        self.tiers.compat[rule.primary] += 1
        if rule.user is not None:
            self.user_rules.add(rule.user)
        return Fragment(f"{self.imports.use('compat')}.{rule.path}")

    # -- calls -------------------------------------------------------------------------------------------

    def _call(self, node: ast.Call) -> Fragment:
        meaning = self.hits.get(node.func)
        if isinstance(meaning, Canonical) and self.book.constant(meaning.name) is None:
            rules = self.rules_for(meaning)
            if rules and rules[0].kind != "method":
                return self._rule_call(node, meaning, rules)
        if node in self.hits and isinstance(node.func, ast.Attribute):
            return self._method_call(node, node.func)
        return self._children(node)

    def _rule_call(self, node: ast.Call, meaning: Canonical, rules: list[RuleText]) -> Fragment:
        bound = [(r, a) for r in rules if (a := self.bind(r, node)) is not None]
        if not bound:
            self.mark(node, "TFP104", meaning.name, f"the arguments do not fit {meaning.name}{self._signature(rules[0])}",
                      "check the call, or port it by hand")  # fmt: skip
            return self._arguments_only(node)
        if len(bound) > 1:
            bound = self._either(meaning, bound, node)
        if len(bound) > 1:
            self.mark(node, "TFP103", meaning.name, "TensorFlow 1 and 2 differ here and the file does not say which it is",
                      "use keyword arguments, or tf.compat.v1")  # fmt: skip
            return self._arguments_only(node)
        return self._apply(node, *bound[0])

    def _either(self, meaning: Canonical, bound: list[Bound], node: ast.Call) -> list[Bound]:
        """Of the rules for both versions, the one that will do when the file does not say which it is."""
        if has_star(node) and len({tuple(rule.parameters) for rule, _ in bound}) > 1:
            return bound
        second = [b for b in bound if b[0].version != 1] or bound
        if all(versions.same_call(meaning.name, second[0][1], arguments) for _, arguments in bound):
            return second[:1]
        if meaning.name == "tf.while_loop" and self._loops_over_several(second[0][1]):
            return second[:1]
        either = versions.EITHER.get(meaning.name)
        return [(rule, second[0][1]) for rule in self.book.find(either)] if either else bound

    def _loops_over_several(self, arguments: dict[str, ast.expr]) -> bool:
        """Whether loop_vars is a literal of two and more: a single one comes back bare in TensorFlow 1."""
        variables = self.facts.of(arguments["loop_vars"]).value if "loop_vars" in arguments else None
        return isinstance(variables, list | tuple) and len(variables) > 1

    def _arguments_only(self, node: ast.Call) -> Fragment:
        arguments = [*node.args, *(k.value for k in node.keywords)]
        return splice(self.source, node, {a: self.expr(a) for a in arguments if a in self.dirty})

    @staticmethod
    def _signature(rule: RuleText) -> str:
        return f"({', '.join(rule.parameters)})"

    def _apply(self, node: ast.Call, rule: RuleText, arguments: dict[str, ast.expr] | None) -> Fragment:
        """The inlined expression, or the compat call where the arguments do not decide."""
        if rule.kind in ("function", "method") and arguments:
            try:
                result = self.inliner.inline(rule, self._evaluated(rule, arguments))
            except Undecided:
                pass
            else:
                self.tiers.inlined[rule.primary] += 1
                return self._laid_out(node, result)
        return self.compat_call(node, rule)

    def compat_call(self, node: ast.Call, rule: RuleText) -> Fragment:
        """The call of the same function in compat, its arguments as they stand."""
        reference = self.compat_reference(rule)
        replaced = {c: self.expr(c) for c in self.dirty_children(node) if c is not node.func}
        if rule.kind != "method":
            return splice(self.source, node, {**replaced, node.func: reference})
        assert isinstance(node.func, ast.Attribute)
        receiver = parenthesised(self.expr(node.func.value), 2)
        rest = [self.expr(a).text for a in node.args] + [
            f"{k.arg}={self.expr(k.value).text}" if k.arg else f"**{self.expr(k.value).text}"
            for k in node.keywords
        ]
        return Fragment(f"{reference.text}({', '.join([receiver, *rest])})")

    def _method_call(self, node: ast.Call, func: ast.Attribute) -> Fragment:
        rule = self.book.method(func.attr)
        if rule is None:
            return self._children(node)
        arguments = self.bind(rule, node)
        if arguments is None:
            return self._children(node)
        known = self.facts.of(func.value).is_tensor or func.attr in ("get_shape",)
        return self._apply(node, rule, arguments if known else None)

    def _laid_out(self, node: ast.Call, result: Fragment) -> Fragment:
        """Break a line that was broken before and would now be too long, one argument a line."""
        start, _ = self.source.span(node)
        column = start - self.source.starts[node.lineno - 1]
        if node.lineno == node.end_lineno or "\n" in result.text or column + len(result.text) <= 100:
            return result
        tree = Source(result.text)
        statement = tree.tree.body[0]
        call = statement.value if isinstance(statement, ast.Expr) else None
        if not isinstance(call, ast.Call) or not (call.args or call.keywords):
            return result
        indent = self.source.indent(node.lineno)
        pieces = [tree.segment(a) for a in call.args]
        pieces += [f"{k.arg}={tree.segment(k.value)}" for k in call.keywords]
        inside = "".join(f"{indent}    {p},\n" for p in pieces)
        return Fragment(f"{tree.segment(call.func)}(\n{inside}{indent})")

    # -- arguments ---------------------------------------------------------------------------------------

    def bind(self, rule: RuleText, node: ast.Call) -> dict[str, ast.expr] | None:
        """Arguments by parameter; {} when a star hides them; None when they do not fit."""
        if has_star(node):
            return {}
        parameters = rule.parameters
        positional = [n for n, p in parameters.items() if p.kind == "positional"]
        kinds = {p.kind for p in parameters.values()}
        values = list(node.args)
        if rule.kind == "method" and isinstance(node.func, ast.Attribute):
            values.insert(0, node.func.value)
        if not parameters and rule.kind in ("class", "layer"):
            return {}
        if len(values) > len(positional):
            return {} if "var_positional" in kinds else None
        found: dict[str, ast.expr] = dict(zip(positional, values, strict=False))
        for keyword in node.keywords:
            name = rule.renamed.get(str(keyword.arg), str(keyword.arg))
            if name in found:
                return None
            if name not in parameters:
                if "var_keyword" in kinds or (rule.kind == "layer" and name in LAYER_OPTIONS):
                    continue
                return None
            found[name] = keyword.value
        if any(n not in found and p.default is None and p.kind in ("positional", "keyword") and not self._given(rule, p)
               for n, p in parameters.items()):  # fmt: skip
            return None
        return found

    @staticmethod
    def _given(rule: RuleText, parameter: Parameter) -> bool:
        """Parameters of a layer's builder that describe its input and are not passed by the user."""
        return rule.kind == "layer" and parameter.kind == "keyword"

    def _evaluated(self, rule: RuleText, bound: dict[str, ast.expr]) -> dict[str, Argument]:
        arguments: dict[str, Argument] = {}
        for name, parameter in rule.parameters.items():
            if parameter.kind in ("var_positional", "var_keyword"):
                raise Undecided
            if name in bound:
                continue
            arguments[name] = self._default(rule, parameter)
        for name, node in sorted(bound.items(), key=lambda item: self.source.span(item[1])):
            arguments[name] = self.argument(node, len(arguments), rule.parameters[name])
        return {name: arguments[name] for name in rule.parameters}

    @staticmethod
    def _default(rule: RuleText, parameter: Parameter) -> Argument:
        assert parameter.default is not None
        text = rule.source.segment(parameter.default)
        try:
            fact = of_value(ast.literal_eval(parameter.default))
        except ValueError:
            fact = of_value(Symbol(text))
        return Argument(Fragment(text, precedence(parameter.default)), fact)

    def argument(self, node: ast.expr, order: int, parameter: Parameter | None = None) -> Argument:
        """One argument of a call, rewritten and with what is known of it."""
        fact = self._as_dtype(self.facts.of(node), parameter)
        elements = None
        if isinstance(node, ast.List | ast.Tuple) and not any(isinstance(e, ast.Starred) for e in node.elts):
            elements = [self.expr(e) for e in node.elts]
        simple = isinstance(node, ast.Name | ast.Constant) or fact.known
        number = fact.kind == "?" and (origins.may_be_number(self.names, node) or self._may_be_array(node))
        return Argument(
            self.expr(node), fact, purity.is_pure(node, self), simple, order, elements, may_be_number=number
        )

    def _may_be_array(self, node: ast.expr) -> bool:
        return self.arrays is not None and self.arrays.may_be(node)

    @staticmethod
    def _as_dtype(fact: Fact, parameter: Parameter | None) -> Fact:
        """A dtype given by name, ``dtype="float32"``, is that dtype."""
        if parameter is None or parameter.name not in DTYPE_PARAMETERS or not isinstance(fact.value, str):
            return fact
        return of_value(Symbol(f"torch.{fact.value}"))

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


DTYPE_PARAMETERS = frozenset({"dtype", "output_type", "out_type"})
LAYER_OPTIONS = frozenset(
    [
        "name",
        "trainable",
        "dtype",
        "input_shape",
        "batch_input_shape",
        "input_dim",
        "input_length",
        "weights",
        "autocast",
        "data_format",
        "activity_regularizer",
        "batch_size",
        "dynamic",
    ]
)
SPECIALS: list[Special] = [
    boundary.special,
    shapes_of_tensors.special,
    sessions.fetch,
    slices.special,
    mixed.special,
    dtype_attributes.special,
    divisions.special,
    arrays.special,
    training.special,
    model_calls.special,
    version_text.special,
]


def has_star(node: ast.Call) -> bool:
    """Whether ``*args`` or ``**kwargs`` hide some arguments of a call."""
    return any(isinstance(a, ast.Starred) for a in node.args) or any(k.arg is None for k in node.keywords)


def direct_expressions(node: ast.AST) -> Iterator[tuple[ast.AST, str, ast.AST]]:
    """Expressions that belong to a statement itself: its value, targets, header, defaults and decorators."""
    for field, child in children(node):
        if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            continue
        if isinstance(child, ast.expr):
            yield node, field, child
        else:
            yield from direct_expressions(child)


def find_hits(
    tree: ast.Module, names: Names, book: Rulebook
) -> Iterator[tuple[ast.AST, Canonical | Ambiguous]]:
    """Every expression that denotes a TensorFlow name, and every call of a tensor method that has a rule."""
    methods = book.methods
    for node in every(tree):
        if isinstance(node, ast.Name) and node in names.scope_of:
            yield from _outermost(node, names, book)
        elif (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in methods
        ):
            if names.resolve(node.func) is None and not _is_self(node.func.value):
                yield node, Canonical(f"tf.Tensor.{node.func.attr}")
        elif isinstance(node, ast.Call) and (imported := imported_by_name(node)) is not None:
            yield node.args[0], imported
        elif (
            isinstance(node, ast.Attribute)
            and node.attr in shapes_of_tensors.ATTRIBUTES
            and names.resolve(node) is None
            and shapes_of_tensors.matches(node)
        ):
            yield node, Canonical(f"tf.TensorShape.{node.attr}")


def _outermost(
    node: ast.Name, names: Names, book: Rulebook
) -> Iterator[tuple[ast.AST, Canonical | Ambiguous]]:
    """The longest attribute chain from a name that a rule knows, or the whole chain."""
    meaning = names.resolve(node)
    if meaning is None:
        return
    if isinstance(meaning, Ambiguous):
        fails = names.is_imported(node) or any(_is_namespace(n, book) for n in meaning.names)
        if fails and isinstance(node.ctx, ast.Load):
            yield node, meaning
        return
    if not isinstance(node.ctx, ast.Load) or (
        meaning.name == "tf.flags.FLAGS" and not names.is_imported(node)
    ):
        return  # FLAGS = tf.flags.FLAGS: the program's own name is kept
    at: ast.AST = node
    best: tuple[ast.AST, Canonical] | None = None
    while True:
        if isinstance(meaning, Canonical) and book.knows(meaning.name):
            best = (at, meaning)
        parent = names.parent.get(at)
        if not (isinstance(parent, ast.Attribute) and parent.value is at):
            break
        at, meaning = parent, names.resolve(parent)
    if isinstance(meaning, Canonical):
        yield best or (at, meaning)


def _is_namespace(name: str, book: Rulebook) -> bool:
    return book.is_namespace(name) or name in ("tf", "tf.keras") or "." not in name


def _is_self(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "super"
    return isinstance(node, ast.Name) and node.id in ("self", "cls")
