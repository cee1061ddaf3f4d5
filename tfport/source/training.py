"""The training step: a GradientTape and ``apply_gradients`` as ``zero_grad``, ``backward``, ``step``.

    with tf.GradientTape() as tape:                           logits = model(x)
        loss = loss_fn(y, model(x, training=True))            loss = loss_fn(y, logits)
    grads = tape.gradient(loss, model.trainable_variables)    opt.zero_grad()
    opt.apply_gradients(zip(grads, model.trainable_variables))    loss.backward()
                                                              opt.step()

Done where it is exact: one gradient of one loss by the variables of one converted model, applied unchanged by an
optimiser of Keras that the file makes, no tape inside or around it; what a model computed before the ``with`` is
detached. Anything else keeps `compat.GradientTape`, which is exact for all of it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tfport.source.canonical import Canonical
from tfport.source.known_models import RECORDED
from tfport.source.model_calls import TRAINABLE, ModelCalls
from tfport.source.nodes import every
from tfport.source.recorded_values import Captured, Computed
from tfport.source.tape_forms import Step, Tape, applied, asked_for, binds, gradient_of, is_false, rebinds
from tfport.source.text import Fragment
from tfport.source.training_values import TrainingValues, plain_rate
from tfport.source.values import Fact

if TYPE_CHECKING:
    from tfport.source.convert import Walk
    from tfport.source.rewrite import Rewriter

TAPE = frozenset({"tf.GradientTape", "tf.autodiff.GradientTape"})


class Tapes:
    """Finds the steps of a file and writes them."""

    def __init__(self, walk: Walk, calls: ModelCalls) -> None:
        self.walk, self.rewriter, self.names = walk, walk.rewriter, walk.rewriter.names
        self.models = calls.models
        self.computed = Computed(self.models)
        self.values = TrainingValues(self.models, self.rewriter)
        self.steps: dict[ast.stmt, Step] = {}  # the with
        self.texts: dict[ast.stmt, list[str]] = {}  # statement -> what stands in its place
        self.made_with: dict[ast.Call, ast.expr] = {}  # optimiser's constructor -> model
        self.plain: set[ast.Call] = set()  # those that become torch.optim.SGD
        self._tell_losses()
        tapes = list(self._tapes())
        steps = [s for t in tapes if (s := self._step(t)) is not None]
        nested = self._inside_tapes(tapes)
        steps = [s for s in steps if s.tape.block not in nested]
        for step in [s for s in steps if self._alone(s, steps)]:
            self._write(step, steps)
        for tape in tapes:
            if tape.block not in nested:
                self._uses_of_loss(tape)
                self._cut(tape)

    def _tell_losses(self) -> None:
        """The facts learn that a loss object of Keras gives a tensor."""
        facts = self.rewriter.facts
        models = facts.told

        def told(node: ast.AST) -> Fact | None:
            known = models(node) if models is not None else None
            if known is None and isinstance(node, ast.Call) and self.values.is_loss(node.func):
                return Fact("tensor")
            return known

        facts.told = told
        facts.forget()

    # -- finding -----------------------------------------------------------------------------------------

    def _tapes(self) -> Iterator[Tape]:
        for node in every(self.walk.source.tree):
            if not isinstance(node, ast.With) or node in self.walk.skip or len(node.items) != 1:
                continue
            call, name = node.items[0].context_expr, node.items[0].optional_vars
            if not isinstance(call, ast.Call) or not isinstance(name, ast.Name) or call.args:
                continue
            meaning = self.names.resolve(call.func)
            if (
                not isinstance(meaning, Canonical)
                or meaning.name not in TAPE
                or not all(is_false(k) for k in call.keywords)
            ):
                continue
            block = self._block(node)
            after = block[block.index(node) + 1 :]
            again = next((i for i, s in enumerate(after) if rebinds(s, name.id)), len(after))
            yield Tape(node, name.id, [*node.body, *after[:again]])

    def _block(self, statement: ast.stmt) -> list[ast.stmt]:
        parent = self.names.parent.get(statement, self.walk.source.tree)
        for field in ("body", "orelse", "finalbody"):
            block = getattr(parent, field, None)
            if isinstance(block, list) and statement in block:
                return block
        return [statement]

    def _inside_tapes(self, tapes: list[Tape]) -> set[ast.AST]:
        """Tapes that stand in another one, or in a function that is called in one, and those around them."""
        found: set[ast.AST] = set()
        for tape in tapes:
            if self.computed.reaches_tape(tape.block.body):
                found.add(tape.block)
                found |= {t.block for t in tapes if t is not tape and self._runs_in(t, tape)}
        return found

    def _runs_in(self, inner: Tape, outer: Tape) -> bool:
        if inner.block in set(ast.walk(outer.block)):
            return True
        at: ast.AST | None = inner.block
        while at is not None and not isinstance(at, ast.FunctionDef):
            at = self.names.parent.get(at)
        return at is not None and self._calls(outer.block.body, at, set())

    def _calls(self, nodes: list[ast.stmt], wanted: ast.AST, seen: set[ast.AST]) -> bool:
        for statement in nodes:
            for node in ast.walk(statement):
                function = self.models.function(node.func) if isinstance(node, ast.Call) else None
                if function is wanted:
                    return True
                if function is not None and function not in seen:
                    seen.add(function)
                    if self._calls(function.body, wanted, seen):
                        return True
        return False

    def _uses(self, name: str, nodes: list[ast.stmt]) -> list[ast.Name]:
        return [
            n
            for s in nodes
            for n in ast.walk(s)
            if isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Load)
        ]

    def _only_here(self, tape: Tape, name: str, used: int) -> bool:
        """Whether the window holds every use of a name in its function, apart from other tapes' windows."""
        here = self._uses(name, tape.window)
        stores = [
            n for s in tape.window for n in ast.walk(s) if isinstance(n, ast.withitem) and binds(n, name)
        ]
        scope = self._function(tape.block)
        everywhere = self._uses(
            name, [scope] if isinstance(scope, ast.stmt) else list(getattr(scope, "body", []))
        )
        others = [n for n in everywhere if n not in here]
        same = [n for n in ast.walk(scope) if isinstance(n, ast.withitem) and binds(n, name)]
        return len(here) == used and not stores and (not others or len(same) > 1)

    def _function(self, node: ast.AST) -> ast.AST:
        at = self.names.parent.get(node)
        while at is not None and not isinstance(at, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
            at = self.names.parent.get(at)
        return at or self.walk.source.tree

    def _step(self, tape: Tape) -> Step | None:
        """The step that a tape is part of; None where it is not of the plain form."""
        if not self._only_here(tape, tape.name, 1):
            return None
        use = self._uses(tape.name, tape.window)[0]
        top = next(s for s in tape.window if use in set(ast.walk(s)))
        found = self._assigned(tape, top, use) or self._nested(top, use)
        if found is None:
            return None
        loss, variables, optimizer, apply = found
        model, unused = self._model(variables, tape)
        if (
            model is None
            or not isinstance(loss, ast.Name)
            or not isinstance(optimizer, ast.Name | ast.Attribute)
        ):
            return None
        if self.models.of(model) in (None, RECORDED) or not self.values.is_optimizer(optimizer, set()):
            return None
        if not self._bound_inside(loss, tape) or self._captured(tape) is None:
            return None
        return Step(tape, loss, model, variables, optimizer, top, apply, unused)

    def _assigned(self, tape: Tape, top: ast.stmt, use: ast.Name):  # type: ignore[no-untyped-def]
        """``grads = tape.gradient(loss, variables)``, later ``opt.apply_gradients(zip(grads, variables))``."""
        if (
            not isinstance(top, ast.Assign)
            or len(top.targets) != 1
            or not isinstance(top.targets[0], ast.Name)
        ):
            return None
        asked = gradient_of(top.value, use)
        grads = top.targets[0].id
        after = tape.window[tape.window.index(top) + 1 :]
        uses = self._uses(grads, after)
        if asked is None or len(uses) != 1 or self._uses(grads, tape.window[: tape.window.index(top)]):
            return None
        apply = next(s for s in after if uses[0] in set(ast.walk(s)))
        zipped = applied(apply)
        between = after[: after.index(apply)]
        if self._differentiates(between):
            return None  # the gradients that lie in .grad meanwhile would add up
        if zipped is None or zipped[1] is not uses[0] or not self._same(zipped[2], asked[1]):
            return None
        return asked[0], asked[1], zipped[0], apply

    def _differentiates(self, block: list[ast.stmt]) -> bool:
        """Whether a block computes other gradients, or may."""
        methods = {n.attr for s in block for n in ast.walk(s) if isinstance(n, ast.Attribute)}
        return bool(methods & {"gradient", "jacobian", "minimize", "backward"}) or self.computed.reaches_tape(
            block
        )

    def _nested(self, top: ast.stmt, use: ast.Name):  # type: ignore[no-untyped-def]
        """``opt.apply_gradients(zip(tape.gradient(loss, v), v))`` and ``opt.minimize(loss, v, tape=tape)``."""
        zipped = applied(top)
        if zipped is not None:
            asked = gradient_of(zipped[1], use)
            if asked is None or not self._same(zipped[2], asked[1]):
                return None
            return asked[0], asked[1], zipped[0], top
        call = top.value if isinstance(top, ast.Expr) else None
        if (
            not isinstance(call, ast.Call)
            or not isinstance(call.func, ast.Attribute)
            or call.func.attr != "minimize"
        ):
            return None
        if len(call.args) == 2 and [k.arg for k in call.keywords] == ["tape"]:
            return call.args[0], call.args[1], call.func.value, top
        return None

    def _same(self, one: ast.expr, other: ast.expr) -> bool:
        return ast.dump(one) == ast.dump(other)

    def _model(self, variables: ast.expr, tape: Tape) -> tuple[ast.expr | None, ast.stmt | None]:
        """The model behind ``model.trainable_variables`` or a name bound once to it, and the assignment if it goes."""
        if isinstance(variables, ast.Attribute) and variables.attr in TRAINABLE:
            model = variables.value
            return (model if isinstance(model, ast.Name | ast.Attribute) else None), None
        if not isinstance(variables, ast.Name) or variables not in self.names.scope_of:
            return None, None
        bindings = self.names.bindings(variables)
        if len(bindings) != 1 or bindings[0].value is None:
            return None, None
        value, statement = bindings[0].value, bindings[0].node
        found = None if isinstance(value, ast.Name) else self._model(value, tape)[0]
        uses = self._uses(variables.id, [self.walk.source.tree])  # type: ignore[list-item]
        only = len(uses) == 2 and isinstance(statement, ast.Assign) and len(statement.targets) == 1
        return found, statement if only and isinstance(statement, ast.stmt) else None

    def _bound_inside(self, loss: ast.Name, tape: Tape) -> bool:
        """Whether the loss is computed inside of the tape."""
        inside = set(ast.walk(tape.block))
        return loss in self.names.scope_of and any(b.node in inside for b in self.names.bindings(loss))

    def _alone(self, step: Step, steps: list[Step]) -> bool:
        """Whether the optimiser serves this model only, in steps of this form only."""
        text = ast.dump(step.optimizer)
        mine = [s for s in steps if ast.dump(s.optimizer) == text]
        if len({ast.dump(s.model) for s in mine}) > 1:
            return False
        applied = {id(s.apply) for s in mine}
        for node in every(self.walk.source.tree):
            if not isinstance(node, ast.Attribute) or node.attr not in (
                "apply_gradients",
                "minimize",
                "apply",
            ):
                continue
            if ast.dump(node.value) != text:
                continue
            at: ast.AST | None = node
            while at is not None and not isinstance(at, ast.stmt):
                at = self.names.parent.get(at)
            if id(at) not in applied:
                return False
        return True

    # -- writing -----------------------------------------------------------------------------------------

    def _write(self, step: Step, steps: list[Step]) -> None:
        source = self.walk.source
        optimizer, model = source.segment(step.optimizer), source.segment(step.model)
        before = [] if self._bind(step, steps) else [f"{optimizer}.build({model}.parameters())"]
        backward = (
            f"{step.loss.id}.backward()"
            if self.values.is_scalar(step.loss)
            else f"{step.loss.id}.sum().backward()"
        )
        lines = [*before, f"{optimizer}.zero_grad()", backward]
        if step.apply is step.gradient:
            lines.append(f"{optimizer}.step()")
        else:
            self.texts[step.apply] = [f"{optimizer}.step()"]
        self.texts[step.gradient] = lines
        self.steps[step.tape.block] = step
        if step.unused is not None:
            self.texts[step.unused] = []

    def _bind(self, step: Step, steps: list[Step]) -> bool:
        """Give the optimiser its parameters where it is made, or in a line below; False where neither is possible."""
        if not isinstance(step.optimizer, ast.Name) or not isinstance(step.model, ast.Name):
            return self._bind_attributes(step)
        owners = [self.names.owner(n.id, self.names.scope_of[n]) for n in (step.optimizer, step.model)]
        if owners[0] is None or owners[0] is not owners[1]:
            return False
        block = list(getattr(owners[0].node, "body", []))
        places = [
            [self._place(b.node, block) for b in self.names.bindings(n)] for n in (step.optimizer, step.model)
        ]
        here = self._place(step.tape.block, block)
        if any(p is None or (here is not None and p >= here) for found in places for p in found):
            return False
        own, models = places
        last = max(p for found in places for p in found if p is not None)
        made = self.names.bindings(step.optimizer)[0]
        below = len(own) == 1 and last == own[0] and last not in models
        if (
            below
            and made.node is block[last]
            and isinstance(made.node, ast.Assign)
            and self.values.is_made(made.value)
        ):
            assert isinstance(made.value, ast.Call)
            return self._make_with(step, made.value, steps)
        text = f"{self.walk.source.segment(step.optimizer)}.build({step.model.id}.parameters())"
        if last >= 0:
            self._insert_after(block[last], text)
        elif here is not None:
            self.walk.insert_before(block[here], text)
        return last >= 0 or here is not None

    def _bind_attributes(self, step: Step) -> bool:
        """``self.optimizer`` made after ``self.model`` in one function."""
        if not isinstance(step.optimizer, ast.Attribute) or not isinstance(step.model, ast.Attribute):
            return False
        optimizers, models = self.models.values_of(step.optimizer), self.models.values_of(step.model)
        if len(optimizers) != 1 or len(models) != 1 or not isinstance(optimizers[0], ast.Call):
            return False
        statements = [self.names.parent[v] for v in (models[0], optimizers[0])]
        block = self._block(statements[0])  # type: ignore[arg-type]
        if statements[1] not in block or block.index(statements[0]) > block.index(statements[1]):  # type: ignore[arg-type]
            return False
        if not self.values.is_made(optimizers[0]):
            return False
        self.made_with[optimizers[0]] = step.model
        self.rewriter.touch(optimizers[0])
        return True

    def _make_with(self, step: Step, call: ast.Call, steps: list[Step]) -> bool:
        if any(isinstance(a, ast.Starred) for a in call.args) or any(k.arg is None for k in call.keywords):
            return False
        self.made_with[call] = step.model
        assert isinstance(step.optimizer, ast.Name)
        uses = [
            n for n in every(self.walk.source.tree) if isinstance(n, ast.Name) and n.id == step.optimizer.id
        ]
        known = [u for u in uses if isinstance(u.ctx, ast.Load) and u not in {s.optimizer for s in steps}]
        if not known and plain_rate(self.rewriter, call) is not None:
            self.plain.add(call)
        return True

    def _place(self, node: ast.AST, block: list[ast.stmt]) -> int | None:
        """The index of a block's statement that holds a node; -1 for a parameter, None if none does."""
        if isinstance(node, ast.arg):
            return -1
        at: ast.AST | None = node
        while at is not None:
            if at in block:
                return block.index(at)  # type: ignore[arg-type]
            at = self.names.parent.get(at)
        return None

    def _insert_after(self, statement: ast.stmt, text: str) -> None:
        source = self.walk.source
        last = statement.end_lineno or statement.lineno
        where = source.starts[last]
        line = source.indent(source.first_line(statement)) + text
        if where <= len(source.text):
            self.rewriter.change(where, where, f"{line}\n", statement)

    # -- values from before the tape ---------------------------------------------------------------------

    def _captured(self, tape: Tape) -> Captured | None:
        block = self._block(tape.block)
        return self.computed.captured(tape.block, block[: block.index(tape.block)])

    def _cut(self, tape: Tape) -> None:
        """Values that a model computed before the tape are constants: ``old.detach()``."""
        captured = self._captured(tape)
        if captured is None:
            return
        for use in captured.uses:
            self.rewriter.overrides[use] = self._detached(use)
            self.rewriter.touch(use)
        for name in captured.names:
            self.walk.insert_before(tape.block, f"{name.id} = {self._detached(name).text}")

    def _detached(self, node: ast.expr) -> Fragment:
        text = self.walk.source.segment(node)
        if isinstance(getattr(node, "ctx", None), ast.Load) and self.rewriter.facts.of(node).is_tensor:
            return Fragment(f"{text}.detach()")
        return Fragment(f"{self.rewriter.imports.use('compat')}.detached({text})")

    # -- the loss afterwards -----------------------------------------------------------------------------

    def _uses_of_loss(self, tape: Tape) -> None:
        """A loss that is read after its gradient: ``float(loss)`` is ``loss.item()``, elsewhere ``loss.detach()``."""
        asked = [
            a
            for n in ast.walk(ast.Module(tape.window, []))
            if isinstance(n, ast.Call) and (a := asked_for(n, tape.name))
        ]
        if len(asked) != 1 or not isinstance(asked[0], ast.Name) or asked[0] not in self.names.scope_of:
            return
        loss, inside = asked[0], set(ast.walk(tape.block))
        bindings = self.names.bindings(loss)
        if not bindings or not all(b.node in inside and b.value is not None for b in bindings):
            return
        if not self.values.is_scalar(loss):
            return
        for node in self._uses(loss.id, [s for s in tape.window if s not in tape.block.body]):
            if node is not loss and node.lineno > loss.lineno and self.names.bindings(node) == bindings:
                self._read(node)

    def _read(self, node: ast.Name) -> None:
        parent = self.names.parent[node]
        at: ast.AST = node
        while isinstance(at, ast.expr):
            at = self.names.parent[at]
            if isinstance(at, ast.Attribute) and at.attr in ("numpy", "item", "shape", "dtype", "detach"):
                return
        function = parent.func if isinstance(parent, ast.Call) and parent.args == [node] else None
        if isinstance(function, ast.Name) and function.id == "float":
            self.rewriter.overrides[parent] = Fragment(f"{node.id}.item()")
            self.rewriter.touch(parent)
        else:
            self.rewriter.overrides[node] = Fragment(f"{node.id}.detach()")
            self.rewriter.touch(node)


def special(rewriter: Rewriter, node: ast.AST) -> Fragment | None:
    """The hook of the rewrite walk: an optimiser that is made with the parameters of its model."""
    tapes = rewriter.tapes
    if tapes is None or not isinstance(node, ast.Call) or node not in tapes.made_with:
        return None
    model = rewriter.source.segment(tapes.made_with[node])
    if node in tapes.plain:
        rate = plain_rate(rewriter, node)
        assert rate is not None
        rewriter.tiers.inlined["tf.keras.optimizers.SGD"] += 1
        return Fragment(
            f"{rewriter.imports.use('torch')}.optim.SGD({model}.parameters(), lr={rewriter.expr(rate).text})"
        )
    text = rewriter.calls.call(node).text
    body = text[:-1].rstrip()
    comma = "" if body.endswith("(") else " " if body.endswith(",") else ", "
    return Fragment(f"{body}{comma}params={model}.parameters())")


def statement(walk: Walk, node: ast.stmt) -> bool:
    """The handler of the statement walk."""
    tapes = walk.rewriter.tapes
    if tapes is None:
        return False
    if node in tapes.steps:
        assert isinstance(node, ast.With)
        walk.rewriter.tiers.inlined["tf.GradientTape"] += 1
        walk.dedent(node)
        return True
    if node in tapes.texts:
        walk.remove(node, "\n".join(tapes.texts[node]))
        return True
    return False


def prepare(walk: Walk) -> Tapes:
    """Look at the whole file once the models are known."""
    assert walk.rewriter.models is not None
    return Tapes(walk, walk.rewriter.models)
