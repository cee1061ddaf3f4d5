"""Subclassed Keras models and layers as nn.Module classes.

``class Net(tf.keras.Model)`` with layers made in ``__init__`` and a ``call`` that can be followed becomes
``class Net(nn.Module)`` with ``forward``. A class that cannot stays a subclass of ``compat.keras.Model``, in TensorFlow's
layout, and so do the classes that it holds: both kinds do not mix inside one another.
"""

from __future__ import annotations

import ast
import copy
import dataclasses
from typing import TYPE_CHECKING, Any

from tfport.source.canonical import Canonical
from tfport.source.models.builder import INPUTS, _layout_name, note_mask
from tfport.source.models.class_blocks import Block
from tfport.source.models.class_call import CallReader
from tfport.source.models.class_init import Held, Plan, Reader, keras_base
from tfport.source.models.class_sequence import sequence
from tfport.source.models.class_trace import ClassTrace, NeedsLazy, NeedsRank, Open
from tfport.source.models.classes import INDENT, initial_values
from tfport.source.models.spec import Bail
from tfport.source.models.trace import Module, NeedsOrder, Value
from tfport.source.values import Symbol

if TYPE_CHECKING:
    from tfport.source.convert import Walk

ATTEMPTS = 40


@dataclasses.dataclass
class Read:
    """A class that can be written: its plan, its trace, its call, and how others see it."""

    plan: Plan
    trace: ClassTrace
    call: CallReader
    block: Block


def subclasses(walk: Walk) -> None:
    """Turn the file's subclassed models into nn.Module classes; ``walk.kept_classes`` are the others."""
    classes = {
        s.name: s for s in walk.source.tree.body if isinstance(s, ast.ClassDef) and keras_base(walk, s)
    }
    blocked: set[str] = {n for n in classes if len(_definitions(walk, n)) > 1}
    reads: dict[str, Read] = {}
    why: dict[str, str] = {}
    if walk.layout == "nchw":
        while True:
            reads, why = Group(walk, classes, blocked).read()
            wrong = _wrongly_used(walk, classes, reads)
            if not wrong:
                break
            blocked |= wrong
    walk.keras_classes = set(classes.values())
    walk.kept_classes = {node: why.get(name, "") for name, node in classes.items() if name not in reads}
    for name in classes:
        if name in reads:
            Writer(walk, reads[name]).write()


def _definitions(walk: Walk, name: str) -> list[Any]:
    return walk.rewriter.names.module.bindings.get(name, [])


def _wrongly_used(walk: Walk, classes: dict[str, ast.ClassDef], reads: dict[str, Read]) -> set[str]:
    """Classes that something else than converted classes uses as layers do: they must stay Keras layers."""
    names, wrong = walk.rewriter.names, set()
    held = {h.node.func for r in reads.values() for h in r.plan.everything if isinstance(h.node, ast.Call)}
    within = {id(n): name for name, node in classes.items() for n in ast.walk(node)}
    recorded = _recording_scopes(walk)
    used: set[str] = set()
    for node, scope in names.scope_of.items():
        if not isinstance(node, ast.Name) or node.id not in reads or not isinstance(node.ctx, ast.Load):
            continue
        owner = within.get(id(node))
        if node in held or owner == node.id:
            used.add(node.id)
            continue
        parent = names.parent.get(node)
        inside = owner is not None or isinstance(parent, ast.ClassDef) or scope.node in recorded
        if inside or not reads[node.id].plan.is_model:
            wrong.add(node.id)
    return wrong | {n for n, r in reads.items() if not r.plan.is_model and n not in used}


def _recording_scopes(walk: Walk) -> set[ast.AST]:
    """Functions (and the module) that describe models by calling layers on Input."""
    names = walk.rewriter.names
    found = set()
    for node, scope in names.scope_of.items():
        parent = names.parent.get(node)
        while isinstance(parent, ast.Attribute):
            node, parent = parent, names.parent.get(parent)
        if isinstance(parent, ast.Call) and parent.func is node:
            meaning = names.resolve(node)
            if isinstance(meaning, Canonical) and meaning.name in INPUTS:
                found.add(scope.node)
    return found


class Group:
    """The classes of a file, each read after those that it holds."""

    def __init__(self, walk: Walk, classes: dict[str, ast.ClassDef], blocked: set[str]) -> None:
        self.walk, self.classes, self.blocked = walk, classes, blocked
        self.reads: dict[str, Read] = {}
        self.why: dict[str, str] = dict.fromkeys(blocked, "it is used as a Keras layer")
        self.busy: set[str] = set()

    def read(self) -> tuple[dict[str, Read], dict[str, str]]:
        """What could be read, and why the rest could not."""
        for name in self.classes:
            self._one(name)
        return self.reads, self.why

    def _one(self, name: str) -> None:
        if name in self.reads or name in self.why:
            return
        if name in self.busy:
            self.why[name] = "it holds itself"
            return
        self.busy.add(name)
        try:
            plan = Reader(self.walk, frozenset(self.classes)).plan(self.classes[name])
            for inner in sorted(plan.names()):
                self._one(inner)
                if inner not in self.reads:
                    raise Bail(f"it holds {inner}, which stays a Keras layer")
            self.reads[name] = self._read(plan)
        except Bail as error:
            self.why[name] = str(error)

    def _read(self, plan: Plan) -> Read:
        """Trace until ranks, orders and lazy sizes are settled. Raises `Bail`."""
        rewriter = self.walk.rewriter
        ordered: frozenset[ast.AST] = frozenset()
        lazy: frozenset[ast.AST] = frozenset()
        ranks: dict[str, int] = {}
        blocks = {n: r.block for n, r in self.reads.items()}
        for _ in range(ATTEMPTS):
            before = dict(rewriter.overrides)
            rewriter.statement = plan.call
            try:
                with rewriter.attempt():
                    trace = ClassTrace(rewriter, ordered, lazy, plan.init)
                    call = CallReader(self.walk, plan, trace, blocks, ranks, sequence)
                    call.body(plan.call.body)
                    return self._finished(plan, trace, call)
            except NeedsOrder as need:
                if need.node in ordered:
                    raise Bail("the order of flattened elements") from need
                ordered |= {need.node}
            except NeedsRank as need:
                if any(ranks.get(o, need.rank) != need.rank for o in need.origins):
                    raise Bail("an argument of two ranks") from need
                ranks.update(dict.fromkeys(need.origins, need.rank))
            except NeedsLazy as need:
                if need.node in lazy:
                    raise Bail("a layer on inputs with different channels") from need
                lazy |= {need.node}
            finally:
                rewriter.overrides = before
        raise Bail("its call() does not settle")

    def _finished(self, plan: Plan, trace: ClassTrace, call: CallReader) -> Read:
        if trace.pending:
            raise Bail(f"{trace.pending[0][0].class_name} on a value of unknown rank and channels")
        if not call.returned:
            raise Bail("call() returns nothing")
        unused = [h.path for h in plan.held.values() if not any(x.used for x in [h, *h.layers()])]
        if unused:
            raise Bail(f"self.{unused[0]} is not called in call()")
        if not trace.modules and not plan.names():
            raise Bail("no layers with a module")
        outputs = call.returned[0]
        for others in call.returned[1:]:
            outputs = [
                a if a.shape == b.shape else dataclasses.replace(a, shape=_common(a, b))
                for a, b in zip(outputs, others)
            ]
        arguments = [a.arg for a in plan.init.args.args[1:]] if plan.init else []
        ends = [*call.inputs.values(), *outputs]
        if (
            len(outputs) > 1
            and any(len(v.shape) > 3 for v in outputs)
            and any(isinstance(v.shape, Open) for v in ends)
        ):
            raise Bail(
                "images beside values of unknown rank at its boundary"
            )  # compat.keras.call goes by the rank
        facts = self.walk.rewriter.facts
        defaults = {n: facts.of(d).value for n, d in plan.parameter_defaults().items()}
        block = Block(plan.node.name, list(call.inputs), list(call.inputs.values()), [_public(v) for v in outputs],
                      call.several, arguments, call.sensitive, [], call.training, defaults)  # fmt: skip
        block.records = records(plan, trace, {n: r.block for n, r in self.reads.items()})
        return Read(plan, trace, call, block)


def _common(a: Value, b: Value) -> Any:
    if isinstance(a.shape, Open) or isinstance(b.shape, Open):
        return Open()
    return tuple(x if x == y else None for x, y in zip(a.shape, b.shape))


def _public(value: Value) -> Value:
    """An output without what only the inside knows."""
    if isinstance(value.shape, Open):
        return dataclasses.replace(value, shape=Open((), value.shape[-1]))
    return value


def records(plan: Plan, trace: ClassTrace, blocks: dict[str, Block]) -> list[dict[str, Any]]:
    """The record's layers in the order of attributes, blocks flattened."""
    found: list[dict[str, Any]] = []
    for held in plan.held.values():
        found += _held_records(held, trace, blocks)
    return found


def _held_records(held: Held, trace: ClassTrace, blocks: dict[str, Block]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if held.kind in ("own", "sequential"):
        kind = held.own or "Sequential"
        found.append(
            {"name": None, "class": kind, "path": held.path, "keras_path": held.keras_path, "weights": {}}
        )
    if held.kind == "own":
        for inner in blocks[held.own].records:
            made = copy.deepcopy(inner)
            made["path"] = made["path"] and f"{held.path}.{made['path']}"
            made["keras_path"] = f"{held.keras_path}/{made['keras_path']}"
            found.append(made)
    elif held.items:
        for item in held.items:
            found += _held_records(item, trace, blocks)
    elif held.spec is not None:
        recorded = trace.recorded.get(held.spec)
        made = copy.deepcopy(recorded) if recorded else {
            "name": held.spec.name, "class": held.spec.class_name, "weights": {}}  # fmt: skip
        made["path"] = held.path if held.spec in trace.modules else None
        made["keras_path"] = held.keras_path
        found.append(made)
    return found


class Writer:
    """Writes one class: edits of its bases, __init__ and call, the record, notes and counts."""

    def __init__(self, walk: Walk, read: Read) -> None:
        self.walk, self.rewriter = walk, walk.rewriter
        self.plan, self.trace, self.call, self.block = read.plan, read.trace, read.call, read.block

    def write(self) -> None:
        """Make all edits."""
        nn = self.rewriter.imports.use("nn")
        node = self.plan.node
        self._replace(node.bases[0], f"{nn}.Module", node)
        for call in self.plan.supers:
            statement = self.rewriter.names.parent[call]
            self._replace(call, "super().__init__()", statement)
        for call in self.plan.configs:
            self._replace(call, "{}", node)
        self._init(nn)
        self._forward()
        self._note()

    def _replace(self, node: ast.AST, text: str, statement: ast.AST) -> None:
        start, end = self.walk.source.span(node)
        if self.walk.source.text[start:end] != text:
            self.rewriter.change(start, end, text, statement)
        self.walk.skip.update(ast.walk(node))
        if isinstance(statement, ast.Expr):
            self.walk.skip.add(statement)

    def _init(self, nn: str) -> None:
        if self.plan.init is None:
            return
        modules = []
        for attribute, held in self.plan.held.items():
            statement = self.plan.statements[attribute]
            self.walk.skip.add(statement)
            if held.kind == "list":
                modules += self._list(held, statement, nn)
            elif held.kind == "sequential":
                text = self._sequential(held, statement, nn)
                self._replace(held.node, text, statement)
                self.walk.keep_comments(held.node)
                modules += [
                    self._at(h, self.trace.modules[h.spec])
                    for h in held.items
                    if h.spec in self.trace.modules
                ]
            elif held.kind == "own":
                self.rewriter.rewrite_expressions(statement)
            elif held.spec in self.trace.modules:
                module = self.trace.modules[held.spec]
                self._replace(held.node, module.constructor, statement)
                modules.append(self._at(held, module))
            else:
                self.walk.remove(statement)
        lines = initial_values(self.walk, modules)
        last = self.plan.init.body[-1]
        if lines:
            source = self.walk.source
            indent = source.indent(source.first_line(self.plan.init.body[0]))
            line = last.end_lineno or last.lineno
            where = min(source.starts[line], len(source.text))
            text = "".join(f"{indent}{part}\n" for part in lines)
            if where and source.text[where - 1] != "\n":
                text = "\n" + text.rstrip("\n")
            self.rewriter.change(where, where, text, last)

    @staticmethod
    def _at(held: Held, module: Module) -> Module:
        """The module under its spelling, for the initial values."""
        return dataclasses.replace(module, attribute=held.spelling.removeprefix("self."))

    def _sequential(self, held: Held, statement: ast.stmt, nn: str) -> str:
        indent = self.walk.source.indent(statement.lineno)
        lines = []
        for position, text in enumerate(held.texts):
            above, beside = held.comments.get(position, ((), ""))
            lines += [*above, f"{text},  {beside}" if beside else f"{text},"]
        inside = "".join(f"{indent}{INDENT}{line}\n" for line in lines)
        short = f"{nn}.Sequential({', '.join(held.texts)})"
        start = self.walk.source.span(held.node)[0] - self.walk.source.starts[held.node.lineno - 1]
        fits = start + len(short) <= 100 and not held.comments
        return short if fits else f"{nn}.Sequential(\n{inside}{indent})"

    def _list(self, held: Held, statement: ast.stmt, nn: str) -> list[Module]:
        start, end = self.walk.source.span(held.node)
        self.rewriter.change(start, start, f"{nn}.ModuleList(", statement)
        modules: list[Module] = []
        done: set[ast.AST] = set()
        for item in held.items:
            if item.kind == "sequential":
                if item.node not in done:
                    self._replace(item.node, self._sequential(item, statement, nn), statement)
                modules += [
                    self._at(h, self.trace.modules[h.spec])
                    for h in item.items
                    if h.spec in self.trace.modules
                ]
            elif item.kind == "layer" and item.spec is not None:
                module = self.trace.modules[item.spec]
                if item.node not in done:
                    self._replace(item.node, module.constructor, statement)
                if held.repeats == 1:
                    modules.append(self._at(item, module))
            done.add(item.node)
        self.rewriter.change(end, end, ")", statement)
        first = held.items[0]
        if held.repeats > 1 and first.spec is not None and (module := self.trace.modules[first.spec]):
            modules.append(dataclasses.replace(module, attribute=held.path, repeated=True))
        return modules

    def _forward(self) -> None:
        source, function = self.walk.source, self.plan.call
        line = source.lines[function.lineno - 1]
        at = source.starts[function.lineno - 1] + line.index("call", line.index("def"))
        self.rewriter.change(at, at + len("call"), "forward", function)
        self._parameters(function)
        for (start, end), (text, statement) in self.call.edits.items():
            if source.text[start:end] != text:
                self.rewriter.change(start, end, text, statement)
        texts = [text for text, _ in self.call.edits.values()]
        for name, (text, statement) in self.call.masks.items():
            if any(f"mask={name})" in t for t in texts):
                at = source.span(statement)[0]
                indent = source.indent(statement.lineno)
                self.rewriter.change(at, at, f"{name} = {text}\n{indent}", statement)
        for decorator in function.decorator_list:
            self.walk.remove_lines(decorator, function)
        for statement in self.call.removed:
            self.walk.remove(statement)
        self.walk.skip.update(n for n in ast.walk(function))

    def _parameters(self, function: ast.FunctionDef) -> None:
        """Take the training argument, annotations of TensorFlow's types and **kwargs out of the signature."""
        args = function.args
        kept = [a for a in [*args.args, *args.kwonlyargs] if a.arg != self.call.training]
        if (
            self.call.training is None
            and args.kwarg is None
            and not any(a.annotation for a in kept)
            and function.returns is None
        ):
            return
        defaults = dict(zip([a.arg for a in args.args][len(args.args) - len(args.defaults) :], args.defaults))
        defaults |= {a.arg: d for a, d in zip(args.kwonlyargs, args.kw_defaults) if d is not None}
        parts = [
            f"{a.arg}={self.rewriter.expr(defaults[a.arg]).text}" if a.arg in defaults else a.arg
            for a in kept
        ]
        source = self.walk.source
        start = source.text.index("(", source.span(function)[0] + len("def call") - 1)
        end = self._closing(start)
        self.rewriter.change(start + 1, end, ", ".join(parts), function)

    def _closing(self, start: int) -> int:
        """Where the signature ends: after its closing bracket, and before the colon."""
        source, function = self.walk.source, self.plan.call
        first = source.span(function.body[0])[0]
        head = source.text[start:first]
        depth = 0
        for position, character in enumerate(head):
            depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(character, 0)
            if depth == 0:
                if function.returns is not None:
                    stop = source.span(function.returns)[1]
                    self.rewriter.change(start + position + 1, stop, "", function)
                return start + position
        raise Bail("a signature that does not end")

    def _note(self) -> None:
        name, block = self.block.name, self.block
        self.walk.models[name] = [v.layout for v in block.inputs]
        for spec in self.trace.recorded:
            self.rewriter.tiers.inlined[spec.rule.primary] += 1
        entry: dict[str, Any] = {"kind": "subclass", "layers": block.records,
                                 "inputs": [_layout_name(v) for v in block.inputs],
                                 "outputs": [_layout_name(v) for v in block.outputs]}  # fmt: skip
        self.walk.record["models"][name] = _plain(entry)
        if self.plan.is_model and any(v.mask is not None for v in block.outputs):
            note_mask(self.walk, self.plan.call, name)
        for place, value in enumerate(block.outputs):
            change = (
                f"{_layout_name(value, True)} -> {_layout_name(value)}" if value.layout == "first" else None
            )
            self.walk.record["results"].append(
                {"where": f"{name}.forward", "result": place, "layout": change}
            )
        for argument, value in zip(block.parameters, block.inputs):
            if value.layout == "first":
                change = f"{_layout_name(value, True)} -> {_layout_name(value)}"
                self.walk.record["arguments"].append(
                    {"where": f"{name}.forward", "argument": argument, "layout": change}
                )
                self.rewriter.note(
                    self.plan.call, "TFP201", f"{name}.forward", f"argument {argument} is {change}"
                )


def _plain(value: Any) -> Any:
    """The record with JSON's types only."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value.text if isinstance(value, Symbol) else value
