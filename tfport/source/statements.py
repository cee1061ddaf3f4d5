"""Statements that are more than their expressions: imports, aliases, decorators, calls without a counterpart.

A handler takes the walk and a statement and returns True when it has dealt with the whole statement, body included.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING

from tfport.source import loops, model_calls, sessions, training
from tfport.source.augmented import augmented_assignment
from tfport.source.canonical import Canonical, canonical, extend

if TYPE_CHECKING:
    from tfport.source.convert import Walk

Handler = Callable[["Walk", ast.stmt], bool]

# Calls that configure TensorFlow itself; nothing in torch needs them.
DROPPED_CALLS = frozenset({
    "tf.disable_v2_behavior", "tf.enable_v2_behavior", "tf.disable_eager_execution", "tf.enable_eager_execution",
    "tf.enable_resource_variables", "tf.disable_resource_variables", "tf.reset_default_graph",
    "tf.disable_v2_tensorshape", "tf.enable_v2_tensorshape", "tf.disable_control_flow_v2", "tf.enable_control_flow_v2",
    "tf.keras.backend.clear_session", "tf.config.run_functions_eagerly", "tf.config.experimental_run_functions_eagerly",
    "tf.config.experimental.set_memory_growth", "tf.config.optimizer.set_jit", "tf.autograph.set_verbosity",
    "tf.experimental.numpy.experimental_enable_numpy_behavior",
    "tf.debugging.set_log_device_placement", "tf.config.set_soft_device_placement", "tf.enable_tensor_equality",
    "tf.config.optimizer.set_experimental_options",
})  # fmt: skip
DROPPED_DECORATORS = frozenset({
    "tf.function", "tf.keras.utils.register_keras_serializable", "tf.keras.saving.register_keras_serializable",
    "tf.keras.api_export.keras_export", "tf.keras.export.keras_export", "tf.autograph.experimental.do_not_convert",
    "tf.tf_export", "tf.python.util.tf_export.keras_export", "tf.python.util.tf_export.tf_export",
    "tf.keras.saving.object_registration.register_keras_serializable", "tf.contrib.slim.add_arg_scope",
})  # fmt: skip
DROPPED_DECORATORS -= {"tf.contrib.slim.add_arg_scope"}


def drop_call(walk: Walk, statement: ast.stmt) -> bool:
    """``tf.disable_v2_behavior()`` and its like are removed."""
    if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)):
        return False
    meaning = walk.rewriter.names.resolve(statement.value.func)
    if not isinstance(meaning, Canonical) or meaning.name not in DROPPED_CALLS:
        return False
    walk.rewriter.note(statement, "TFP202", meaning.name, "removed: nothing in torch needs it")
    walk.remove(statement)
    return True


def imports(walk: Walk, statement: ast.stmt) -> bool:
    """TensorFlow imports are taken out at the end, when it is known which names marked code still needs."""
    if isinstance(statement, ast.Import) and any(canonical(a.name) for a in statement.names):
        walk.imports.append(statement)
        return True
    if isinstance(statement, ast.ImportFrom) and canonical(walk.rewriter.names.absolute(statement)):
        walk.imports.append(statement)
        return True
    return False


def namespace_alias(walk: Walk, statement: ast.stmt) -> bool:
    """``layers = tf.keras.layers``: the uses are rewritten, so the alias goes, like an import."""
    if not (isinstance(statement, ast.Assign) and len(statement.targets) == 1):
        return False
    target, meaning = statement.targets[0], walk.rewriter.names.resolve(statement.value)
    if not isinstance(target, ast.Name) or not isinstance(meaning, Canonical):
        return False
    if not walk.is_namespace(meaning) or walk.rewriter.names.scope_of[target].is_class:
        return False
    if not isinstance(walk.rewriter.names.resolve(target), Canonical):
        return False
    walk.imports.append(statement)
    return True


def delete(walk: Walk, statement: ast.stmt) -> bool:
    """``del tf`` goes with the import."""
    if not isinstance(statement, ast.Delete):
        return False
    if not all(
        isinstance(t, ast.Name) and isinstance(walk.rewriter.names.resolve(t), Canonical)
        for t in statement.targets
    ):
        return False
    walk.remove(statement)
    return True


def decorators(walk: Walk, statement: ast.stmt) -> bool:
    """``@tf.function`` and its like are removed; the function itself is walked on."""
    for decorator in getattr(statement, "decorator_list", []):
        function = decorator.func if isinstance(decorator, ast.Call) else decorator
        meaning = walk.rewriter.names.resolve(function)
        if isinstance(meaning, Canonical) and meaning.name in DROPPED_DECORATORS:
            walk.rewriter.tiers.inlined[meaning.name] += 1
            walk.remove_lines(decorator, statement)
            walk.skip.add(decorator)
    return False


def imported_names(walk: Walk, statement: ast.stmt) -> list[tuple[str, str]]:
    """The TensorFlow names that an import or alias binds, each with the spelling that an error message shows."""
    if isinstance(statement, ast.Import):
        return [
            (a.asname or a.name.partition(".")[0], a.name if a.asname else a.name.partition(".")[0])
            for a in statement.names
            if canonical(a.name)
        ]
    if isinstance(statement, ast.ImportFrom):
        module = walk.rewriter.names.absolute(statement)
        return [(a.asname or a.name, f"{module}.{a.name}") for a in statement.names if a.name != "*"]
    assert isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
    meaning = walk.rewriter.names.resolve(statement.value)
    assert isinstance(meaning, Canonical)
    return [(statement.targets[0].id, extend(meaning, "").name)]


def kept_imports(statement: ast.stmt) -> str:
    """What stays of ``import os, tensorflow as tf``."""
    if not isinstance(statement, ast.Import):
        return ""
    kept = [a for a in statement.names if not canonical(a.name)]
    return ast.unparse(ast.Import(kept)) if kept else ""


HANDLERS: list[Handler] = [
    imports, namespace_alias, delete, drop_call, sessions.statement, loops.while_loop, training.statement,
    model_calls.statement, augmented_assignment, decorators,
]  # fmt: skip
