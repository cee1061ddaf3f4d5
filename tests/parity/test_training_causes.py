"""Faults planted in how a twin trains: each is caught, placed in the step, and its cause found by trying it."""

from __future__ import annotations

import pytest

from tests.parity.conftest import replays
from tests.parity.training_programs import captured, write_twin

pytest.importorskip("tensorflow")

STEPS = ["--steps", "3", "--input", "16x6", "--layers", "all"]
CROSS = ["--loss", "sparse_categorical_crossentropy"]
FACTORIES = """

def adamw():
    return keras.optimizers.AdamW(0.01)


def momentum():
    return keras.optimizers.SGD(0.1, momentum=0.9)


def nesterov():
    return keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)


def rmsprop():
    return keras.optimizers.RMSprop(0.01, centered=True)


def adagrad():
    return keras.optimizers.Adagrad(0.1)


def v1_adagrad():
    return tf.compat.v1.train.AdagradOptimizer(0.1)


def v1_rmsprop():
    return tf.compat.v1.train.RMSPropOptimizer(0.01)


def amsgrad():
    return keras.optimizers.Adam(0.01, amsgrad=True)


def apart():
    optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def averaged():
    return keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2)


def by_variable():
    return keras.optimizers.SGD(0.1, clipnorm=0.05)


def by_all():
    return keras.optimizers.SGD(0.1, global_clipnorm=0.05)
"""
OPTIMIZERS = ("make_optimizer", "rising", "adamw", "momentum", "nesterov", "rmsprop", "adagrad", "v1_adagrad",
              "v1_rmsprop", "amsgrad", "apart", "averaged", "by_variable", "by_all")  # fmt: skip
ADAM = "return compat.keras.optimizers.Adam(0.01)"
HALVED = "compat.keras.optimizers.SGD(compat.keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5), momentum=0.9)"
GROUPS = """flat, deep = [p for p in params if p.ndim < 2], [p for p in params if p.ndim > 1]
    groups = [dict(params=deep, weight_decay=0.1), dict(params=flat, weight_decay=0.0)]
    return torch.optim.{}(groups, 0.01, eps=1e-7)"""
TORCHED = """opt = torch.optim.SGD(params, 0.1, momentum=0.9)
    return opt, torch.optim.lr_scheduler.ExponentialLR(opt, 0.5)"""


def factory(name, code):
    """Gives the twin a factory of this name."""
    return ("def build():", f"def {name}(params):\n    {code}\n\n\ndef build():")


def instead(code):
    return (ADAM, f"return {code}")


UPDATES = {
    # epsilon and where it sits
    "epsilon": ("make_optimizer", instead("compat.keras.optimizers.Adam(0.01, epsilon=1e-5)"), "epsilon=1e-07 it agrees (the candidate has 1e-05)"),
    "torch's epsilon": ("make_optimizer", instead("torch.optim.Adam(params, 0.01)"), "epsilon=1e-07 (the candidate has 1e-08) it agrees"),
    "place of epsilon": ("make_optimizer", instead("torch.optim.Adam(params, 0.01, eps=1e-7)"), "with epsilon beside the root of the uncorrected average it agrees"),
    "epsilon outside the root": ("rmsprop", factory("rmsprop", "return torch.optim.RMSprop(params, 0.01, 0.9, 1e-7, centered=True)"), "with epsilon inside the root it agrees"),
    # settings
    "second decay": ("make_optimizer", instead("compat.keras.optimizers.Adam(0.01, beta_2=0.99)"), "with beta_2=0.999 it agrees"),
    "first decay": ("make_optimizer", instead("compat.keras.optimizers.Adam(0.01, beta_1=0.95)"), "with beta_1=0.9 it agrees"),
    "rate": ("make_optimizer", instead("compat.keras.optimizers.Adam(0.001)"), "with the reference's learning rates it agrees"),
    "amsgrad": ("amsgrad", factory("amsgrad", ADAM), "with amsgrad=True it agrees (the candidate has False)"),
    "weight decay": ("adamw", factory("adamw", "return compat.keras.optimizers.AdamW(0.01, weight_decay=0.01)"), "with weight_decay=0.004 it agrees (the candidate has 0.01)"),
    "decay that is not there": ("momentum", factory("momentum", "return torch.optim.SGD(params, 0.1, 0.9, weight_decay=1e-2)"), "with weight_decay=none it agrees"),
    "decay of all": ("apart", factory("apart", "return compat.keras.optimizers.AdamW(0.01, weight_decay=0.1)"), "with weight decay that leaves out first.bias, bn.weight, bn.bias ... (the candidate's leaves out 0 of 8) it agrees"),
    "decay of all in torch": ("apart", factory("apart", "return torch.optim.AdamW(params, 0.01, weight_decay=0.1, eps=1e-7)"), "leaves out first.bias, bn.weight, bn.bias ... (the candidate's leaves out 0 of 8) it agrees"),
    "decay in the gradient": ("apart", factory("apart", GROUPS.format("Adam")), "with weight decay taken off the weight, not added to the gradient, and epsilon beside the root of the uncorrected average it agrees"),
    "decay apart in torch": ("apart", factory("apart", GROUPS.format("AdamW")), "with epsilon beside the root of the uncorrected average it agrees"),
    "no average": ("averaged", factory("averaged", "return torch.optim.SGD(params, 0.1)"), "use_ema=True (the candidate has False)"),
    "nesterov": ("nesterov", factory("nesterov", "return torch.optim.SGD(params, 0.1, momentum=0.9)"), "with nesterov=True it agrees (the candidate has False)"),
    "no nesterov": ("momentum", factory("momentum", "return torch.optim.SGD(params, 0.1, momentum=0.9, nesterov=True)"), "with nesterov=False it agrees (the candidate has True)"),
    "less momentum": ("momentum", factory("momentum", "return torch.optim.SGD(params, 0.1, momentum=0.8)"), "with momentum=0.9 it agrees (the candidate has 0.8)"),
    "dampening": ("momentum", factory("momentum", "return torch.optim.SGD(params, 0.1, momentum=0.9, dampening=0.5)"), "with dampening=0 it agrees (the candidate has 0.5)"),
    "not centred": ("rmsprop", factory("rmsprop", "return compat.keras.optimizers.RMSprop(0.01)"), "with centered=True it agrees (the candidate has False)"),
    "rho": ("rmsprop", factory("rmsprop", "return compat.keras.optimizers.RMSprop(0.01, rho=0.99, centered=True)"), "with rho=0.9 it agrees (the candidate has 0.99)"),
    # state
    "initial accumulator": ("adagrad", factory("adagrad", "return torch.optim.Adagrad(params, 0.1)"), "with initial_accumulator_value=0.1 it agrees (the candidate has 0)"),
    "initial accumulator of TF1": ("v1_adagrad", factory("v1_adagrad", "return torch.optim.Adagrad(params, 0.1, eps=0.0)"), "with initial_accumulator_value=0.1 it agrees (the candidate has 0)"),
    "an average that starts at 0": ("v1_rmsprop", factory("v1_rmsprop", "return torch.optim.RMSprop(params, 0.01, 0.9, 1e-10)"), "with an average that starts at 1 and epsilon inside the root it agrees"),
    # form and schedule
    "form of the momentum": ("rising", (f"return {HALVED}", TORCHED), "with the learning rate inside the velocity it agrees"),
    "schedule one ahead": ("rising", (HALVED, HALVED.replace("ay(0.1", "ay(0.05")), "its schedule is one step ahead"),
    "schedule one behind": ("rising", (HALVED, HALVED.replace("ay(0.1", "ay(0.2")), "its schedule is one step behind"),
    # clipping
    "clipped together": ("by_variable", factory("by_variable", "return compat.keras.optimizers.SGD(0.1, global_clipnorm=0.05)"), "each gradient by its own norm at 0.05 it agrees|clipnorm=0.05"),
    "clipped apart": ("by_all", factory("by_all", "return compat.keras.optimizers.SGD(0.1, clipnorm=0.05)"), "by the norm of all gradients together at 0.05 it agrees|global_clipnorm=0.05"),
    "not clipped": ("by_all", factory("by_all", "return torch.optim.SGD(params, 0.1)"), "by the norm of all gradients together at 0.05 it agrees"),
    # another one
    "SGD for Adam": ("make_optimizer", instead("torch.optim.SGD(params, 0.01)"), "with Adam it agrees (the candidate has SGD)"),
}  # fmt: skip
BATCHNORM = "compat.keras.modules.BatchNorm(8, eps=1e-3, momentum=0.01)"
MODULES = {
    "momentum of torch's convention": ("statistics", (BATCHNORM, BATCHNORM.replace("0.01", "0.99")), "with momentum=0.01 it agrees (bn has 0.99"),
    "momentum": ("statistics", (BATCHNORM, BATCHNORM.replace("0.01", "0.1")), "with momentum=0.01 it agrees (bn has 0.1"),
    "unbiased variance": ("statistics", (BATCHNORM, "nn.BatchNorm1d(8, eps=1e-3, momentum=0.01)"), "with the biased running variance it agrees"),
    "torch's defaults": ("statistics", (BATCHNORM, "nn.BatchNorm1d(8, eps=1e-3)"), "with the biased running variance and momentum=0.01 it agrees"),
    "epsilon of the norm": ("forward", (BATCHNORM, BATCHNORM.replace("1e-3", "1e-5")), "with eps=0.001 it agrees (bn has 1e-05)"),
    "norm in inference mode": ("forward", ("self.bn(torch", "self.bn.eval()(torch"), "in training mode it agrees"),
}  # fmt: skip
LOSSES = {
    "a sum for a mean": ("absolute", "forward", ("(x - y).abs().mean()", "(x - y).abs().sum()"), "with the loss divided by 48 it agrees: the candidate has the sum"),
    "a mean for a sum": ("total", "forward", ("def build():", "def total(y, x):\n    return (x - y).abs().mean()\n\n\ndef build():"), "with the loss multiplied by 48 it agrees: the candidate has the mean"),
    "logits taken for probabilities": ("classes", "forward", ("def build():", "def classes(y, x):\n    return F.nll_loss(torch.log(x.clamp(1e-7, 1)), y)\n\n\ndef build():"), "with softmax before the loss it agrees"),
}  # fmt: skip
STEP = {
    "gradients that add up": ("gradient", ("    optimizer.zero_grad()\n", ""), "with the gradients set to zero before each step it agrees"),
    "clipped apart": ("update", ("    nn.utils.clip_grad_norm_(model.parameters(), 0.25)\n", "    for p in model.parameters():\n        nn.utils.clip_grad_norm_([p], 0.25)\n"), "with clipping by the norm of all gradients together at 0.25 it agrees"),
    "inference mode": ("forward", ("    model.train()\n    optimizer", "    model.eval()\n    optimizer"), "in training mode it agrees"),
    "a scaled loss": ("gradient", ("    loss.backward()", "    (4 * loss).backward()"), "with the gradients multiplied by 0.25 it agrees"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny tensors: threads would only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def goldens(tmp_path_factory):
    from tests.parity import training_programs

    folder = tmp_path_factory.mktemp("goldens")
    more = """

def total(y, x):
    return tf.reduce_sum(tf.abs(x - y))


def classes(y, x):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=x))
"""
    jobs = {name: ["build", *STEPS, *CROSS, "--optimizer", name] for name in OPTIMIZERS}
    for name in ("absolute", "total"):
        jobs[name] = ["build", *STEPS, "--loss", name, "--target", "16x3", "--optimizer", "make_optimizer()"]
    jobs["classes"] = [
        "build",
        *STEPS,
        "--loss",
        "classes",
        "--target",
        "16:int64<3",
        "--optimizer",
        "momentum",
    ]
    jobs["step"] = ["build", "--steps", "3", "--batches", f"{folder}/net.py:batches", "--train-step", "train_step",
                    "--optimizer", "make_optimizer()"]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_programs, "REFERENCE", training_programs.REFERENCE + FACTORIES + more)
        made = captured(folder, jobs)
    assert not [told for told in made.values() if isinstance(told, str)]
    return made


def trained(golden, tmp_path, *changes):
    twin = write_twin(tmp_path / "twin", *changes)
    ((run, part),) = replays(golden, f"{twin}:build", tmp_path / "out")
    assert run["error"] is None
    if run["training"]["fault"]:
        assert not part.ok
    return run["training"]


def explained(training, place, said):
    assert not training["ok"] and training["fault"]["in"] == place, training["reason"]
    found = [cause["said"] for cause in training["causes"] if cause["agrees"]]
    assert len(found) == 1 and any(text in found[0] for text in said.split("|")), (found, training["causes"])
    assert found[0] in training["reason"]


@pytest.mark.parametrize("name", UPDATES)
def test_a_fault_of_the_optimizer_is_explained(goldens, tmp_path, name):
    golden, change, said = UPDATES[name]
    training = trained(goldens[golden], tmp_path, change)
    explained(training, "update", said)
    assert all(step["in"] in (None, "update") for step in training["per_step"])


@pytest.mark.parametrize("name", MODULES)
def test_a_fault_of_the_normalisation_is_explained(goldens, tmp_path, name):
    place, change, said = MODULES[name]
    training = trained(goldens["make_optimizer"], tmp_path, change)
    explained(training, place, said)
    assert training["fault"]["step"] == 0
    if place == "statistics":
        assert training["fault"]["parameter"].startswith("bn.running_")


@pytest.mark.parametrize("name", LOSSES)
def test_a_fault_of_the_loss_is_explained(goldens, tmp_path, name):
    golden, place, change, said = LOSSES[name]
    more = (
        []
        if golden != "classes"
        else [factory("momentum", "return torch.optim.SGD(params, 0.1, momentum=0.9)")]
    )
    explained(trained(goldens[golden], tmp_path, change, *more), place, said)


@pytest.mark.parametrize("name", STEP)
def test_a_fault_of_the_users_step_is_explained(goldens, tmp_path, name):
    place, change, said = STEP[name]
    explained(trained(goldens["step"], tmp_path, change), place, said)


def test_equal_optimizers_of_torch_pass(goldens, tmp_path):
    for i, (golden, code) in enumerate(
        (
            ("momentum", "torch.optim.SGD(params, 0.1, momentum=0.9)"),
            ("nesterov", "torch.optim.SGD(params, 0.1, momentum=0.9, nesterov=True)"),
            ("adagrad", "torch.optim.Adagrad(params, 0.1, initial_accumulator_value=0.1, eps=0.0)"),
            ("v1_adagrad", "torch.optim.Adagrad(params, 0.1, initial_accumulator_value=0.1, eps=0.0)"),
            ("amsgrad", "compat.keras.optimizers.Adam(0.01, amsgrad=True)"),
        )
    ):
        training = trained(goldens[golden], tmp_path / str(i), factory(golden, f"return {code}"))
        assert training["ok"], (golden, training["reason"])
        assert training["causes"] == [] and training["compared"]["update"] >= 3 * 16


def test_a_cause_that_does_not_help_is_not_named(goldens, tmp_path):
    change = ("torch.tanh(self.square(x))", "torch.tanh(self.square(x) * 1.01)")
    training = trained(goldens["make_optimizer"], tmp_path, change)
    assert not training["ok"] and training["fault"]["in"] == "forward"
    assert len(training["causes"]) > 3 and not any(cause["agrees"] for cause in training["causes"])
    assert "it agrees" not in training["reason"]
