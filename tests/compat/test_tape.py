"""Tests GradientTape, gradients and custom_gradient: each program runs on TensorFlow and here, same numbers."""

import gc
import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
tf = pytest.importorskip("tensorflow")

from tfport.rules import tape as ours  # noqa: E402
from tfport.rules import variables  # noqa: E402

THEIRS = SimpleNamespace(
    Tape=tf.GradientTape, constant=tf.constant, variable=tf.Variable, total=tf.reduce_sum, sin=tf.sin, exp=tf.exp,
    custom_gradient=tf.custom_gradient, maximum=tf.reduce_max, cast_int=lambda x: tf.cast(x, tf.int32),
    matmul=tf.matmul, stop=tf.stop_gradient, split=lambda x: tf.split(x, 2), assign=lambda v, x: v.assign(x),
    ZERO=tf.UnconnectedGradients.ZERO,
)  # fmt: skip
OURS = SimpleNamespace(
    Tape=ours.GradientTape, constant=lambda v: torch.tensor(v), variable=variables.Variable, total=torch.sum,
    sin=torch.sin, exp=torch.exp, custom_gradient=ours.custom_gradient, maximum=torch.amax, matmul=torch.matmul,
    cast_int=lambda x: x.to(torch.int32), stop=torch.Tensor.detach, split=lambda x: torch.split(x, len(x) // 2),
    assign=variables.assign, ZERO=ours.CONSTANTS["tf.UnconnectedGradients.ZERO"],
)  # fmt: skip


def plain(value):
    """Tensors as lists of floats, in the structure they came in."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if value is None:
        return None
    array = value.detach().numpy() if isinstance(value, torch.Tensor) else value.numpy()
    return (str(array.dtype), array.shape, np.round(array.astype(np.float64), 5).tolist())


PROGRAMS = {}


def program(function):
    PROGRAMS[function.__name__] = function
    return function


@program
def structures(f):
    a, b, unused = f.variable([1.0, 2.0]), f.variable(3.0), f.variable(4.0)
    with f.Tape() as tape:
        y = f.total(a * a * b)
    return tape.gradient(y, {"b": [a, unused], "a": (b,)})


@program
def zeros_for_the_unconnected(f):
    a, unused = f.variable(2.0), f.variable([1.0, 1.0])
    with f.Tape() as tape:
        y = a * a
    return tape.gradient(y, [a, unused], unconnected_gradients=f.ZERO)


@program
def several_targets_that_are_not_scalars(f):
    a = f.variable([[1.0, 2.0], [3.0, 4.0]])
    with f.Tape() as tape:
        y = {"p": a * a, "q": [f.sin(a), a * 3.0]}
    return tape.gradient(y, a)


@program
def output_gradients(f):
    a = f.variable([1.0, 2.0])
    with f.Tape() as tape:
        y, z = a * a, f.exp(a)
    return tape.gradient([y, z], [a], output_gradients=[f.constant([10.0, 1.0]), f.constant([1.0, 2.0])])


@program
def second_order(f):
    x = f.constant([1.0, 2.0])
    with f.Tape() as outer:
        outer.watch(x)
        with f.Tape() as inner:
            inner.watch(x)
            y = f.total(x * x * x)
        first = inner.gradient(y, x)
    return [first, outer.gradient(first, x)]


@program
def third_order_by_a_persistent_tape(f):
    x = f.variable(2.0)
    with f.Tape(persistent=True) as outer:
        with f.Tape() as middle:
            with f.Tape() as inner:
                y = x * x * x * x
            first = inner.gradient(y, x)
        second = middle.gradient(first, x)
    return [second, outer.gradient(second, x), outer.gradient(first, x), outer.gradient(y, x)]


@program
def persistent_twice(f):
    x = f.constant(3.0)
    with f.Tape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
        z = y * y
    return [tape.gradient(z, x), tape.gradient(y, x), tape.gradient(z, y)]


@program
def two_tapes_over_one_computation(f):
    g, d = f.variable(2.0), f.variable(3.0)
    with f.Tape() as one, f.Tape() as two:
        fake = f.sin(g)
        score = fake * d * d
        loss_g, loss_d = score * 2.0, score * score
    return [one.gradient(loss_g, g), two.gradient(loss_d, d)]


@program
def a_penalty_on_the_gradient(f):
    w, x = f.variable([[1.0], [2.0]]), f.constant([[0.5, -1.0]])
    with f.Tape() as outer:
        with f.Tape() as inner:
            inner.watch(x)
            score = f.total(f.sin(f.matmul(x, w)))
        slope = inner.gradient(score, x)
        loss = score + f.total(slope * slope)
    return outer.gradient(loss, w)


@program
def what_was_made_before_the_tape_is_constant(f):
    w = f.variable(2.0)
    old = w * w
    with f.Tape() as tape:
        y = old * w
    return [tape.gradient(y, w)]


@program
def only_connected_through_the_past(f):
    w = f.variable(2.0)
    old = w * w
    with f.Tape() as tape:
        y = old * 3.0
    return [tape.gradient(y, w)]


@program
def what_was_made_after_the_tape_is_not_recorded(f):
    w = f.variable(2.0)
    with f.Tape() as tape:
        y = w * w
    z = y * 2.0
    return [tape.gradient(z, w)]


@program
def a_watched_tensor_from_before(f):
    w = f.variable(2.0)
    h = w * w
    with f.Tape(persistent=True) as tape:
        tape.watch(h)
        y = h * h * w
    return [tape.gradient(y, h), tape.gradient(y, w)]


@program
def an_unwatched_tensor_from_before(f):
    w = f.variable(2.0)
    h = w * w
    with f.Tape() as tape:
        y = h * h * w
    return [tape.gradient(y, h)]


@program
def an_unwatched_constant(f):
    x = f.constant(2.0)
    with f.Tape() as tape:
        y = x * x
    return [tape.gradient(y, x)]


@program
def variables_not_accessed_automatically(f):
    a, b = f.variable(2.0), f.variable(5.0)
    with f.Tape(watch_accessed_variables=False) as tape:
        tape.watch(a)
        y = a * a * b
    return tape.gradient(y, [a, b])


@program
def stop_recording(f):
    w = f.variable(2.0)
    with f.Tape() as tape:
        y = w * w
        with tape.stop_recording():
            side = y * w
        z = y * side
    return [tape.gradient(z, w)]


@program
def reset(f):
    w = f.variable(2.0)
    with f.Tape() as tape:
        y = w * w
        tape.reset()
        z = y * w
    return [tape.gradient(z, w)]


@program
def integers(f):
    w, n = f.variable(2.0), f.variable(3)
    with f.Tape(persistent=True) as tape:
        y = f.cast_int(w * w)
        z = w * w
    return [tape.gradient(y, w), tape.gradient(z, [w, n])]


@program
def ties(f):
    a = f.variable([1.0, 3.0, 3.0, 2.0])
    with f.Tape() as tape:
        y = f.maximum(a)
    return [tape.gradient(y, a)]


@program
def target_is_source(f):
    a = f.variable([1.0, 2.0])
    with f.Tape() as tape:
        y = a * 1.0
    return [tape.gradient([y, a], a)]


@program
def one_half_of_a_split(f):
    a = f.variable([1.0, 2.0, 3.0, 4.0])
    with f.Tape(persistent=True) as tape:
        b = a * a
        left, _ = f.split(b)
        y = f.total(left * left)
    return [tape.gradient(y, a), tape.gradient(y, left), tape.gradient(y, b)]


@program
def jacobians(f):
    w = f.variable([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    unused = f.variable(1.0)
    with f.Tape(persistent=True) as tape:
        y = f.sin(w) * f.total(w)
    fast = tape.jacobian(y, [w, unused])
    return [fast, tape.jacobian(y, w, experimental_use_pfor=False), tape.batch_jacobian(y * 1.0, w, f.ZERO)]


@program
def batch_jacobian(f):
    x = f.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    with f.Tape() as tape:
        tape.watch(x)
        y = f.matmul(x * x, f.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    return [tape.batch_jacobian(y, x)]


@program
def gradient_inside_the_context(f):
    x = f.constant(2.0)
    with f.Tape(persistent=True) as tape:
        tape.watch(x)
        y = x * x * x
        first = tape.gradient(y, x)
    return [first, tape.gradient(first, x)]


@program
def custom_gradient(f):
    @f.custom_gradient
    def clipped(x, scale):
        y = x * x * scale

        def grad(upstream):
            return upstream * 0.5 * x, f.total(upstream * 7.0)

        return y, grad

    a, s = f.variable([1.0, 2.0]), f.variable(3.0)
    with f.Tape() as outer:
        with f.Tape() as inner:
            y = clipped(a * 2.0, s)
        first = inner.gradient(y, [a, s])
    return [y, first, outer.gradient(first[0], a)]


@program
def custom_gradient_with_variables(f):
    w = f.variable([2.0, 3.0])

    @f.custom_gradient
    def scaled(x):
        y = x * w

        def grad(upstream, variables=None):
            return upstream * 10.0, [upstream * 100.0 for _ in variables]

        return y, grad

    x = f.variable([1.0, 1.0])
    with f.Tape() as tape:
        y = scaled(x)
    return tape.gradient(y, [x, w])


@program
def float64_and_scalars(f):
    a = f.variable(np.array([1.0, 2.0]))
    with f.Tape() as tape:
        y = a * a
    return tape.gradient(y, [a])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_program_gives_what_tensorflow_gives(name):
    assert plain(PROGRAMS[name](OURS)) == plain(PROGRAMS[name](THEIRS))


def test_a_spent_tape_refuses_and_gives_tensors_back():
    x = torch.ones(2)
    with ours.GradientTape() as tape:
        tape.watch(x)
        y = x * x
    assert x.requires_grad
    tape.gradient(y, x)
    assert not x.requires_grad
    with pytest.raises(RuntimeError, match="one set of gradients"):
        tape.gradient(y, x)
    with pytest.raises(RuntimeError, match="one set of gradients"):
        tape.jacobian(y, x)


def test_a_persistent_tape_gives_tensors_back_when_it_dies():
    x = torch.ones(2)
    with ours.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
    assert tape.gradient(y, x).tolist() == [2.0, 2.0] and x.requires_grad
    del tape
    gc.collect()
    assert not x.requires_grad


def test_an_outer_tape_keeps_what_an_inner_one_watched_first():
    x = torch.tensor(3.0)
    with ours.GradientTape() as outer:
        with ours.GradientTape() as inner:
            inner.watch(x)
            outer.watch(x)
            y = x * x
        inner.gradient(y, x)
        z = x * x * x
    assert outer.gradient(z, x).item() == 27.0 and not x.requires_grad


def test_the_graph_is_freed_when_no_tape_needs_it():
    w = nn.Parameter(torch.tensor(2.0))
    with ours.GradientTape() as tape:
        y = w.exp()
    tape.gradient(y, w)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(y, w)


def test_a_state_carried_over_from_a_spent_tape_is_named():
    w, state = nn.Parameter(torch.tensor(0.5)), torch.tensor(1.0)
    with ours.GradientTape() as tape:
        state = torch.sin(w * state)
    tape.gradient(state, w)
    with ours.GradientTape() as tape:
        y = torch.sin(w * state)
    with pytest.raises(RuntimeError, match="detach"):
        tape.gradient(y, w)


def test_a_tape_records_under_no_grad_and_restores_the_mode():
    w = nn.Parameter(torch.tensor(2.0))
    with torch.no_grad():
        with ours.GradientTape() as tape:
            y = w * w
        assert not torch.is_grad_enabled()
    assert tape.gradient(y, w).item() == 4.0 and w.grad is None


def test_misuse_is_refused():
    tape = ours.GradientTape()
    with pytest.raises(RuntimeError, match="does not record"), tape.stop_recording():
        pass
    with tape:
        with pytest.raises(ValueError, match="records already"):
            tape.__enter__()
        with pytest.raises(TypeError, match="watches tensors, not ndarray"):
            tape.watch(np.ones(2))
        with pytest.warns(UserWarning, match="must be floating"):
            tape.watch(torch.arange(2))
        with pytest.raises(NotImplementedError, match=r"model\.parameters"):
            tape.watched_variables()
    with pytest.raises(TypeError, match="not None"):
        tape.gradient(None, [])
    with tape, pytest.raises(ValueError, match="'none' or 'zero'"):
        tape.gradient(torch.ones(1), [torch.ones(1)], unconnected_gradients="zeros")


def test_gradients_of_tensorflow_1():
    with tf.Graph().as_default():
        a, b, unused = (tf.compat.v1.placeholder(tf.float32, [2]) for _ in range(3))
        h = a * b
        y = [h * h, a * 3.0]
        found = tf.gradients(y, [a, b, unused], grad_ys=[tf.constant([1.0, 2.0]), None], stop_gradients=[b])
        stopped = tf.gradients(y, [a, h], stop_gradients=[h])
        second = tf.gradients(tf.gradients(y[0], a)[0], a)
        assert found[2] is None
        with tf.compat.v1.Session() as session:
            reference = session.run([found[:2], stopped, second], {a: [1.0, 2.0], b: [3.0, 4.0]})
    a, b, unused = (torch.tensor(v, requires_grad=True) for v in ([1.0, 2.0], [3.0, 4.0], [0.0, 0.0]))
    h = a * b
    y = [h * h, a * 3.0]
    found = ours.gradients(y, [a, b, unused], grad_ys=[torch.tensor([1.0, 2.0]), None], stop_gradients=[b])
    stopped = ours.gradients(y, [a, h], stop_gradients=[h])
    second = ours.gradients(ours.gradients(y[0], a)[0], a)
    assert found[2] is None
    mine = [found[:2], stopped, second]
    for theirs, group in zip(reference, mine):
        assert [t.tolist() for t in theirs] == [t.tolist() for t in group]
    assert ours.gradients(y, unused, unconnected_gradients="zero")[0].tolist() == [0.0, 0.0]


def test_custom_gradient_must_take_variables_that_the_function_reads():
    w = nn.Parameter(torch.ones(1))
    function = ours.custom_gradient(lambda x: (x * w, lambda upstream: upstream))
    with pytest.raises(TypeError, match="`variables`"):
        function(torch.ones(1, requires_grad=True))
