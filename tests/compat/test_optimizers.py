"""Tests the optimisers against Keras and TensorFlow 1: 20 steps on gradients large, tiny and missing, state, interface."""

import copy
import io
import os
import pickle

import numpy as np
import pytest
import torch
from torch import nn

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
tf = pytest.importorskip("tensorflow")

from tfport.rules import keras_optimizers as ours  # noqa: E402
from tfport.rules import schedules  # noqa: E402
from tfport.rules import train_v1 as v1  # noqa: E402

SHAPES = [(3, 4), (5,), (2, 2, 3), (6,), (4,)]
LIMIT = {"float32": 1e-6, "float64": 1e-12}


def problem(dtype, steps=20):
    """Start values and gradients: normal, tiny (1e-9), mixed scales, and one variable that has none at even steps."""
    rng = np.random.default_rng(3)
    start = [rng.standard_normal(s).astype(dtype) for s in SHAPES]
    scales = [1.0, 1e-9, 10.0, 1e-4, 1.0]
    grads = [
        [(rng.standard_normal(s) * c).astype(dtype) for s, c in zip(SHAPES, scales)] for _ in range(steps)
    ]
    for i, step in enumerate(grads):
        if i % 2 == 0:
            step[4] = None
    return start, grads


def movement_error(start, reference, candidate):
    """Largest difference relative to the largest value of a variable, and relative to the largest movement."""
    value = max(np.abs(r - c).max() / np.abs(r).max() for r, c in zip(reference, candidate))
    moved = max(
        np.abs(r - c).max() / max(np.abs(r - s).max(), 1e-30) for s, r, c in zip(start, reference, candidate)
    )
    return value, moved


def rounding(run, start, grads, reference):
    """What float32 does in Ftrl, which subtracts roots that are nearly equal: three times as far as the reference in
    float32 is from itself in float64, at least `LIMIT`. Which way a last digit falls depends on the processor.
    """
    exact = run([s.astype("float64") for s in start],
                [[None if g is None else g.astype("float64") for g in step] for step in grads])  # fmt: skip
    return max(LIMIT["float32"], 3 * movement_error(start, exact, reference)[0])


def run_keras(optimizer, start, grads):
    variables = [tf.Variable(s) for s in start]
    optimizer.build(variables)
    for step in grads:
        optimizer.apply_gradients(
            [(None if g is None else tf.constant(g), v) for g, v in zip(step, variables)]
        )
    return [v.numpy() for v in variables]


def run_old(optimizer, start, grads):
    """TensorFlow 1's optimizers, and Keras' that take their variables with the first gradients."""
    variables = [tf.Variable(s) for s in start]
    for step in grads:
        optimizer.apply_gradients(
            [(None if g is None else tf.constant(g), v) for g, v in zip(step, variables)]
        )
    return [v.numpy() for v in variables]


def run_ours(optimizer, start, grads, variables=None):
    variables = [nn.Parameter(torch.tensor(s)) for s in start] if variables is None else variables
    if hasattr(optimizer, "apply"):
        optimizer.build(variables)
    for step in grads:
        optimizer.apply_gradients(
            [(None if g is None else torch.tensor(g), v) for g, v in zip(step, variables)]
        )
    return [v.detach().numpy().copy() for v in variables]


CASES = [
    ("Adam", {}), ("Adam", {"learning_rate": 0.05, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}),
    ("Adam", {"amsgrad": True}), ("Adam", {"weight_decay": 0.01}), ("Adam", {"clipnorm": 0.5}),
    ("Adam", {"clipvalue": 0.1}), ("Adam", {"global_clipnorm": 1.0}), ("Adam", {"epsilon": 0.1}),
    ("Adam", {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 3}),
    ("Adam", {"gradient_accumulation_steps": 3}), ("SGD", {"loss_scale_factor": 8.0, "learning_rate": 0.1}),
    ("AdamW", {}), ("AdamW", {"weight_decay": 0.1, "learning_rate": 0.01}),
    ("SGD", {}), ("SGD", {"learning_rate": 0.1, "momentum": 0.9}), ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("SGD", {"learning_rate": 0.1, "weight_decay": 0.01, "momentum": 0.8}),
    ("RMSprop", {}), ("RMSprop", {"centered": True, "rho": 0.8}), ("RMSprop", {"momentum": 0.9}),
    ("RMSprop", {"momentum": 0.9, "centered": True, "epsilon": 1e-3}),
    ("Adagrad", {}), ("Adagrad", {"initial_accumulator_value": 0.5, "learning_rate": 0.1}),
    ("Adadelta", {}), ("Adadelta", {"learning_rate": 1.0, "rho": 0.9}),
    ("Adamax", {}), ("Adamax", {"learning_rate": 0.02, "beta_1": 0.8}),
    ("Nadam", {}), ("Nadam", {"beta_1": 0.8, "learning_rate": 0.01}), ("Nadam", {"gradient_accumulation_steps": 2}),
    ("Ftrl", {}), ("Ftrl", {"learning_rate": 0.1, "l1_regularization_strength": 0.01, "beta": 0.1,
                            "l2_regularization_strength": 0.1, "l2_shrinkage_regularization_strength": 0.01}),
    ("Lion", {}), ("Lion", {"weight_decay": 0.1}),
    ("Lamb", {}), ("Lamb", {"learning_rate": 0.05, "beta_1": 0.5, "epsilon": 1e-3, "weight_decay": 0.1}),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "options"), CASES, ids=[f"{n}-{'-'.join(o) or 'default'}" for n, o in CASES]
)
def test_twenty_steps_equal_keras(name, options, dtype):
    start, grads = problem(dtype)

    def run_theirs(start, grads):
        return run_keras(getattr(tf.keras.optimizers, name)(**options), start, grads)

    reference = run_theirs(start, grads)
    value, moved = movement_error(start, reference, run_ours(getattr(ours, name)(**options), start, grads))
    if os.environ.get("TFPORT_FIGURES"):
        print(f"FIG {name} {options} {dtype} value {value:.1e} moved {moved:.1e}")
    limit = LIMIT[dtype]
    if name == "Ftrl":
        limit = 1e-10 if dtype == "float64" else rounding(run_theirs, start, grads, reference)
    assert value <= limit


V1_CASES = [
    ("AdamOptimizer", {}), ("AdamOptimizer", {"learning_rate": 0.05, "beta1": 0.5, "epsilon": 0.1}),
    ("GradientDescentOptimizer", {"learning_rate": 0.1}),
    ("MomentumOptimizer", {"learning_rate": 0.1, "momentum": 0.9}),
    ("MomentumOptimizer", {"learning_rate": 0.1, "momentum": 0.9, "use_nesterov": True}),
    ("RMSPropOptimizer", {"learning_rate": 0.01}),
    ("RMSPropOptimizer", {"learning_rate": 0.01, "decay": 0.8, "momentum": 0.9, "epsilon": 1e-3}),
    ("RMSPropOptimizer", {"learning_rate": 0.01, "momentum": 0.5, "centered": True}),
    ("AdagradOptimizer", {"learning_rate": 0.1}), ("AdadeltaOptimizer", {}),
    ("AdadeltaOptimizer", {"learning_rate": 1.0, "rho": 0.9}), ("FtrlOptimizer", {"learning_rate": 0.1}),
    ("FtrlOptimizer", {"learning_rate": 0.1, "l1_regularization_strength": 0.01, "l2_regularization_strength": 0.1,
                       "l2_shrinkage_regularization_strength": 0.01, "beta": 0.1}),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "options"), V1_CASES, ids=[f"{n}-{'-'.join(o) or 'default'}" for n, o in V1_CASES]
)
def test_twenty_steps_equal_tensorflow_1(name, options, dtype):
    start, grads = problem(dtype)

    def run_theirs(start, grads):
        return run_old(getattr(tf.compat.v1.train, name)(**options), start, grads)

    reference = run_theirs(start, grads)
    value, moved = movement_error(start, reference, run_ours(getattr(v1, name)(**options), start, grads))
    if os.environ.get("TFPORT_FIGURES"):
        print(f"FIG {name} {options} {dtype} value {value:.1e} moved {moved:.1e}")
    limit = LIMIT[dtype]
    if name == "FtrlOptimizer":
        limit = 1e-10 if dtype == "float64" else rounding(run_theirs, start, grads, reference)
    assert value <= limit


LEGACY_CASES = [
    ("Adam", {}), ("Adam", {"amsgrad": True, "epsilon": 1e-3}), ("Adam", {"decay": 0.1}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "decay": 0.05}), ("Adamax", {}), ("Nadam", {}),
    ("Nadam", {"schedule_decay": 0.1}), ("RMSprop", {}), ("RMSprop", {"centered": True}), ("RMSprop", {"momentum": 0.9, "centered": True}),
    ("RMSprop", {"momentum": 0.5, "decay": 0.1}), ("Adagrad", {}), ("Adagrad", {"learning_rate": 0.1, "epsilon": 1e-2}),
    ("Adadelta", {}), ("Ftrl", {}), ("Adam", {"clipnorm": 0.5}), ("SGD", {"global_clipnorm": 0.5}),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "options"), LEGACY_CASES, ids=[f"{n}-{'-'.join(o) or 'default'}" for n, o in LEGACY_CASES]
)
def test_twenty_steps_equal_keras_2(name, options):
    keras_2 = pytest.importorskip("tf_keras")
    start, grads = problem("float32")

    def run_theirs(start, grads):
        return run_old(getattr(keras_2.optimizers.legacy, name)(**options), start, grads)

    reference = run_theirs(start, grads)
    mine = getattr(ours, f"Legacy{name}", None) or getattr(ours, name)
    value, moved = movement_error(start, reference, run_ours(mine(**options), start, grads))
    if os.environ.get("TFPORT_FIGURES"):
        print(f"FIG legacy {name} {options} value {value:.1e} moved {moved:.1e}")
    assert value <= (rounding(run_theirs, start, grads, reference) if name == "Ftrl" else LIMIT["float32"])


SCHEDULES = [
    ("ExponentialDecay", (0.1, 7, 0.9), {}), ("ExponentialDecay", (0.1, 7, 0.9), {"staircase": True}),
    ("InverseTimeDecay", (0.1, 7, 0.5), {}), ("InverseTimeDecay", (0.1, 7, 0.5), {"staircase": True}),
    ("PiecewiseConstantDecay", ([5, 20, 33], [0.1, 0.05, 0.02, 0.01]), {}),
    ("PiecewiseConstantDecay", ([5.5, 20.5], [0.1, 0.05, 0.02]), {}),
    ("PolynomialDecay", (0.1, 20), {"power": 2.0}), ("PolynomialDecay", (0.1, 12), {"cycle": True, "power": 0.5}),
    ("CosineDecay", (0.1, 30), {"alpha": 0.1}),
    ("CosineDecay", (0.01, 30), {"warmup_target": 0.2, "warmup_steps": 10}),
    ("CosineDecayRestarts", (0.1, 9), {}), ("CosineDecayRestarts", (0.1, 9), {"t_mul": 1.5, "m_mul": 0.7, "alpha": 0.1}),
    ("CosineDecayRestarts", (0.1, 9), {"t_mul": 1.0, "m_mul": 0.9}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "options"), SCHEDULES)
def test_schedules_equal_keras_over_fifty_steps(name, args, options):
    theirs = getattr(tf.keras.optimizers.schedules, name)(*args, **options)
    mine = getattr(schedules, name)(*args, **options)
    steps = range(50)
    reference = np.array([float(theirs(tf.constant(s, tf.int64))) for s in steps])
    candidate = np.array([float(mine(torch.tensor(s))) for s in steps])
    assert np.abs(reference - candidate).max() <= 2e-7 * reference.max()
    assert mine(torch.tensor(3)).dtype == torch.float32


V1_DECAYS = [
    ("exponential_decay", (0.1, 7, 0.9), {"staircase": True}), ("polynomial_decay", (0.1, 12), {"cycle": True}),
    ("natural_exp_decay", (0.1, 7, 0.9), {}), ("inverse_time_decay", (0.1, 7, 0.5), {}),
    ("cosine_decay", (0.1, 30), {"alpha": 0.2}), ("cosine_decay_restarts", (0.1, 9), {"m_mul": 0.8}),
    ("linear_cosine_decay", (0.1, 30), {"num_periods": 2.0, "alpha": 0.1}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "options"), V1_DECAYS)
def test_decay_functions_equal_tensorflow_1_and_follow_the_step(name, args, options):
    step, their_step = torch.zeros((), dtype=torch.int64), tf.Variable(0, dtype=tf.int64)
    mine = getattr(schedules, name)(args[0], step, *args[1:], **options)
    theirs = getattr(tf.compat.v1.train, name)(args[0], their_step, *args[1:], **options)
    for _ in range(50):
        assert float(mine) == pytest.approx(float(theirs()), rel=2e-6, abs=1e-8)
        step += 1
        their_step.assign_add(1)


def test_piecewise_constant_and_arithmetic_on_it_follow_the_step():
    step = torch.zeros((), dtype=torch.int64)
    rate = schedules.piecewise_constant(step, [2, 4], [1.0, 0.5, 0.25])
    scaled, smallest = 2.0 * rate, torch.clamp(rate, max=0.3)
    seen = []
    for _ in range(6):
        seen.append((float(rate), float(scaled), round(float(smallest), 6)))
        step += 1
    assert seen == [(1.0, 2.0, 0.3)] * 3 + [(0.5, 1.0, 0.3)] * 2 + [(0.25, 0.5, 0.25)]
    assert torch.equal(rate * torch.ones(2), torch.full((2,), 0.25))


def test_a_schedule_counts_the_steps_of_its_optimizer():
    start, grads = problem("float32")
    reference = run_keras(tf.keras.optimizers.SGD(tf.keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5), 0.9),
                          start, grads)  # fmt: skip
    optimizer = ours.SGD(schedules.ExponentialDecay(0.1, 3, 0.5), 0.9)
    with pytest.warns(UserWarning, match="1 of 5 variables have no gradient"):
        candidate = run_ours(optimizer, start, grads)
    assert movement_error(start, reference, candidate)[0] <= 1e-6
    assert float(optimizer.learning_rate) == pytest.approx(0.1 * 0.5 ** (20 / 3), rel=1e-6)
    with pytest.raises(TypeError, match="made with a schedule"):
        optimizer.learning_rate = 0.1


def quadratic(optimizer_of, steps=6):
    """Train with torch's loop on a small network; returns its parameters' values and the losses."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = optimizer_of(model)
    x = torch.randn(16, 4)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return model, optimizer, x, losses


@pytest.mark.parametrize(
    "name", ["Adam", "SGD", "RMSprop", "Nadam", "Ftrl", "AdamOptimizer", "RMSPropOptimizer"]
)
@pytest.mark.parametrize("how", ["state_dict", "pickle", "deepcopy"])
def test_state_saves_and_resumes(name, how):
    cls = getattr(ours, name, None) or getattr(v1, name)
    options = {"learning_rate": 0.05} | ({"momentum": 0.9} if name in ("SGD", "RMSprop") else {})

    def make(model):
        return cls(params=model.parameters(), **options)

    model, optimizer, x, _ = quadratic(make)
    if how == "deepcopy":
        other, again = copy.deepcopy((model, optimizer))
    elif how == "pickle":
        other, again = pickle.loads(pickle.dumps((model, optimizer)))
    else:
        other = copy.deepcopy(model)
        again = make(other)
        file = io.BytesIO()
        torch.save(optimizer.state_dict(), file)
        file.seek(0)
        again.load_state_dict(torch.load(file, weights_only=True))
    for m, o in ((model, optimizer), (other, again)):
        for _ in range(4):
            o.zero_grad()
            (m(x) - x.sum(1, keepdim=True)).square().mean().backward()
            o.step()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters()))
    assert int(again.param_groups[0]["iterations"]) == 10


def test_step_and_apply_gradients_are_the_same_step():
    model, _, x, losses = quadratic(lambda m: ours.Adam(0.01, params=m.parameters()))
    torch.manual_seed(0)
    twin = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = ours.Adam(0.01)
    for _ in range(6):
        loss = (twin(x) - x.sum(1, keepdim=True)).square().mean()
        variables = list(twin.parameters())
        count = optimizer.apply_gradients(zip(torch.autograd.grad(loss, variables), variables))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters()))
    assert losses[-1] < losses[0] and int(count) == 6 and int(optimizer.iterations) == 6


def test_rates_are_live_per_group_and_known_to_torch_schedulers():
    p, q = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = ours.SGD(1.0, params=[{"params": [p]}, {"params": [q], "lr": 0.1}])
    p.grad, q.grad = torch.ones(2), torch.ones(2)
    optimizer.step()
    assert p.tolist() == [0.0, 0.0] and q.tolist() == pytest.approx([0.9, 0.9])
    optimizer.learning_rate = 0.5
    optimizer.step()
    assert p.tolist() == [-0.5, -0.5] and q.tolist() == pytest.approx([0.4, 0.4])
    optimizer.learning_rate.fill_(0.25)
    assert float(optimizer.lr) == 0.25
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.1)
    optimizer.step()
    scheduler.step()
    assert float(optimizer.learning_rate) == pytest.approx(0.025)


def test_keras_2_spellings_lr_and_decay():
    optimizer = ours.SGD(lr=0.1, decay=0.5)
    p = nn.Parameter(torch.zeros(1))
    for _ in range(3):
        optimizer.apply_gradients([(torch.ones(1), p)])
    assert p.item() == pytest.approx(-(0.1 + 0.1 / 1.5 + 0.1 / 2.0), rel=1e-6)


def test_minimize_in_all_its_forms():
    for optimizer in (ours.SGD(0.1), v1.GradientDescentOptimizer(0.1)):
        w, step = nn.Parameter(torch.tensor([1.0, 2.0])), torch.zeros((), dtype=torch.int64)
        if isinstance(optimizer, ours.SGD):
            optimizer.minimize(lambda w=w: (w * w).sum(), [w])
        else:
            optimizer.minimize((w * w).sum(), global_step=step)
            assert int(step) == 1
        assert w.tolist() == pytest.approx([0.8, 1.6])


def test_compute_gradients_finds_the_variables_and_reports_the_unconnected():
    a, b, unused = (nn.Parameter(torch.full((2,), v)) for v in (1.0, 2.0, 3.0))
    loss = (a * b).sum()
    optimizer = v1.GradientDescentOptimizer(0.1)
    found = optimizer.compute_gradients(loss)
    assert [v is w for (_, v), w in zip(found, (a, b))] == [True, True]
    assert [g if g is None else g.tolist() for g, _ in optimizer.compute_gradients(loss, [unused, a])] == [
        None,
        [2.0, 2.0],
    ]
    with pytest.raises(ValueError, match="no gradients provided"):
        optimizer.apply_gradients([(None, a)])
    with pytest.raises(ValueError, match="no gradients provided"):
        optimizer.minimize(torch.zeros(()))


def test_what_is_refused():
    w, other = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    with pytest.raises(ValueError, match="only one of clipnorm"):
        ours.Adam(clipnorm=1.0, clipvalue=1.0)
    with pytest.raises(ValueError, match="has no argument momentun"):
        ours.Adam(momentun=0.9)
    optimizer = ours.Adam()
    optimizer.build([w])
    with pytest.raises(ValueError, match="unknown variable"):
        optimizer.apply_gradients([(torch.ones(1), other)])
    with pytest.raises(ValueError, match="no gradients provided"):
        optimizer.apply_gradients([(None, w)])


def test_weight_decay_can_leave_variables_out():
    model = nn.Linear(2, 2)
    with torch.no_grad():
        model.weight.fill_(1.0), model.bias.fill_(1.0)
    optimizer = ours.SGD(0.1, weight_decay=0.5, params=model.named_parameters())
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    assert model.bias.tolist() == [1.0, 1.0] and model.weight[0].tolist() == pytest.approx([0.95, 0.95])


def test_config_makes_the_same_optimizer():
    config = ours.RMSprop(0.02, rho=0.8, momentum=0.5, clipnorm=2.0).get_config()
    again = ours.RMSprop.from_config(config)
    assert (again.rho, again.momentum, again.clipnorm, again.centered) == (0.8, 0.5, 2.0, False)
    assert float(again.learning_rate) == pytest.approx(0.02)


def test_a_subclass_of_the_user_overrides_update_step():
    class Signed(ours.Optimizer):
        def update_step(self, gradient, variable, learning_rate):
            seen = self.add_variable_from_reference(variable, "seen", "ones")
            variable.sub_(learning_rate * gradient.sign() * seen)
            seen.add_(1)

    w, optimizer = nn.Parameter(torch.zeros(2)), Signed(0.5)
    for _ in range(2):
        optimizer.apply_gradients([(torch.tensor([3.0, -4.0]), w)])
    assert w.tolist() == [-1.5, 1.5]


def test_optimizers_by_name_and_configuration():
    assert type(ours.get("rmsprop")) is ours.RMSprop and type(ours.get("SGD")) is ours.SGD
    made = ours.deserialize({"class_name": "Adam", "config": {"learning_rate": 0.5, "beta_1": 0.8}})
    assert made.beta_1 == 0.8 and float(made.learning_rate) == 0.5 and ours.get(made) is made
    with pytest.raises(ValueError, match="'adamm' is no optimiser"):
        ours.get("adamm")
