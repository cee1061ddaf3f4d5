"""Control flow over tensors as plain Python: cond, case, while_loop, map_fn, scan, folds."""

from __future__ import annotations

import torch

from tfport.compat import structure
from tfport.compat.arguments import to_tensor
from tfport.rule import array, f32, i32, prove, rule


@rule("tf.cond", renamed={"fn1": "true_fn", "fn2": "false_fn"})
@prove(True, lambda: 1, lambda: 2)
@prove(array(False, "bool"), true_fn=lambda: 1.0, false_fn=lambda: 2.0)
def cond(pred, true_fn=None, false_fn=None, strict=False, name=None):
    """The result of one of two functions without arguments; only that one is called."""
    return (true_fn if bool(pred) else false_fn)()


@rule("tf.function", proved_by="tests/source/test_identity.py")
def function(func=None, input_signature=None, autograph=True, jit_compile=None, reduce_retracing=False,
             experimental_implements=None, experimental_autograph_options=None, experimental_attributes=None,
             experimental_relax_shapes=None, experimental_compile=None, experimental_follow_type_hints=None):  # fmt: skip
    """The function itself: it runs eagerly, its Python statements at every call. Without one, a decorator."""
    if func is None:
        return _same
    return func


def _same(func):
    return func


def _result(value):
    return structure.map_structure(lambda v: to_tensor(v) if isinstance(v, (bool, int, float)) else v, value)


@rule("tf.case")
@prove([(array(False, "bool"), lambda: 1), (array(True, "bool"), lambda: 2)], default=lambda: 3)
@prove([(array(False, "bool"), lambda: 1.0)], lambda: 3.0)
@prove([(array(True, "bool"), lambda: 1.0), (array(True, "bool"), lambda: 2.0)], exclusive=False)
def case(pred_fn_pairs, default=None, exclusive=False, strict=False, name="case"):
    """The result of the first function whose predicate is true, else of ``default``. As in TensorFlow run eagerly,
    ``exclusive`` is not checked."""
    pairs = list(pred_fn_pairs.items() if isinstance(pred_fn_pairs, dict) else pred_fn_pairs)
    chosen = [function for pred, function in pairs if bool(pred)]
    if not chosen and default is None:
        raise ValueError("no predicate is true and there is no default")
    return (chosen[0] if chosen else default)()


@rule("tf.switch_case")
@prove(array(1, "int32"), [lambda: 1, lambda: 2])
@prove(array(7, "int32"), [lambda: 1.0, lambda: 2.0], default=lambda: 3.0)
def switch_case(branch_index, branch_fns, default=None, name="switch_case"):
    """The result of the function with this number; out of range ``default``, or the last function."""
    if not isinstance(branch_fns, dict):
        branch_fns = dict(enumerate(f[1] if isinstance(f, tuple) else f for f in branch_fns))
    other = default if default is not None else branch_fns[max(branch_fns)]
    return branch_fns.get(int(branch_index), other)()


@rule("tf.while_loop", version=2)
@prove(lambda i, x: i < 3, lambda i, x: (i + 1, x * 2.0), (array(0, "int32"), f32(2)))
@prove(lambda i: i < 10, lambda i: [i + 3], [array(0, "int32")])
@prove(lambda i: i < 10, lambda i: [i + 3], [0], maximum_iterations=2)
@prove(lambda i, xs: i < 2, lambda i, xs: (i + 1, {"a": xs["a"] + 1.0}), (0, {"a": f32(2)}))
@prove(lambda i: i < 0, lambda i: [i + 3], [0])
def while_loop(cond, body, loop_vars, shape_invariants=None, parallel_iterations=10, back_prop=True,
               swap_memory=False, maximum_iterations=None, name=None):  # fmt: skip
    """``loop_vars = body(*loop_vars)`` while ``cond(*loop_vars)``; returns the last loop_vars in their structure."""
    return _while(cond, body, loop_vars, maximum_iterations)


@rule("tf.compat.v1.while_loop", "tf.while_loop", version=1)
@prove(lambda i, x: i < 3, lambda i, x: (i + 1, x * 2.0), (array(0, "int32"), f32(2)))
@prove(lambda i: i < 10, lambda i: i + 3, [array(0, "int32")])
@prove(lambda i: i < 10, lambda i: i + 3, [0], maximum_iterations=2)
@prove(lambda i: i < 10, lambda i: [i + 3], [array(0, "int32")], return_same_structure=True)
def while_loop_v1(cond, body, loop_vars, shape_invariants=None, parallel_iterations=10, back_prop=True,
                  swap_memory=False, name=None, maximum_iterations=None, return_same_structure=False):  # fmt: skip
    """tf.while_loop of TensorFlow 1: a single variable comes back by itself, not in a list."""
    state = _while(cond, body, loop_vars, maximum_iterations)
    return state[0] if len(state) == 1 and not return_same_structure else state


def _while(cond, body, loop_vars, maximum_iterations):
    state = structure.map_structure(to_tensor, loop_vars)
    count = 0
    limit = None if maximum_iterations is None else int(maximum_iterations)
    while (limit is None or count < limit) and bool(cond(*state)):
        found = body(*state)
        several = isinstance(found, list | tuple) and len(found) == len(state)
        flat = structure.flatten(list(found) if several else [found])
        state = structure.pack_sequence_as(loop_vars, [to_tensor(v) for v in flat])
        count += 1
    return state


@rule("tf.map_fn")
@prove(lambda x: x * 2.0, f32(3, 2))
@prove(lambda x: x[0] + x[1], (f32(3, 2), f32(3, 2, seed=1)), dtype=torch.float32)
@prove(lambda x: (x, x * x), f32(4), fn_output_signature=(torch.float32, torch.float32))
@prove(lambda x: x > 0, f32(4), torch.bool)
@prove(lambda d: {"b": d["a"] * 3.0}, {"a": f32(3)}, fn_output_signature={"b": torch.float32})
def map_fn(fn, elems, dtype=None, parallel_iterations=None, back_prop=True, swap_memory=False, infer_shape=True,
           name=None, fn_output_signature=None):  # fmt: skip
    """``fn`` of each slice along the first axis, the results stacked."""
    return _stacked([_result(fn(item)) for item in _slices(elems)])


@rule("tf.vectorized_map")
@prove(lambda x: x * 2.0, f32(3, 2))
@prove(lambda x: x[0] * x[1], (f32(3, 2), f32(3, 2, seed=1)))
def vectorized_map(fn, elems, fallback_to_while_loop=True, warn=True):
    """``fn`` of each slice along the first axis, the results stacked."""
    return _stacked([_result(fn(item)) for item in _slices(elems)])


@rule("tf.scan")
@prove(lambda a, x: a + x, f32(4, 2))
@prove(lambda a, x: a * 0.5 + x, f32(4), initializer=1.0)
@prove(lambda a, x: a + x, f32(4), reverse=True)
@prove(lambda a, x: (a[0] + x, a[1] * x), i32(4), (array(0, "int32"), array(1, "int32")))
def scan(fn, elems, initializer=None, parallel_iterations=10, back_prop=True, swap_memory=False, infer_shape=True,
         reverse=False, name=None):  # fmt: skip
    """The running results of ``accumulated = fn(accumulated, item)``, stacked; without ``initializer`` the first
    item starts."""
    found = _running(fn, elems, initializer, reverse)
    return _stacked(found[::-1] if reverse else found)


@rule("tf.foldl")
@prove(lambda a, x: a * 0.5 + x, f32(4, 2))
@prove(lambda a, x: a - x, f32(4), initializer=1.0)
def foldl(fn, elems, initializer=None, parallel_iterations=10, back_prop=True, swap_memory=False, name=None):
    """The last of tf.scan's results."""
    return _running(fn, elems, initializer, False)[-1]


@rule("tf.foldr")
@prove(lambda a, x: a * 0.5 + x, f32(4, 2))
@prove(lambda a, x: a - x, f32(4), initializer=1.0)
def foldr(fn, elems, initializer=None, parallel_iterations=10, back_prop=True, swap_memory=False, name=None):
    """tf.foldl from the last item to the first."""
    return _running(fn, elems, initializer, True)[-1]


def _running(fn, elems, initializer, reverse):
    items = _slices(elems)
    if reverse:
        items = items[::-1]
    found = []
    if initializer is None:
        found.append(items[0])
        items = items[1:]
    state = found[-1] if found else structure.map_structure(to_tensor, initializer)
    for item in items:
        state = _result(fn(state, item))
        found.append(state)
    return found


def _slices(elems):
    tensors = structure.map_structure(to_tensor, elems) if structure.is_nested(elems) else to_tensor(elems)
    flat = structure.flatten(tensors)
    return [
        structure.pack_sequence_as(elems, list(parts))
        for parts in zip(*(t.unbind(0) for t in flat), strict=True)
    ]


def _stacked(results):
    if not results:
        raise ValueError("no items along the first axis: the shape of the result is not known")
    return structure.map_structure(lambda *parts: torch.stack(parts), *results)
