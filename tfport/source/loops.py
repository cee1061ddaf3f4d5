"""``tf.while_loop`` as a Python while loop, where its functions and variables stand in the file.

    c1, c2 = tf.while_loop(cond, body, [a, b])  ->  c1, c2 = a, b
                                                    while cond(c1, c2):
                                                        c1, c2 = body(c1, c2)

Anything else (unknown functions, loop variables that may be Python numbers, a limit on iterations) stays a compat call.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tfport.source.canonical import Canonical
from tfport.source.facts import Facts, bound_argument
from tfport.source.names import Names
from tfport.source.nodes import of_type
from tfport.source.values import Fact

if TYPE_CHECKING:
    from tfport.source.convert import Walk

LOOPS = frozenset({"tf.while_loop"})
TAKE_TENSORS = {"tf.while_loop": ("cond", "body"), "tf.scan": ("fn",), "tf.map_fn": ("fn",)}
IGNORED = frozenset({"parallel_iterations", "back_prop", "swap_memory", "name", "shape_invariants"})


def assume_tensors(tree: ast.Module, names: Names, facts: Facts) -> None:
    """Parameters of functions that TensorFlow calls with tensors are tensors."""
    for node in of_type(tree, ast.Call):
        if not isinstance(node, ast.Call):
            continue
        meaning = names.resolve(node.func)
        if not isinstance(meaning, Canonical) or meaning.name not in TAKE_TENSORS:
            continue
        for keyword in node.keywords:
            if keyword.arg in TAKE_TENSORS[meaning.name]:
                _assume(keyword.value, names, facts)
        for argument in node.args[: len(TAKE_TENSORS[meaning.name])]:
            _assume(argument, names, facts)


def _assume(function: ast.expr, names: Names, facts: Facts) -> None:
    definition = defined(function, names)
    if definition is None or _called_otherwise(function, names):
        return
    arguments = definition.args
    for argument in [*arguments.posonlyargs, *arguments.args]:
        facts.tensors.add(argument)


def _called_otherwise(function: ast.expr, names: Names) -> bool:
    """Whether the file also calls the function itself, perhaps with something else than tensors."""
    if not isinstance(function, ast.Name):
        return False
    return any(
        isinstance(user, ast.Name)
        and user.id == function.id
        and isinstance(parent, ast.Call)
        and parent.func is user
        for user, parent in names.parent.items()
    )


def defined(function: ast.expr, names: Names) -> ast.FunctionDef | ast.Lambda | None:
    """The definition behind a lambda or the name of a function that is defined once."""
    if isinstance(function, ast.Lambda):
        return function
    if not isinstance(function, ast.Name) or function not in names.scope_of:
        return None
    bindings = names.bindings(function)
    if len(bindings) == 1 and isinstance(bindings[0].node, ast.FunctionDef):
        return bindings[0].node
    if len(bindings) == 1 and isinstance(bindings[0].value, ast.Lambda):
        return bindings[0].value
    return None


def while_loop(walk: Walk, statement: ast.stmt) -> bool:
    """Handle ``targets = tf.while_loop(cond, body, [...])``."""
    loop = _Loop.of(walk, statement)
    if loop is None or not loop.is_safe():
        return False
    loop.write()
    return True


class _Loop:
    def __init__(self, walk: Walk, statement: ast.Assign, call: ast.Call) -> None:
        self.walk, self.statement, self.call = walk, statement, call
        rules = walk.rewriter.book.find("tf.while_loop")
        given = {p: bound_argument(call, rules[0], p) for p in ("cond", "body", "loop_vars")}
        self.cond, self.body, self.variables = given["cond"], given["body"], given["loop_vars"]
        target = statement.targets[0]
        self.targets = list(target.elts) if isinstance(target, ast.Tuple | ast.List) else [target]
        self.unpacked = isinstance(target, ast.Tuple | ast.List)

    @classmethod
    def of(cls, walk: Walk, statement: ast.stmt) -> _Loop | None:
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
            return None
        call = statement.value
        if not isinstance(call, ast.Call):
            return None
        meaning = walk.rewriter.names.resolve(call.func)
        if (
            not isinstance(meaning, Canonical)
            or meaning.name not in LOOPS
            or not walk.rewriter.book.find("tf.while_loop")
        ):
            return None
        return cls(walk, statement, call)

    def is_safe(self) -> bool:
        """Whether a Python loop does the same: known functions, literal variables that are tensors, free target names."""
        known = {"cond", "body", "loop_vars"} | IGNORED
        if any(k.arg not in known for k in self.call.keywords) or len(self.call.args) > 3:
            return False
        if not self.walk.source.has_line_to_itself(self.statement):
            return False
        if not isinstance(self.variables, ast.List | ast.Tuple) or not self._functions_known():
            return False
        if not all(isinstance(t, ast.Name) for t in self.targets) or not self._arity_fits():
            return False
        facts = self.walk.rewriter.facts
        return all(facts.of(v).is_tensor for v in self.variables.elts) and not self._captured()

    def _functions_known(self) -> bool:
        names = self.walk.rewriter.names
        if not isinstance(self.cond, ast.Name) or not isinstance(self.body, ast.Name):
            return False
        body = defined(self.body, names)
        return (
            defined(self.cond, names) is not None and body is not None and _returns_values(body, self._size())
        )

    def _size(self) -> int:
        return len(self.variables.elts) if isinstance(self.variables, ast.List | ast.Tuple) else 0

    def _arity_fits(self) -> bool:
        return self._size() > 1 and (not self.unpacked or len(self.targets) == self._size())

    def _captured(self) -> bool:
        """Whether cond or body read a name that the loop would rebind."""
        rebound = {t.id for t in self.targets if isinstance(t, ast.Name)}
        names = self.walk.rewriter.names
        for function in (self.cond, self.body):
            definition = defined(function, names) if function is not None else None
            if definition is None:
                return True
            for node in ast.walk(definition):
                if isinstance(node, ast.Name) and node.id in rebound and node in names.scope_of:
                    owner = names.owner(node.id, names.scope_of[node])
                    if owner is not None and owner is not names.scope_of[definition]:
                        return True
        return False

    def write(self) -> None:
        """Put the loop in the statement's place."""
        rewriter, source = self.walk.rewriter, self.walk.source
        assert isinstance(self.variables, ast.List | ast.Tuple)
        assert isinstance(self.cond, ast.Name) and isinstance(self.body, ast.Name)
        initial = [rewriter.expr(v).text for v in self.variables.elts]
        targets = [t.id for t in self.targets if isinstance(t, ast.Name)]
        cond, body = rewriter.expr(self.cond).text, rewriter.expr(self.body).text
        if self.unpacked:
            left = passed = ", ".join(targets)
            first = f"{left} = {', '.join(initial)}" if targets != initial else ""
        else:
            left, passed = targets[0], f"*{targets[0]}"
            first = f"{left} = [{', '.join(initial)}]"
        indent = source.indent(source.first_line(self.statement))
        lines = [*([first] if first else []), f"while {cond}({passed}):", f"    {left} = {body}({passed})"]
        start, end = source.span(self.statement)
        rewriter.change(start, end, f"\n{indent}".join(lines))
        rewriter.tiers.inlined["tf.while_loop"] += 1
        for target in self.targets if self.unpacked else []:
            rewriter.facts.tensors.add(target)


def _returns_values(function: ast.FunctionDef | ast.Lambda, size: int) -> bool:
    """Whether every return gives ``size`` expressions none of which is a plain Python constant."""
    if isinstance(function, ast.Lambda):
        returned: list[ast.expr | None] = [function.body]
    else:
        returned = [n.value for n in ast.walk(function) if isinstance(n, ast.Return)]
    return bool(returned) and all(
        isinstance(r, ast.List | ast.Tuple)
        and len(r.elts) == size
        and not any(isinstance(e, ast.Constant | ast.Starred) for e in r.elts)
        for r in returned
    )


TENSOR = Fact("tensor")
