"""Calls and attributes of Keras models where the models have become classes of torch.

Outside of converted classes everything is in TensorFlow's layout; a converted class takes and returns channels first.
So a call adapts: ``model(x, training=True)`` becomes ``model.train()`` and ``model(compat.nchw(x))``. Keras' default
is inference. A recorded model, or an unknown one that is called with ``training=``, is called by `compat.keras.call`,
which does the same at run time.
"""

from __future__ import annotations

import ast
import dataclasses
from typing import TYPE_CHECKING

from tfport.source.canonical import Canonical
from tfport.source.known_models import CALLS, RECORDED, Boundary, KnownModels
from tfport.source.nodes import every
from tfport.source.text import Fragment, parenthesised, splice
from tfport.source.values import Fact

if TYPE_CHECKING:
    from tfport.source.convert import Walk
    from tfport.source.rewrite import Rewriter

TRAINABLE = ("trainable_variables", "trainable_weights")
LISTS = {
    "variables": "[*{0}.parameters(), *{0}.buffers()]",
    "weights": "[*{0}.parameters(), *{0}.buffers()]",
    "non_trainable_variables": "list({0}.buffers())",
    "non_trainable_weights": "list({0}.buffers())",
}
LOOP = "write the loop: for x, y in loader: loss = loss_fn(model(x), y); optimizer.zero_grad(); loss.backward(); optimizer.step()"
ADVICE = {
    "fit": LOOP, "fit_generator": LOOP, "train_on_batch": LOOP,
    "compile": "keep optimizer, loss and metrics in variables of their own and write the training loop",
    "evaluate": "run the model over the data in eval() mode and average the loss by batch size",
    "predict": "run the model over the data in eval() mode under torch.no_grad()",
    "predict_on_batch": "run the model in eval() mode under torch.no_grad()",
    "test_on_batch": "run the model in eval() mode under torch.no_grad()",
    "get_weights": "use model.state_dict()", "set_weights": "use model.load_state_dict(...)",
    "trainable": "use model.requires_grad_(False) and keep its batch normalisation in eval()",
    "layers": "use model.children(); the layers are attributes of the class",
    "get_layer": "the layers are attributes of the class",
    "losses": "add the regularisation terms to the loss by hand",
    "save": "use torch.save(model.state_dict(), path)", "export": "use torch.export",
    "add": "add the layer to the class", "pop": "take the layer out of the class",
    "get_config": "there is no configuration: the class is the model",
    "to_json": "there is no configuration: the class is the model",
    "add_loss": "add the term to the loss by hand", "reset_states": "keep the state in a variable",
}  # fmt: skip
ADVICE |= dict.fromkeys(
    ("input", "output", "inputs", "outputs", "input_shape", "output_shape", "name", "optimizer", "metrics", "history",
     "stop_training", "metrics_names", "built", "build", "loss", "call", "add_metric", "trainable_variables_names"),
    "an nn.Module has no such attribute",
)  # fmt: skip
UNRECORDED = frozenset([
    "compile", "fit", "fit_generator", "train_on_batch", "evaluate", "test_on_batch", "predict_on_batch", "get_weights",
    "set_weights", "save", "save_weights", "export", "to_json", "add_metric", "reset_states",
])  # fmt: skip
"""What a model that stays described at run time (compat.keras.Model) cannot do either."""
SIMPLE = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr, ast.Return)
CONDITIONAL = (ast.Lambda, ast.IfExp, ast.BoolOp, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class ModelCalls:
    """Rewrites what a file does with its models."""

    def __init__(self, walk: Walk, models: KnownModels) -> None:
        self.walk, self.models = walk, models
        self.rewriter = walk.rewriter
        self.modes: dict[tuple[ast.AST, str], str] = {}  # (statement, model) -> the mode line above it
        self.freezes = any(
            (isinstance(n, ast.Attribute) and n.attr == "trainable" and isinstance(n.ctx, ast.Store))
            or (isinstance(n, ast.keyword) and n.arg == "trainable")
            for n in every(walk.source.tree)
        )

        self.hinted = {  # of unknown origin, but with Keras' list of variables: called as a model
            ast.dump(n.value)
            for n in every(walk.source.tree)
            if isinstance(n, ast.Attribute) and n.attr in TRAINABLE and self._is_foreign(n.value)
        }

    def concerns(self, node: ast.AST) -> bool:
        """Whether a node is a call or an attribute that this class rewrites."""
        if isinstance(node, ast.Call):
            return self._called(node) is not None
        if not isinstance(node, ast.Attribute):
            return False
        if node.attr in TRAINABLE and isinstance(node.ctx, ast.Load) and self._is_foreign(node.value):
            return True
        if not (node.attr in TRAINABLE or node.attr in LISTS or node.attr in ADVICE or node.attr in METHODS):
            return False
        return self.models.of(node.value) not in (None, RECORDED) or self._is_missing(node)

    def _is_missing(self, node: ast.Attribute) -> bool:
        """A method that a recorded model has not, and no class of the file defines."""
        return (
            node.attr in UNRECORDED
            and self.models.of(node.value) == RECORDED
            and not any(
                isinstance(n, ast.FunctionDef) and n.name == node.attr for n in every(self.walk.source.tree)
            )
        )

    def _is_foreign(self, receiver: ast.expr) -> bool:
        """A receiver of which the file says nothing: it may be a converted module of another file."""
        if self.models.of(receiver) is not None or self.rewriter.names.resolve(receiver) is not None:
            return False
        if isinstance(receiver, ast.Name):
            return receiver.id != "self"
        owner = self.models.owner_class(receiver)
        return isinstance(receiver, ast.Attribute) and (
            owner is None or not self.models.is_keras_class(owner)
        )

    # -- calls -------------------------------------------------------------------------------------------

    def _called(self, node: ast.Call) -> str | None:
        """The class of the model that a call calls, `RECORDED` for those called at run time's discretion, or None."""
        name = self.models.of(node.func)
        if name is not None and name != RECORDED:
            return name
        training = next((k.value for k in node.keywords if k.arg == "training"), None)
        if self.models.is_layer(node.func):
            facts = [self.rewriter.facts.of(a) for a in node.args]
            if not isinstance(node.func, ast.Name) or not any(
                f.is_tensor or f.kind == "array" for f in facts
            ):
                return None
            training = None
        elif name is None:
            hinted = training is not None or ast.dump(node.func) in self.hinted
            if not hinted or self._is_own(node.func):
                return None
        values = [*node.args, *(k.value for k in node.keywords)]
        if not values or any(self.models.is_symbolic(v) for v in values):
            return None
        return None if self._in_call(node, training if name is None else None) else RECORDED

    def _is_own(self, func: ast.expr) -> bool:
        """Functions, methods and classes of the file, and TensorFlow's own functions."""
        if self.rewriter.names.resolve(func) is not None or not isinstance(func, ast.Name | ast.Attribute):
            return True
        if isinstance(func, ast.Attribute) and func.attr in CALLS:
            return True
        return self.models.function(func) is not None or self.models.class_of(func) is not None

    def _in_call(self, node: ast.AST, training: ast.expr | None = None) -> bool:
        """Whether a node stands in the ``call`` of one of the file's layers or models, or passes its ``training`` on."""
        owner = self.models.owner_class(node)
        if owner is None or not self.models.is_keras_class(owner):
            return False
        if training is not None and not isinstance(training, ast.Constant):
            return True
        at: ast.AST | None = node
        while at is not None and self.rewriter.names.parent.get(at) is not owner:
            at = self.rewriter.names.parent.get(at)
        return isinstance(at, ast.FunctionDef) and at.name in CALLS

    def call(self, node: ast.Call) -> Fragment | None:
        """The new text of a call of a model; None for other calls."""
        name = self._called(node)
        if name is None:
            return None
        boundary = self.models.boundary(name)
        given = passed(self.models, name, node)
        several = boundary is not None and len(boundary.outputs) > 1 and any(map(_is_image, boundary.outputs))
        if boundary is None or given is None or several:
            return self._at_run_time(node)
        texts = [
            self._input(i, layout, boundary) for i, layout in zip(given.inputs, boundary.inputs, strict=True)
        ]
        receiver = self._moded(node, given.training)
        text = Fragment(f"{receiver}({', '.join(texts)})")
        self.rewriter.tiers.inlined["tf.keras.Model.__call__"] += 1
        if len(boundary.outputs) == 1 and _is_image(boundary.outputs[0]):
            rank = len(boundary.outputs[0])
            return Fragment(f"{text.text}.permute(0, {', '.join(map(str, range(2, rank)))}, 1)")
        return text

    def _at_run_time(self, node: ast.Call) -> Fragment:
        compat = self.rewriter.imports.use("compat")
        self.rewriter.tiers.compat["tf.keras.Model.__call__"] += 1
        pieces = [self.rewriter.expr(node.func).text, *(self.rewriter.expr(a).text for a in node.args)]
        pieces += [f"{k.arg}={self.rewriter.expr(k.value).text}" if k.arg else f"**{self.rewriter.expr(k.value).text}"
                   for k in node.keywords]  # fmt: skip
        return Fragment(f"{compat}.keras.call({', '.join(pieces)})")

    def _input(self, node: ast.expr, layout: str, boundary: Boundary) -> str:
        """An argument in the class' layout and Keras' dtype."""
        new, fact = self.rewriter.expr(node), self.rewriter.facts.of(node)
        ready = fact.is_tensor and fact.dtype in ("?", "float", "float32")
        if _is_image(layout):
            rank = len(layout)
            if ready:
                return f"{parenthesised(new, 20)}.permute(0, {rank - 1}, {', '.join(map(str, range(1, rank - 1)))})"
            return f"{self.rewriter.imports.use('compat')}.nchw({new.text})"
        if ready or (boundary.integers and fact.is_tensor):
            return new.text
        torch = self.rewriter.imports.use("torch")
        return (
            f"{torch}.as_tensor({new.text})"
            if boundary.integers
            else f"{torch}.as_tensor({new.text}, dtype={torch}.float32)"
        )

    def _moded(self, node: ast.Call, training: ast.expr | None) -> str:
        """The model, with its mode set by a line above the statement or, where that is not possible, in place."""
        model = parenthesised(self.rewriter.expr(node.func), 19)
        if training is None or (isinstance(training, ast.Constant) and not training.value):
            mode = "eval()"
        elif isinstance(training, ast.Constant):
            mode = "train()"
        else:
            fact = self.rewriter.facts.of(training)
            text = self.rewriter.expr(training).text
            mode = f"train({text})" if fact.dtype == "bool" and fact.kind == "int" else f"train(bool({text}))"
        statement = self.rewriter.statement
        if not self._stands_alone(node, statement) or not isinstance(
            training, ast.Constant | ast.Name | None
        ):
            return f"{model}.{mode}"
        key = (statement, model)
        if key not in self.modes:
            self.modes[key] = mode
            if self._previous_mode(statement, model) != mode:
                self.walk.insert_before(statement, f"{model}.{mode}")
        return model

    def _stands_alone(self, node: ast.Call, statement: ast.AST) -> bool:
        """Whether a line above the statement runs exactly before the call."""
        if not isinstance(statement, SIMPLE) or not isinstance(node.func, ast.Name | ast.Attribute):
            return False
        source = self.walk.source
        start = source.starts[source.first_line(statement) - 1]
        if source.text[start : source.span(statement)[0]].strip():
            return False
        at: ast.AST | None = node
        while at is not None and at is not statement:
            at = self.rewriter.names.parent.get(at)
            if isinstance(at, CONDITIONAL):
                return False
        return at is statement and not any(self._disturbs(n, node) for n in ast.walk(statement))

    def _disturbs(self, other: ast.AST, node: ast.Call) -> bool:
        """Whether another call of the statement has, or sets before this one, another mode of the model."""
        if not isinstance(other, ast.Call) or other is node:
            return False
        if ast.dump(other.func) == ast.dump(node.func):
            return self._spelt_mode(other) != self._spelt_mode(node)
        return self.models.function(other.func) is not None and node not in set(ast.walk(other))

    def _spelt_mode(self, node: ast.Call) -> str:
        name = self.models.of(node.func)
        given = passed(self.models, name, node) if name else None
        return "?" if given is None else "" if given.training is None else ast.dump(given.training)

    def _previous_mode(self, statement: ast.AST, model: str) -> str | None:
        """The mode that the statement directly above has set, if nothing else is called there."""
        parent = self.rewriter.names.parent.get(statement)
        for field in ("body", "orelse", "finalbody"):
            block = getattr(parent, field, None)
            if isinstance(block, list) and statement in block and block.index(statement):
                before = block[block.index(statement) - 1]
                calls = [n for n in ast.walk(before) if isinstance(n, ast.Call)]
                return self.modes.get((before, model)) if len(calls) == 1 else None
        return None

    # -- attributes --------------------------------------------------------------------------------------

    def attribute(self, node: ast.Attribute) -> Fragment | None:
        """``model.trainable_variables`` and its like; None for others."""
        name = self.models.of(node.value)
        receiver = parenthesised(self.rewriter.expr(node.value), 20)
        if (
            name is None
            and node.attr in TRAINABLE
            and isinstance(node.ctx, ast.Load)
            and self._is_foreign(node.value)
        ):
            self.rewriter.tiers.compat["tf.keras.Model.trainable_variables"] += 1
            return Fragment(f"{self.rewriter.imports.use('compat')}.keras.trainable_variables({receiver})")
        if name in (None, RECORDED):
            if self._is_missing(node):
                self._mark(node)
            return None
        loads = isinstance(node.ctx, ast.Load)
        if node.attr in TRAINABLE and loads:
            self.rewriter.tiers.inlined["tf.keras.Model.trainable_variables"] += 1
            if self.freezes:
                return Fragment(f"[p for p in {receiver}.parameters() if p.requires_grad]")
            return Fragment(f"list({receiver}.parameters())")
        if node.attr in LISTS and loads:
            self.rewriter.tiers.inlined[f"tf.keras.Model.{node.attr}"] += 1
            return Fragment(LISTS[node.attr].format(receiver))
        if node.attr in ADVICE:
            self._mark(node)
        return None

    def _mark(self, node: ast.Attribute) -> None:
        self.rewriter.mark(
            node,
            "TFP107",
            f"tf.keras.Model.{node.attr}",
            "the model is an nn.Module now",
            ADVICE.get(node.attr) or "use torch.save(model.state_dict(), path)",
        )

    def method(self, node: ast.Call) -> Fragment | None:
        """``model.summary()`` and its like."""
        func = node.func
        if (
            not isinstance(func, ast.Attribute)
            or func.attr not in METHODS
            or self.models.of(func.value) in (None, RECORDED)
        ):
            return None
        model = parenthesised(self.rewriter.expr(func.value), 20)
        torch = self.rewriter.imports.use("torch") if func.attr == "save_weights" else ""
        if func.attr in ("save_weights", "load_weights"):
            path = (
                node.args[0]
                if node.args
                else next((k.value for k in node.keywords if k.arg in ("filepath", "path")), None)
            )
            if path is None or len(node.args) + len(node.keywords) != 1:
                self.rewriter.mark(node, "TFP107", f"tf.keras.Model.{func.attr}", "the model is an nn.Module now",
                                   "use torch.save(model.state_dict(), path) and tfport.load_weights(model, path)")  # fmt: skip
                return None
            text = self.rewriter.expr(path).text
            if func.attr == "save_weights":
                self.rewriter.note(
                    node, "TFP201", "tf.keras.Model.save_weights", "the file is a torch state_dict now"
                )
                new = f"{torch}.save({model}.state_dict(), {text})"
            else:
                new = f"{self.rewriter.imports.use('tfport')}.load_weights({model}, {text})"
        elif func.attr == "summary":
            new = f"print({model})"
        else:
            new = f"sum(v.numel() for v in {model}.state_dict().values())"
        self.rewriter.tiers.inlined[f"tf.keras.Model.{func.attr}"] += 1
        return Fragment(new)


METHODS = ("summary", "count_params", "save_weights", "load_weights")


@dataclasses.dataclass(frozen=True)
class Passed:
    """The inputs of a call one by one, and what sets the mode (None: inference)."""

    inputs: list[ast.expr]
    training: ast.expr | None


def passed(models: KnownModels, name: str, node: ast.Call) -> Passed | None:
    """The arguments of a call of a converted class; None where the call does not spell them out."""
    names, mode, default = models.signature(name)
    boundary = models.boundary(name)
    if boundary is None or not names or any(isinstance(a, ast.Starred) for a in node.args):
        return None
    values = list(node.args)
    count = len(boundary.inputs)
    if models.kind(name) != "subclass" and count > 1:  # Keras takes them as one list
        if not values or not isinstance(values[0], ast.List | ast.Tuple):
            return None
        values = [*values[0].elts, *values[1:]]
    if len(values) > len(names) or any(isinstance(v, ast.Starred) for v in values):
        return None
    found = dict(zip(names, values, strict=False))
    for keyword in node.keywords:
        key = "inputs[0]" if keyword.arg == "inputs" and count == 1 and "inputs[0]" in names else keyword.arg
        if key is None or key in found or (key not in names and key != "training"):
            return None
        found[key] = keyword.value
    if mode != "training" and mode is not None and "training" in found:
        return None  # two modes
    training = found.pop(mode or "training", default)
    found.pop("training", None)
    inputs = [n for n in names if n != mode]
    if list(found) != inputs[: len(found)] or len(found) != count:
        return None
    return Passed(list(found.values()), training)


def _is_image(layout: str) -> bool:
    return layout in ("NCHW", "NCDHW")


def special(rewriter: Rewriter, node: ast.AST) -> Fragment | None:
    """The hook of the rewrite walk."""
    calls = rewriter.models
    if calls is None or isinstance(rewriter.names.resolve(node), Canonical):
        return None
    if isinstance(node, ast.Call):
        return calls.method(node) or calls.call(node)
    if isinstance(node, ast.Attribute) and calls.concerns(node):
        new = calls.attribute(node)
        return splice(rewriter.source, node, {node.value: rewriter.expr(node.value)}) if new is None else new
    return None


def statement(walk: Walk, node: ast.stmt) -> bool:
    """``model.trainable = False`` of a model that became a class."""
    calls = walk.rewriter.models
    target = node.targets[0] if isinstance(node, ast.Assign) and len(node.targets) == 1 else None
    if calls is None or not isinstance(target, ast.Attribute) or target.attr != "trainable":
        return False
    assert isinstance(node, ast.Assign)
    if calls.models.of(target.value) in (None, RECORDED):
        return False
    compat = walk.rewriter.imports.use("compat")
    model, value = walk.rewriter.expr(target.value).text, walk.rewriter.expr(node.value).text
    start, end = walk.source.span(node)
    walk.rewriter.change(start, end, f"{compat}.keras.set_trainable({model}, {value})")
    walk.rewriter.tiers.compat["tf.keras.Model.trainable"] += 1
    return True


def prepare(walk: Walk) -> ModelCalls:
    """Look at the whole file once the models are classes; what concerns them becomes part of what is rewritten."""
    models = KnownModels(walk)
    calls = ModelCalls(walk, models)

    def told(node: ast.AST) -> Fact | None:
        if isinstance(node, ast.Call):
            name = models.of(node.func) if isinstance(node.func, ast.Name | ast.Attribute) else None
            boundary = models.boundary(name) if name else None
            if name is not None and boundary is not None and len(boundary.outputs) == 1:
                return Fact("tensor", "?" if models.kind(name) == "subclass" else "float32")
        return Fact("model") if models.of(node) is not None else None

    walk.rewriter.facts.forget()
    walk.rewriter.facts.told = told
    for node in every(walk.source.tree):
        if node not in walk.skip and isinstance(node, ast.Call | ast.Attribute) and calls.concerns(node):
            walk.rewriter.touch(node)
    return calls
