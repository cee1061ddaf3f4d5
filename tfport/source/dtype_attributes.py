"""Attributes of dtypes that torch spells otherwise: ``x.dtype.name``, ``tf.float32.is_floating``, ``tf.int32.max``.

What is not known to be a tensor's dtype is asked at run time: ``compat.dtypes.is_floating(x.dtype)``.

Also comparisons of a tensor's dtype with NumPy's or a string: ``x.dtype == np.float32`` is true in TensorFlow for a
float32 tensor and never in torch; those are rewritten for known tensors only, as an array's dtype is NumPy's.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tfport.source.facts import Facts
from tfport.source.nodes import of_type
from tfport.source.text import Fragment, parenthesised
from tfport.source.values import DTYPES, FLOATS, INTEGERS, Symbol

if TYPE_CHECKING:
    from tfport.source.rewrite import Rewriter

ATTRIBUTES = frozenset(
    {
        "name",
        "is_floating",
        "is_integer",
        "is_bool",
        "size",
        "base_dtype",
        "as_numpy_dtype",
        "max",
        "min",
        "is_unsigned",
        "real_dtype",
    }
)
OWN = frozenset(
    {"is_floating", "is_integer", "is_bool", "is_unsigned", "as_numpy_dtype", "base_dtype", "real_dtype"}
)  # no other library's
RENAMED = {"is_floating": ".is_floating_point", "size": ".itemsize", "base_dtype": ""}
EQUALITY = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)


def of_tensors(tree: ast.Module, text: str, facts: Facts) -> Iterator[ast.AST]:
    """The attributes and comparisons of a file that ``special`` rewrites."""
    if "dtype" not in text and not any(
        f".{name}" in text for name in ATTRIBUTES - {"name", "size", "max", "min"}
    ):
        return
    for node in of_type(tree, ast.Attribute, ast.Compare):
        if isinstance(node, ast.Attribute) and node.attr in ATTRIBUTES:
            if _is_dtype(node.value, facts) or _may_be_dtype(node, facts):
                yield node
        elif isinstance(node, ast.Compare) and _other_spellings(node, facts):
            yield node


def _is_dtype(node: ast.expr, facts: Facts) -> bool:
    """Whether an expression is a dtype of torch in the converted file."""
    if isinstance(node, ast.Attribute) and node.attr == "dtype" and facts.of(node.value).is_tensor:
        return True
    return isinstance(node, ast.Attribute | ast.Name) and facts.of(node).kind == "dtype"


def _may_be_dtype(node: ast.Attribute, facts: Facts) -> bool:
    """Whether an attribute is one of a dtype by its name, of something unknown: ``x.dtype.name``, ``dtype.is_floating``."""
    if not isinstance(node.ctx, ast.Load) or facts.names.resolve(node) is not None:
        return False
    value = node.value
    if isinstance(value, ast.Attribute) and value.attr == "dtype":
        return facts.of(value.value).kind != "array"
    told = isinstance(value, ast.Name) and "dtype" in value.id.lower() and facts.of(value).kind == "?"
    called = isinstance(value, ast.Call) and getattr(facts.names.resolve(value.func), "name", "") in AS_DTYPE
    return called or (told and node.attr in OWN)


AS_DTYPE = ("tf.as_dtype", "tf.dtypes.as_dtype")


def _other_spellings(node: ast.Compare, facts: Facts) -> dict[ast.expr, str]:
    """Operands beside a torch dtype that spell one as NumPy or a string does, with the dtype that they mean."""
    if len(node.ops) != 1 or not isinstance(node.ops[0], EQUALITY):
        return {}
    left, right = node.left, node.comparators[0]
    if isinstance(node.ops[0], ast.Eq | ast.NotEq) and _is_dtype(right, facts):
        left, right = right, left
    if not isinstance(left, ast.Attribute | ast.Name) or not _is_dtype(left, facts):
        return {}
    several = right.elts if isinstance(right, ast.Tuple | ast.List | ast.Set) else [right]
    found = {item: _meant(item, facts) for item in several}
    return {item: name for item, name in found.items() if name}


def _meant(node: ast.expr, facts: Facts) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value if node.value in DTYPES and node.value != "float" else ""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        name = {"bool_": "bool"}.get(node.attr, node.attr)
        if name in DTYPES and name != "float" and node.value in facts.names.scope_of:
            return name if facts.module_of(node.value) == "numpy" else ""
    return ""


def special(rewriter: Rewriter, node: ast.AST) -> Fragment | None:
    """The torch spelling; None for anything else."""
    if isinstance(node, ast.Compare):
        torch_names = {n: f"torch.{d}" for n, d in _other_spellings(node, rewriter.facts).items()}
        if not torch_names:
            return None
        for item, text in torch_names.items():
            rewriter.overrides[item] = rewriter.constant_text(text)
            rewriter.touch(item)
        return rewriter.spliced(node)
    if not isinstance(node, ast.Attribute) or node.attr not in ATTRIBUTES:
        return None
    if _is_dtype(node.value, rewriter.facts) and (known := _attribute(rewriter, node)) is not None:
        return known
    if not _is_dtype(node.value, rewriter.facts) and not _may_be_dtype(node, rewriter.facts):
        return None
    function = f"dtypes.{node.attr}" if node.attr not in ("max", "min") else "dtypes.limits"
    rewriter.tiers.compat[f"tf.DType.{node.attr}"] += 1
    suffix = f".{node.attr}" if node.attr in ("max", "min") else ""
    return Fragment(f"{rewriter.imports.use('compat')}.{function}({rewriter.expr(node.value).text}){suffix}")


def _attribute(rewriter: Rewriter, node: ast.Attribute) -> Fragment | None:
    text = parenthesised(rewriter.expr(node.value), 20)
    torch = rewriter.imports.use("torch")
    value = rewriter.facts.of(node.value).value
    known = value.text.removeprefix("torch.") if isinstance(value, Symbol) else None
    if node.attr == "name":
        return Fragment(
            f'str({text}).removeprefix("torch.")'
            if '"' not in text
            else f"str({text}).removeprefix('torch.')"
        )
    if node.attr in RENAMED:
        return Fragment(text + RENAMED[node.attr])
    if node.attr == "is_bool":
        return Fragment(f"({text} == {torch}.bool)")
    if known is None:
        return None
    if node.attr == "is_integer":
        return Fragment(str(known in INTEGERS))
    if node.attr == "as_numpy_dtype" and known != "bfloat16":
        return Fragment(f"{rewriter.imports.use('np')}.{'bool_' if known == 'bool' else known}")
    if node.attr in ("max", "min") and known in INTEGERS | FLOATS:
        return Fragment(f"{torch}.{'iinfo' if known in INTEGERS else 'finfo'}({text}).{node.attr}")
    return None
