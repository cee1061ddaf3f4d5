"""NumPy arrays beside tensors: TensorFlow converts an array to the tensor's dtype, torch promotes or fails.

    weight * array            ->  weight * torch.as_tensor(array, dtype=weight.dtype)
    weight * x                ->  compat.operators.mul(weight, x)       where some call in the file passes an array for x
    np.mean(tensor)           ->  np.mean(tensor.numpy())

NumPy's scalars beside floating tensors stay: torch gives them the tensor's dtype as well.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tfport.source import arrays
from tfport.source.canonical import Canonical
from tfport.source.facts import Facts
from tfport.source.names import Names
from tfport.source.nodes import of_type
from tfport.source.text import Fragment, parenthesised, splice
from tfport.source.values import FLOATS, NOTHING, Fact

if TYPE_CHECKING:
    from tfport.source.rewrite import Rewriter

OPERATORS = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "truediv", ast.FloorDiv: "floordiv", ast.Mod: "mod",
    ast.Pow: "pow", ast.MatMult: "matmul", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq",
    ast.NotEq: "ne",
}  # fmt: skip
NUMBERS = frozenset({"int", "number", "str", "none", "shape", "list", "dtype"})
KEPT_CALLS = frozenset({"shape", "ndim", "size", "save", "savez", "testing"})
VARIABLES = frozenset({"tf.Variable", "tf.get_variable"})
LOADERS = frozenset({"load_data", "train_test_split", "load_iris", "load_digits", "read_csv"})
SHARING = frozenset(
    {
        "asarray",
        "asanyarray",
        "ascontiguousarray",
        "asfortranarray",
        "squeeze",
        "reshape",
        "transpose",
        "ravel",
    }
)
CALLED = ("__call__", "call")
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class Arrays:
    """Which expressions of a file may be arrays: known ones, and parameters for which a call in the file passes one."""

    def __init__(self, tree: ast.Module, names: Names, facts: Facts) -> None:
        self.names, self.facts = names, facts
        self._passed: dict[ast.AST, list[ast.expr]] = {}  # parameter -> what the file's calls pass
        self._cache: dict[ast.AST, bool] = {}
        self._facts: dict[ast.AST, Fact] = {}
        self._attributes: dict[str, list[ast.expr]] = {}  # attribute -> what the file assigns to it
        for node in of_type(tree, ast.Call, ast.Assign, ast.AnnAssign):
            if isinstance(node, ast.Call) and (node.args or node.keywords):
                self._collect(node)
            elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if isinstance(target, ast.Attribute):
                        self._attributes.setdefault(target.attr, []).append(node.value)

    def _collect(self, call: ast.Call) -> None:
        found = self._definition(call.func)
        if found is None:
            return
        definition, skipped = found
        arguments = definition.args
        positional = [*arguments.posonlyargs, *arguments.args][skipped:]
        for parameter, value in zip(positional, call.args, strict=False):
            if isinstance(value, ast.Starred):
                break
            self._passed.setdefault(parameter, []).append(value)
        named = {a.arg: a for a in [*arguments.args, *arguments.kwonlyargs]}
        for keyword in call.keywords:
            if keyword.arg in named:
                self._passed.setdefault(named[keyword.arg], []).append(keyword.value)

    def _definition(self, function: ast.expr) -> tuple[Definition, int] | None:
        """What a call runs: a function of the file, or ``__call__`` of an instance of a class of the file; with the
        number of parameters that the call does not pass."""
        if not isinstance(function, ast.Name) or function not in self.names.scope_of:
            return None
        bindings = self.names.bindings(function)
        if len(bindings) != 1:
            return None
        node, value = bindings[0].node, bindings[0].value
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return node, 0
        if isinstance(value, ast.Lambda):
            return value, 0
        if (
            isinstance(value, ast.Call)
            and isinstance(value.func, ast.Name)
            and value.func in self.names.scope_of
        ):
            made = self.names.bindings(value.func)
            if len(made) == 1 and isinstance(made[0].node, ast.ClassDef):
                methods = {s.name: s for s in made[0].node.body if isinstance(s, ast.FunctionDef)}
                found = next((methods[n] for n in CALLED if n in methods), None)
                return None if found is None else (found, 1)
        return None

    def fact(self, node: ast.expr) -> Fact:
        """The fact of an expression; variables, and what functions of the file return, are tensors as well."""
        fact = self.facts.of(node)
        if fact.kind != "?":
            return fact
        if node not in self._facts:
            self._facts[node] = NOTHING  # while it is looked for
            self._facts[node] = Fact("tensor") if self._is_tensor(node) else NOTHING
        return self._facts[node]

    def _is_tensor(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Name) and node in self.names.scope_of:
            bindings = self.names.bindings(node)
            return bool(bindings) and all(
                b.value is not None and self.fact(b.value).is_tensor for b in bindings
            )
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            given = self._attributes.get(node.attr, [])
            return bool(given) and all(self.fact(v).is_tensor for v in given)
        if isinstance(node, ast.BinOp):
            return self.fact(node.left).is_tensor or self.fact(node.right).is_tensor
        if isinstance(node, ast.UnaryOp | ast.Subscript):
            return self.fact(node.operand if isinstance(node, ast.UnaryOp) else node.value).is_tensor
        if not isinstance(node, ast.Call):
            return False
        meaning = self.names.resolve(node.func)
        if isinstance(meaning, Canonical):
            return meaning.name in VARIABLES
        found = self._definition(node.func)
        return found is not None and self._returns_tensors(found[0])

    def _returns_tensors(self, definition: Definition) -> bool:
        if isinstance(definition, ast.Lambda):
            return self.fact(definition.body).is_tensor
        returned = [n.value for n in ast.walk(definition) if isinstance(n, ast.Return)]
        yields = any(isinstance(n, ast.Yield | ast.YieldFrom) for n in ast.walk(definition))
        plain = isinstance(definition, ast.FunctionDef) and not yields
        return plain and bool(returned) and all(r is not None and self.fact(r).is_tensor for r in returned)

    def may_be_tensor(self, node: ast.expr) -> bool:
        """Whether an expression is a tensor, or a parameter for which a call in the file passes one."""
        if self.fact(node).is_tensor:
            return True
        if not isinstance(node, ast.Name) or node not in self.names.scope_of:
            return False
        passed = [p for b in self.names.bindings(node) for p in self._passed.get(b.node, [])]
        return any(self.fact(p).is_tensor for p in passed)

    def may_be(self, node: ast.expr) -> bool:
        """Whether an expression may be an array by what the file shows: a known one is."""
        if node not in self._cache:
            self._cache[node] = (
                False  # while it is looked for; a name that rebinds itself has what its other bindings have
            )
            self._cache[node] = self._may_be(node)
        return self._cache[node]

    def _may_be(self, node: ast.expr) -> bool:
        fact = self.fact(node)
        if fact.kind != "?":
            return fact.kind == "array"
        if isinstance(node, ast.Name) and node in self.names.scope_of:
            return any(self._binding(b.node, b.value) for b in self.names.bindings(node))
        if isinstance(node, ast.BinOp):
            sides = (node.left, node.right)
            return any(map(self.may_be, sides)) and all(
                self.fact(s).kind in NUMBERS or self.may_be(s) for s in sides
            )
        if isinstance(node, ast.Subscript):
            return self.may_be(node.value)
        if isinstance(node, ast.UnaryOp):
            return self.may_be(node.operand)
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            return called in LOADERS or any(map(self.may_be, self._returned_by(node)))
        return False

    def _binding(self, node: ast.AST, value: ast.expr | None) -> bool:
        if isinstance(node, ast.arg):
            return any(self.may_be(passed) for passed in self._passed.get(node, []))
        if isinstance(node, ast.Name):
            return self._unpacked(node)
        return value is not None and self.may_be(value)

    def _unpacked(self, target: ast.AST) -> bool:
        """Whether a target of ``a, b = f()`` or ``for a, b in zip(x, y)`` may be an array."""
        path: list[int] = []
        parent = self.names.parent.get(target)
        while isinstance(parent, ast.Tuple | ast.List):
            path.insert(0, parent.elts.index(target))  # type: ignore[arg-type]
            target, parent = parent, self.names.parent.get(parent)
        if isinstance(parent, ast.Assign):
            return self._part(parent.value, path)
        if not isinstance(parent, ast.For | ast.comprehension) or parent.target is not target:
            return False
        iterated = parent.iter
        if (
            path
            and isinstance(iterated, ast.Call)
            and ast.unparse(iterated.func) == "enumerate"
            and iterated.args
        ):
            if path[0] == 0:
                return False
            iterated, path = iterated.args[0], path[1:]
        if (
            isinstance(iterated, ast.Call)
            and isinstance(iterated.func, ast.Name)
            and iterated.func.id == "zip"
        ):
            return bool(path) and path[0] < len(iterated.args) and self.may_be(iterated.args[path[0]])
        return self.may_be(iterated)

    def _part(self, value: ast.expr, path: list[int]) -> bool:
        """Whether what stands at ``path`` in a value may be an array."""
        for step, index in enumerate(path):
            if isinstance(value, ast.Tuple | ast.List):
                if index >= len(value.elts):
                    return False
                value = value.elts[index]
            elif isinstance(value, ast.Call) and (returned := self._returned_by(value)):
                return any(self._part(r, path[step:]) for r in returned)
            else:
                break
        return self.may_be(value)

    def _returned_by(self, call: ast.Call) -> list[ast.expr]:
        """What the function of the file that a call runs returns; none for another call."""
        found = self._definition(call.func)
        if found is None:
            return []
        definition = found[0]
        if isinstance(definition, ast.Lambda):
            return [definition.body]
        return [n.value for n in ast.walk(definition) if isinstance(n, ast.Return) and n.value is not None]


def prepare(rewriter: Rewriter) -> None:
    """Find the operators and NumPy calls of a file that mix arrays and tensors; a file without NumPy has none."""
    text = rewriter.source.text
    if "numpy" not in text:
        return
    rewriter.arrays = found = Arrays(rewriter.source.tree, rewriter.names, rewriter.facts)
    for node in of_type(rewriter.source.tree, ast.BinOp, ast.Compare, ast.Call):
        if isinstance(node, ast.BinOp | ast.Compare):
            mixes = _sides(node, found) is not None
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            mixes = any(_tensors_passed(node, rewriter))
        else:
            mixes = False
        if mixes:
            rewriter.touch(node)


def _sides(node: ast.BinOp | ast.Compare, arrays: Arrays) -> tuple[ast.expr, ast.expr, str] | None:
    """Both operands and how they are written: "array left", "array right" (the other is a known tensor) or "any"."""
    if isinstance(node, ast.BinOp):
        left, right = node.left, node.right
        operation: type[ast.AST] = type(node.op)
    elif len(node.ops) == 1:
        left, right, operation = node.left, node.comparators[0], type(node.ops[0])
    else:
        return None
    if operation not in OPERATORS or isinstance(left, ast.Constant) or isinstance(right, ast.Constant):
        return None
    first, second = arrays.fact(left), arrays.fact(right)
    if first.kind in NUMBERS or second.kind in NUMBERS or (first.is_tensor and second.is_tensor):
        return None
    for array, fact, how in ((left, second, "array left"), (right, first, "array right")):
        if fact.is_tensor and arrays.fact(array).kind == "array":
            kept = fact.dtype in FLOATS or fact.dtype == "?"
            return None if kept and _is_scalar(array, arrays.facts) else (left, right, how)
    if first.kind == "?" and second.kind == "?":
        sides = (arrays.may_be(left), arrays.may_be(right))
        tensors = arrays.may_be_tensor(left) or arrays.may_be_tensor(right)
        return (left, right, "any") if any(sides) and (tensors or not all(sides)) else None
    unknown = left if first.kind == "?" else right
    known: Fact = second if first.kind == "?" else first
    mixed = (
        arrays.may_be(unknown) if known.is_tensor else known.kind == "array" and arrays.may_be_tensor(unknown)
    )
    return (left, right, "any") if mixed else None


def _is_scalar(node: ast.expr, facts: Facts) -> bool:
    """Whether this is a NumPy function of numbers only, ``np.sqrt(2.0)``, whose result is a NumPy scalar."""
    if (
        not isinstance(node, ast.Call)
        or node.keywords
        or not node.args
        or not isinstance(node.func, ast.Attribute)
    ):
        return False
    if node.func.attr == "prod":
        return facts.of(node.args[0]).kind in ("shape", "list") and len(node.args) == 1
    if node.func.attr in (
        "array",
        "asarray",
        "arange",
        "ones",
        "zeros",
        "full",
        "linspace",
        "eye",
        "identity",
        "rand",
        "randn",
        "empty",
    ):
        return False
    return all(facts.of(a).kind in ("int", "number") for a in node.args)


def special(rewriter: Rewriter, node: ast.AST) -> Fragment | None:
    """An operator between an array and a tensor, or a NumPy function of tensors; None for anything else."""
    if rewriter.arrays is None:
        return None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return _numpy_call(rewriter, node)
    if not isinstance(node, ast.BinOp | ast.Compare):
        return None
    found = _sides(node, rewriter.arrays)
    if found is None:
        return None
    left, right, how = found
    operation = type(node.op if isinstance(node, ast.BinOp) else node.ops[0])
    if how != "any" and operation is not ast.Div and "::-" not in rewriter.source.text:
        array, tensor = (left, right) if how == "array left" else (right, left)
        dtype = _dtype_text(rewriter, tensor)
        if dtype is not None:
            torch = rewriter.imports.use("torch")
            text = Fragment(f"{torch}.as_tensor({parenthesised(rewriter.expr(array), 2)}, dtype={dtype})")
            rewriter.tiers.inlined["tf.convert_to_tensor"] += 1
            return splice(rewriter.source, node, {array: text, tensor: rewriter.expr(tensor)})
    name = f"operators.{OPERATORS[operation]}"
    rewriter.tiers.compat[name] += 1
    passed = ", ".join(parenthesised(rewriter.expr(side), 2) for side in (left, right))
    return Fragment(f"{rewriter.imports.use('compat')}.{name}({passed})")


def _dtype_text(rewriter: Rewriter, tensor: ast.expr) -> str | None:
    """The dtype of a tensor as text; None where naming it would compute the tensor a second time."""
    dtype = rewriter.facts.of(tensor).dtype
    if dtype not in ("?", "float"):
        return f"{rewriter.imports.use('torch')}.{dtype}"
    return f"{tensor.id}.dtype" if isinstance(tensor, ast.Name) else None


def _tensors_passed(node: ast.Call, rewriter: Rewriter) -> Iterator[ast.expr]:
    """The known tensors among the arguments of a NumPy function, also inside a literal list."""
    root: ast.expr = node.func
    attribute = ""
    while isinstance(root, ast.Attribute):
        attribute = root.attr
        root = root.value
    if not isinstance(root, ast.Name) or root not in rewriter.names.scope_of or attribute in KEPT_CALLS:
        return
    if rewriter.facts.module_of(root) != "numpy":
        return
    for argument in [*node.args, *(k.value for k in node.keywords)]:
        for item in argument.elts if isinstance(argument, ast.List | ast.Tuple) else [argument]:
            if rewriter.arrays is not None and rewriter.arrays.fact(item).is_tensor:
                yield item


def _numpy_call(rewriter: Rewriter, node: ast.Call) -> Fragment | None:
    tensors = list(_tensors_passed(node, rewriter))
    if not tensors:
        return None
    for tensor in tensors:
        if tensor not in rewriter.overrides:
            rewriter.overrides[tensor] = _as_array(rewriter, node, tensor)
            rewriter.touch(tensor)
    return rewriter.spliced(node)


def _as_array(rewriter: Rewriter, call: ast.Call, tensor: ast.expr) -> Fragment:
    """``tensor.numpy()``; a copy where NumPy would keep the memory of what may be a variable."""
    new = rewriter.expr(tensor)
    keeps = isinstance(call.func, ast.Attribute) and call.func.attr in SHARING
    if keeps or "bfloat16" in rewriter.source.text:
        rewriter.tiers.compat["tf.Tensor.numpy"] += 1
        return Fragment(f"{rewriter.imports.use('compat')}.Tensor.numpy({parenthesised(new, 2)})")
    rewriter.tiers.inlined["tf.Tensor.numpy"] += 1
    detached = ".detach().cpu()" if arrays.has_gradients(rewriter) else ""
    return Fragment(f"{parenthesised(new, 20)}{detached}.numpy()")
