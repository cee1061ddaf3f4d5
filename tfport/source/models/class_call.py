"""``call`` of a subclassed model, statement by statement: which values are images, and the new text of each expression."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tfport.source.canonical import Canonical
from tfport.source.models.class_blocks import Block, join
from tfport.source.models.class_functions import ALIKE, ALONG, REDUCTIONS, Plain, Result, Several
from tfport.source.models.class_init import Held, Plan, is_self
from tfport.source.models.class_loops import Blocks, Loops
from tfport.source.models.class_trace import ClassTrace, Open
from tfport.source.models.recurrent import statements
from tfport.source.models.spec import Bail
from tfport.source.models.trace import NeedsOrder, Value
from tfport.source.text import Fragment, parenthesised, precedence

if TYPE_CHECKING:
    from tfport.source.convert import Walk

SENSITIVE = frozenset({"BatchNormalization", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D",
                       "AlphaDropout", "GaussianNoise", "GaussianDropout"})  # fmt: skip


class CallReader(Loops, Blocks):
    """Evaluates one ``call`` abstractly and collects edits of its text."""

    def __init__(self, walk: Walk, plan: Plan, trace: ClassTrace, blocks: dict[str, Block], ranks: dict[str, int],
                 sequence: Callable[[CallReader, Held, Value], Value]) -> None:  # fmt: skip
        self.walk, self.rewriter, self.plan, self.trace = walk, walk.rewriter, plan, trace
        self.blocks, self.sequence = blocks, sequence
        self.env: dict[str, Result] = {}
        self.items: dict[str, Held] = {}  # loop variables that stand for a layer
        self.edits: dict[tuple[int, int], tuple[str, ast.stmt]] = {}
        self.masks: dict[str, tuple[str, ast.stmt]] = {}  # Keras' masks, each made before a statement
        trace.names = {n.id for n in ast.walk(plan.call) if isinstance(n, ast.Name)} | {
            a.arg for a in ast.walk(plan.call) if isinstance(a, ast.arg)}  # fmt: skip
        self.returned: list[list[Value]] = []
        self.several = False
        self.removed: list[ast.stmt] = []
        self.sensitive = False
        self.training, names = self._parameters()
        self.inputs: dict[str, Value] = {}
        for name in names:
            rank = ranks.get(name)
            shape: Any = Open([name]) if rank is None else (None,) * rank
            layout = "first" if rank is not None and rank > 3 else "last"
            self.inputs[name] = self.env[name] = Value(Fragment(name), shape, layout)

    def _parameters(self) -> tuple[str | None, list[str]]:
        args = self.plan.call.args
        if args.vararg or args.posonlyargs:
            raise Bail("call(*args)")
        names = [a.arg for a in [*args.args[1:], *args.kwonlyargs]]
        training = next((n for n in names if n in ("training", "is_training", "train")), None)
        if "mask" in names:
            raise Bail("call(mask=...)")
        return training, [n for n in names if n != training]

    # -- statements --------------------------------------------------------------------------------------

    def body(self, stmts: Sequence[ast.stmt]) -> None:
        """Evaluate the statements of a block."""
        for statement in stmts:
            self.statement(statement)

    def statement(self, statement: ast.stmt) -> None:
        """Evaluate one statement. Raises `Bail` for what cannot be followed."""
        self._statement(statement)
        for name, text in self.trace.new_masks:
            if not self._alone(statement):
                raise Bail("a mask is made in the middle of a line")
            self.masks[name] = (text, statement)
        self.trace.new_masks.clear()

    def _alone(self, statement: ast.stmt) -> bool:
        """Whether a statement begins its line, so that another can stand before it."""
        source = self.rewriter.source
        start = source.span(statement)[0]
        return not source.text[source.starts[statement.lineno - 1] : start].strip()

    def _statement(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            self._assign(statement, statement.targets[0], statement.value)
        elif isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name):
            self._augmented(statement)
        elif isinstance(statement, ast.Return) and statement.value is not None:
            self._return(statement)
        elif isinstance(statement, ast.Expr):
            if not isinstance(statement.value, ast.Constant):
                self._write(statement, statement.value, self.evaluate(statement.value).text)
        elif isinstance(statement, ast.If):
            self._if(statement)
        elif isinstance(statement, ast.For) and not statement.orelse:
            self._for(statement)
        elif isinstance(statement, ast.Assert):
            self._write(statement, statement.test, self._single(self.evaluate(statement.test)).text)
        elif not isinstance(statement, ast.Pass | ast.Raise):
            raise Bail(f"call() has a {type(statement).__name__}")

    def _write(self, statement: ast.stmt, node: ast.expr | ast.stmt, new: Fragment) -> None:
        span = self.rewriter.source.span(node)
        text = new.text
        if "\n" in text and isinstance(node, ast.BinOp | ast.BoolOp | ast.Compare):
            text = f"({text})"
        known = self.edits.get(span)
        if known is not None and known[0] != text:
            raise Bail("a loop whose rounds need different text")
        self.edits[span] = (text, statement)

    def _assign(self, statement: ast.Assign, target: ast.expr, value: ast.expr) -> None:
        if (
            isinstance(target, ast.Tuple)
            and isinstance(value, ast.Tuple)
            and len(target.elts) == len(value.elts)
        ):
            made = [self.evaluate(v) for v in value.elts]
            for node, result in zip(value.elts, made):
                self._write(statement, node, self._single(result).text)
            self._bind_all(target, made)
            return
        result = self.evaluate(value)
        if isinstance(target, ast.Name) and isinstance(result, Value):
            lines = statements(self.trace, target.id, result.text.text)
        else:
            lines = []
        if len(lines) > 1 and not self._alone(statement):
            lines = []
        if len(lines) > 1 or (lines and not lines[0].startswith(f"{target.id} = ")):  # type: ignore[attr-defined]
            indent = self.rewriter.source.indent(statement.lineno)
            self._write(statement, statement, Fragment(f"\n{indent}".join(lines)))
        else:
            self._write(statement, value, result.text)
        if isinstance(target, ast.Name):
            self._bind(target, result)
        elif isinstance(target, ast.Tuple):
            if isinstance(result, Several) and len(result.values) == len(target.elts):
                self._bind_all(target, list(result.values))
            else:
                self._bind_all(target, [self._unknown(result)] * len(target.elts))
        else:
            raise Bail("call() assigns to more than names")

    @staticmethod
    def _unknown(result: Result) -> Result:
        if isinstance(result, Value):
            if result.layout == "first" or result.flat is not None:
                raise Bail("an image is unpacked")
            return Value(Fragment("_"), Open())
        if isinstance(result, Several):
            raise Bail("a tuple of another length")
        return Plain(Fragment("_"))

    def _bind(self, target: ast.expr, result: Result) -> None:
        if not isinstance(target, ast.Name):
            raise Bail("call() assigns to more than names")
        self.items.pop(target.id, None)
        if target.id == self.training:
            raise Bail(f"call() assigns to {target.id}")
        self.env[target.id] = dataclasses.replace(result, text=Fragment(target.id))

    def _bind_all(self, target: ast.Tuple, results: Sequence[Result]) -> None:
        for node, result in zip(target.elts, results, strict=True):
            self._bind(node, result)

    def _augmented(self, statement: ast.AugAssign) -> None:
        assert isinstance(statement.target, ast.Name)
        load = ast.copy_location(ast.Name(statement.target.id, ast.Load()), statement.target)
        self.rewriter.names.scope_of[load] = self.rewriter.names.scope_of[statement.target]
        joined = ast.copy_location(ast.BinOp(load, statement.op, statement.value), statement)
        result = self.evaluate(joined)
        start, end = self.rewriter.source.span(statement)
        if isinstance(result, Value):
            text = f"{statement.target.id} = {result.text.text}"
            if self.edits.get((start, end), (text,))[0] != text:
                raise Bail("a loop whose rounds need different text")
            self.edits[start, end] = (text, statement)
        self._bind(statement.target, result)

    def _return(self, statement: ast.Return) -> None:
        value = statement.value
        assert value is not None
        if isinstance(value, ast.Tuple | ast.List):
            results = [self._result(self.evaluate(e)) for e in value.elts]
            for node, result in zip(value.elts, results):
                self._write(statement, node, result.text)
            self.several = True
        else:
            made = self.evaluate(value)
            if isinstance(made, Several):
                results, self.several = list(made.values), True
                self._write(statement, value, made.text)
            else:
                results = [self._result(made)]
                self._write(statement, value, results[0].text)
        layouts = [[(v.layout, len(v.shape)) for v in r] for r in [*self.returned, results]]
        if any(x != layouts[0] for x in layouts):
            raise Bail("returns of different layouts")
        self.returned.append(results)

    @staticmethod
    def _result(result: Result) -> Value:
        if isinstance(result, Several):
            raise Bail("a nested tuple is returned")
        if isinstance(result, Plain):
            return Value(result.text, Open())
        if result.flat is not None:
            raise NeedsOrder(result.flatten or ast.Pass())
        return result.moved("last" if len(result.shape) == 3 else "first")  # images leave a class as NCHW

    def _if(self, statement: ast.If) -> None:
        if self._defaults_training(statement):
            self.removed.append(statement)
            return
        self._write(statement, statement.test, self._single(self.evaluate(statement.test)).text)
        before, count = dict(self.env), len(self.returned)
        self.body(statement.body)
        leaves = isinstance(statement.body[-1], ast.Return | ast.Raise)
        then, self.env = self.env, dict(before)
        self.body(statement.orelse)
        if leaves and len(self.returned) >= count:
            return
        if statement.orelse and isinstance(statement.orelse[-1], ast.Return | ast.Raise):
            self.env = then
            return
        self.env = self._joined(then, self.env)

    def _defaults_training(self, statement: ast.If) -> bool:
        """``if training is None: training = ...``: a module always knows."""
        if (
            self.training is None
            or ast.unparse(statement.test) != f"{self.training} is None"
            or statement.orelse
        ):
            return False
        return all(
            isinstance(s, ast.Assign) and ast.unparse(s.targets[0]) == self.training for s in statement.body
        )

    def _joined(self, one: dict[str, Result], two: dict[str, Result]) -> dict[str, Result]:
        made = {**one, **two}
        for name in one.keys() & two.keys():
            a, b = one[name], two[name]
            if a == b and type(getattr(a, "shape", 0)) is type(getattr(b, "shape", 0)):
                continue
            if not isinstance(a, Value) or not isinstance(b, Value):
                raise Bail(f"{name} is a tensor or something else")
            made[name] = join(name, a, b)
        return made

    # -- expressions -------------------------------------------------------------------------------------

    def tensor(self, node: ast.expr) -> Value:
        """An expression that must be a tensor."""
        result = self._single(self.evaluate(node))
        return result if isinstance(result, Value) else Value(result.text, Open())

    def evaluate(self, node: ast.expr) -> Result:
        """The value of an expression and its new text."""
        if isinstance(node, ast.Name):
            if node.id == self.training:
                return Plain(Fragment("self.training"))
            if node.id in self.items:
                raise Bail("a layer is used as a value")
            return self.env.get(node.id) or Plain(self.rewriter.expr(node))
        if isinstance(node, ast.Attribute) and is_self(node) and node.attr in self.plan.held:
            raise Bail(f"self.{node.attr} is used as a value")
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub | ast.Mult | ast.Div):
            return self._arithmetic(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            inner = self._single(self.evaluate(node.operand))
            if isinstance(inner, Value):
                return dataclasses.replace(
                    inner, text=Fragment(f"-{parenthesised(inner.text, 14)}", 14), mask=None
                )
        return self.opaque(node)

    def opaque(self, node: ast.expr) -> Value | Plain:
        """Any other expression: what it reads is in TensorFlow's order, and so is what it makes."""
        tensors = self._prepare(node)
        text = self.rewriter.expr(node)
        return Value(text, Open()) if tensors else Plain(text)

    def _prepare(self, node: ast.AST) -> bool:
        """Put the values below an expression into TensorFlow's order; whether there are any."""
        inner = isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp)
        if inner and any(
            isinstance(n, ast.Name) and (n.id in self.env or n.id in self.items) for n in ast.walk(node)
        ):
            raise Bail("a comprehension over tensors")
        found = False
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr) and self._is_function(node, child):
                continue
            if isinstance(child, ast.expr) and not isinstance(child, ast.Starred):
                result = self._single(self.evaluate(child))
                if isinstance(result, Value):
                    if result.flat is not None:
                        raise NeedsOrder(result.flatten or child)
                    result = result.moved("last")
                    found = True
                if result.text.text != self.rewriter.source.segment(child):
                    self._override(child, result.text)
            elif not isinstance(child, ast.expr_context | ast.operator):
                found = self._prepare(child) or found
        return found

    def _is_function(self, node: ast.AST, child: ast.expr) -> bool:
        """Whether a child is the function of a call, and not a tensor's method."""
        if not isinstance(node, ast.Call) or child is not node.func:
            return False
        if isinstance(child, ast.Name) and child.id in self.env:
            raise Bail(f"{child.id}() may be a layer")
        if isinstance(child, ast.Name) or isinstance(self.rewriter.names.resolve(child), Canonical):
            return True
        if is_self(child):
            assert isinstance(child, ast.Attribute)
            if child.attr not in self.plan.plain:
                raise Bail(f"call() calls self.{child.attr}()")
            if child.attr not in self.plan.functions:
                raise Bail(f"self.{child.attr} may be a layer or a model")
            return True
        return False

    def _arithmetic(self, node: ast.BinOp) -> Result:
        sides = [self._single(self.evaluate(n)) for n in (node.left, node.right)]
        values = [s for s in sides if isinstance(s, Value)]
        for side, part in zip(sides, (node.left, node.right)):
            number = isinstance(self.rewriter.facts.of(part).value, int | float)
            if isinstance(side, Plain) and not number and values:
                values.append(Value(side.text, Open()))  # may be a tensor of any rank
        if not values:
            return self.opaque(node)
        if any(v.flat is not None for v in values):
            raise NeedsOrder(next(v.flatten for v in values if v.flat is not None) or node)
        same = (
            len({len(v.shape) for v in values}) == 1 and len({isinstance(v.shape, Open) for v in values}) == 1
        )
        layout = "first" if same and any(v.layout == "first" for v in values) else "last"
        level = precedence(node)
        texts = [s.moved(layout).text if isinstance(s, Value) else s.text for s in sides]
        sign = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}[type(node.op)]  # type: ignore[index]
        text = f"{parenthesised(texts[0], level)} {sign} {parenthesised(texts[1], level + 1)}"
        first = values[0]
        if len(values) == 1:
            shape = first.shape
        elif same and not isinstance(first.shape, Open):
            shape = tuple(a if a == b else None for a, b in zip(values[0].shape, values[1].shape))
        else:
            common = {v.shape.origins for v in values if isinstance(v.shape, Open)}
            shape = Open(common.pop() if same and len(common) == 1 else ())
        return Value(Fragment(text, level), shape, layout)

    # -- calls -------------------------------------------------------------------------------------------

    def _call(self, node: ast.Call) -> Result:
        held = self._layer_of(node.func)
        if held is not None:
            return self._apply(held, node)
        meaning = self.rewriter.names.resolve(node.func)
        if not isinstance(meaning, Canonical):
            return self.opaque(node)
        if meaning.name.startswith("tf.keras.layers."):
            return self.merged(node, meaning.name)
        if meaning.name in ("tf.concat", "tf.keras.ops.concatenate"):
            return self.concatenated(node)
        if meaning.name in ALIKE:
            return self.alike(node)
        if meaning.name in REDUCTIONS:
            return self.reduced(node)
        if meaning.name in ALONG and node.args:
            return self.along(node)
        return self.opaque(node)

    def _layer_of(self, node: ast.expr) -> Held | None:
        if isinstance(node, ast.Name):
            return self.items.get(node.id)
        if isinstance(node, ast.Attribute) and is_self(node):
            return self.plan.held.get(node.attr)
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute) and is_self(node.value):
            held = self.plan.held.get(node.value.attr)
            index = self.rewriter.facts.of(node.slice).value
            if held is not None:
                if (
                    not isinstance(index, int)
                    or held.kind != "list"
                    or not -len(held.items) <= index < len(held.items)
                ):
                    raise Bail("a layer by an index that is not known")
                return held.items[index]
        return None

    def _check_training(self, held: Held, keyword: ast.keyword) -> None:
        value = self.rewriter.facts.of(keyword.value).value
        passed = isinstance(keyword.value, ast.Name) and keyword.value.id == self.training
        if passed or value is None:
            return
        quiet = held.kind == "layer" and held.spec is not None and held.spec.class_name not in SENSITIVE
        quiet = quiet or (held.kind == "own" and not self.blocks[held.own].sensitive)
        if not (quiet and isinstance(value, bool)):
            raise Bail("a training argument of its own")

    def _apply(self, held: Held, node: ast.Call) -> Result:
        keywords = {}
        for keyword in node.keywords:
            block = self.blocks.get(held.own)
            if keyword.arg == "training" or (
                block is not None and keyword.arg is not None and keyword.arg == block.training
            ):
                self._check_training(held, keyword)
            elif held.kind == "own" and keyword.arg in self.blocks[held.own].parameters:
                keywords[keyword.arg] = keyword.value
            elif keyword.arg in ("inputs", "x") and not node.args:
                keywords["inputs"] = keyword.value
            else:
                raise Bail(f"a layer called with {keyword.arg}")
        held.used = True
        arguments = list(node.args)
        if held.kind == "own":
            return self._apply_own(held, arguments, keywords, node)
        if "inputs" in keywords:
            arguments.append(keywords["inputs"])
        if len(arguments) == 2 and isinstance(arguments[1], ast.Name) and arguments[1].id == self.training:
            arguments.pop()
        if len(arguments) != 1 or isinstance(arguments[0], ast.Starred):
            raise Bail("a layer called with more than its input")
        if held.kind == "sequential":
            return self.sequence(self, held, self.tensor(arguments[0]))
        if held.kind != "layer" or held.spec is None:
            raise Bail("a list of layers is called")
        if held.spec.class_name in SENSITIVE:
            self.sensitive = True
        several = isinstance(arguments[0], ast.List | ast.Tuple)
        values = [self.tensor(a) for a in (arguments[0].elts if several else [arguments[0]])]  # type: ignore[attr-defined]
        self.trace.attributes.setdefault(held.spec, held.path)
        self.trace.spelling[held.spec] = self._spelling(node.func, held)
        made = self.trace.apply(held.spec, values)
        if held.spec not in self.trace.modules and isinstance(node.func, ast.Name):
            raise Bail(f"{held.spec.class_name} in a list")
        return made

    def _spelling(self, function: ast.expr, held: Held) -> str:
        return function.id if isinstance(function, ast.Name) else held.spelling
