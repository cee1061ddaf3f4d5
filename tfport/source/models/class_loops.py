"""The parts of `CallReader` that know loops over layers, and own classes as blocks."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from tfport.source.models.class_blocks import Block, ranked
from tfport.source.models.class_functions import Functions, Plain, Result, Several
from tfport.source.models.class_init import Held, Plan, is_self
from tfport.source.models.class_trace import Open
from tfport.source.models.spec import Bail
from tfport.source.models.trace import NeedsOrder, Value
from tfport.source.text import Fragment
from tfport.source.values import Symbol


class Loops(Functions):
    """``for layer in self.layers``, with ``enumerate``, ``zip`` and ``reversed``, round by round."""

    plan: Plan
    items: dict[str, Held]
    returned: list[list[Value]]

    def body(self, stmts: Sequence[ast.stmt]) -> None:
        """Evaluate the statements of a block."""
        raise NotImplementedError

    def _write(self, statement: ast.stmt, node: ast.expr | ast.stmt, new: Fragment) -> None:
        raise NotImplementedError

    def _joined(self, one: dict[str, Result], two: dict[str, Result]) -> dict[str, Result]:
        raise NotImplementedError

    def _for(self, statement: ast.For) -> None:
        rounds = self._rounds(statement)
        if rounds is None:
            self._write(statement, statement.iter, self._single(self.evaluate(statement.iter)).text)
            for target in ast.walk(statement.target):
                if isinstance(target, ast.Name):
                    self.env[target.id] = Value(Fragment(target.id), Open())
            for _ in range(3):
                before = dict(self.env)
                self.body(statement.body)
                self.env = self._joined(before, self.env)
                if all(self.env[k] == v for k, v in before.items()):
                    return
            raise Bail("a loop that changes the kind of its values")
        count = len(self.returned)
        for bindings in rounds:
            for name, held in bindings.items():
                if held is None:
                    self.env[name] = Plain(Fragment(name))
                else:
                    self.env.pop(name, None)
                    self.items[name] = held
            self.body(statement.body)
        if len(self.returned) != count:
            raise Bail("a return inside a loop over layers")

    def _rounds(self, statement: ast.For) -> list[dict[str, Held | None]] | None:
        """The layers that each round of a loop sees; None for a loop over something else."""
        target, over = statement.target, statement.iter
        name = over.func.id if isinstance(over, ast.Call) and isinstance(over.func, ast.Name) else ""
        if (
            name == "enumerate"
            and isinstance(over, ast.Call)
            and isinstance(target, ast.Tuple)
            and len(over.args) == 1
        ):
            items, index, item = self._listed(over.args[0]), target.elts[0], target.elts[1]
            if items is not None and isinstance(index, ast.Name) and isinstance(item, ast.Name):
                return [{index.id: None, item.id: held} for held in items]
        if name == "zip" and isinstance(over, ast.Call) and isinstance(target, ast.Tuple):
            lists = [self._listed(a) for a in over.args]
            names = [t.id for t in target.elts if isinstance(t, ast.Name)]
            if len(names) == len(lists) and all(x is not None for x in lists):
                return [dict(zip(names, row)) for row in zip(*(x for x in lists if x is not None))]
        items = self._listed(over)
        if items is not None and isinstance(target, ast.Name):
            return [{target.id: held} for held in items]
        if any(
            is_self(n) and n.attr in self.plan.held for n in ast.walk(over) if isinstance(n, ast.Attribute)
        ):
            raise Bail("a loop over layers that is not plain")
        return None

    def _listed(self, node: ast.expr) -> list[Held] | None:
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "reversed"
            and len(node.args) == 1
        ):
            items = self._listed(node.args[0])
            return None if items is None else items[::-1]
        held = self.plan.held.get(node.attr) if isinstance(node, ast.Attribute) and is_self(node) else None
        return held.items if held is not None and held.kind == "list" else None


class Blocks(Functions):
    """Own classes that another class holds."""

    blocks: dict[str, Block]
    training: str | None
    sensitive: bool

    def _spelling(self, function: ast.expr, held: Held) -> str:
        raise NotImplementedError

    def _apply_own(
        self, held: Held, arguments: list[ast.expr], keywords: dict[str, ast.expr], node: ast.Call
    ) -> Result:
        block = self.blocks[held.own]
        given = dict(keywords)
        for position, argument in enumerate(arguments):
            if isinstance(argument, ast.Name) and argument.id == self.training:
                continue
            if position >= len(block.parameters) or isinstance(argument, ast.Starred):
                raise Bail(f"{held.own} called with more than its inputs")
            given[block.parameters[position]] = argument
        self.sensitive = self.sensitive or block.sensitive
        texts = []
        for name, expected in zip(block.parameters, block.inputs):
            if name not in given:
                continue
            value = self.tensor(given[name])
            if value.flat is not None:
                raise NeedsOrder(value.flatten or node)
            if value.mask is not None:
                raise Bail(f"{held.own} gets a masked value")
            if not isinstance(expected.shape, Open):
                value = ranked(value, len(expected.shape))
            text = value.moved(expected.layout).text.text
            texts.append(text if name not in keywords else f"{name}={text}")
        call = Fragment(f"{self._spelling(node.func, held)}({', '.join(texts)})")
        outputs = [self._substituted(held, v, call) for v in block.outputs]
        return Several(tuple(outputs), call) if block.several else outputs[0]

    def _substituted(self, held: Held, value: Value, text: Fragment) -> Value:
        """A block's output with the channels that its constructor's argument names."""
        channels: Any = value.shape[-1] if value.shape else None
        if isinstance(channels, Symbol):
            channels = self._argument(held, channels.text)
        shape: Any = Open((), channels) if isinstance(value.shape, Open) else (*value.shape[:-1], channels)
        return Value(text, shape, value.layout)

    def _argument(self, held: Held, name: str) -> Any:
        assert isinstance(held.node, ast.Call)
        parameters = self.blocks[held.own].arguments
        given = dict(zip(parameters, held.node.args)) | {k.arg: k.value for k in held.node.keywords if k.arg}
        if name not in given:
            default = self.blocks[held.own].defaults.get(name)
            return default if isinstance(default, int) else None
        value = self.rewriter.facts.of(given[name]).value
        if isinstance(value, int):
            return value
        if "." in held.path:
            return None  # a comprehension's variable
        return (
            Symbol(self.rewriter.source.segment(given[name]))
            if isinstance(given[name], ast.Name | ast.Attribute)
            else None
        )
