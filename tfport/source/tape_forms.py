"""How a tape, its gradient and the optimiser's step are spelt: forms of the source, without what names mean."""

from __future__ import annotations

import ast
import dataclasses


@dataclasses.dataclass(eq=False)
class Tape:
    """A ``with tf.GradientTape() as name:`` and the statements in which its name is seen."""

    block: ast.With
    name: str
    window: list[ast.stmt]  # the statements inside, then those after it in its block


@dataclasses.dataclass(eq=False)
class Step:
    """A tape with its gradient, the optimiser that applies it, and the statements that go."""

    tape: Tape
    loss: ast.Name
    model: ast.expr
    variables: ast.expr
    optimizer: ast.expr
    gradient: ast.stmt
    apply: ast.stmt
    unused: ast.stmt | None  # variables = model.trainable_variables, needed for nothing else


def is_false(keyword: ast.keyword) -> bool:
    return keyword.arg == "persistent" and isinstance(keyword.value, ast.Constant) and not keyword.value.value


def binds(item: ast.withitem, name: str) -> bool:
    return isinstance(item.optional_vars, ast.Name) and item.optional_vars.id == name


def rebinds(statement: ast.stmt, name: str) -> bool:
    return any(isinstance(n, ast.withitem) and binds(n, name) for n in ast.walk(statement))


def gradient_of(node: ast.AST, use: ast.Name) -> tuple[ast.expr, ast.expr] | None:
    """Target and sources of ``tape.gradient(target, sources)``."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return None
    if node.func.attr != "gradient" or node.func.value is not use:
        return None
    given = dict(zip(("target", "sources"), node.args, strict=False)) | {
        str(k.arg): k.value for k in node.keywords
    }
    if len(node.args) > 2 or set(given) != {"target", "sources"}:
        return None
    return given["target"], given["sources"]


def asked_for(node: ast.Call, tape: str) -> ast.expr | None:
    func = node.func
    if (
        isinstance(func, ast.Attribute)
        and func.attr == "gradient"
        and isinstance(func.value, ast.Name)
        and func.value.id == tape
    ):
        return node.args[0] if node.args else None
    if isinstance(func, ast.Attribute) and func.attr == "minimize" and node.args:
        used = any(
            k.arg == "tape" and isinstance(k.value, ast.Name) and k.value.id == tape for k in node.keywords
        )
        return node.args[0] if used else None
    return None


def applied(statement: ast.stmt) -> tuple[ast.expr, ast.expr, ast.expr] | None:
    """Optimiser, gradients and variables of ``opt.apply_gradients(zip(gradients, variables))``."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    if (
        not isinstance(call, ast.Call)
        or not isinstance(call.func, ast.Attribute)
        or call.func.attr != "apply_gradients"
    ):
        return None
    pairs = call.args[0] if len(call.args) == 1 and not call.keywords else None
    if not isinstance(pairs, ast.Call) or not isinstance(pairs.func, ast.Name) or pairs.func.id != "zip":
        return None
    if len(pairs.args) != 2 or pairs.keywords:
        return None
    return call.func.value, pairs.args[0], pairs.args[1]
