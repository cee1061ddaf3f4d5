"""Training goes on: three steps in TensorFlow, three in torch, against six in TensorFlow; every optimizer and format."""

import json
import pathlib

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn, optim

from tfport import compat
from tfport.weights import WeightsError, load_optimizer, load_weights

KERAS = compat.keras.optimizers
V1 = compat.train
SCHEDULE = KERAS.schedules.ExponentialDecay(0.05, 2, 0.5)
TORCH = {
    "adam": lambda p: optim.Adam(p, 0.01, eps=1e-7),
    "adam_amsgrad": lambda p: optim.Adam(p, 0.01, eps=1e-7, amsgrad=True),
    "adamw": lambda p: optim.AdamW(p, 0.01, eps=1e-7, weight_decay=0.004),
    "sgd": lambda p: optim.SGD(p, 0.05),
    "sgd_momentum": lambda p: optim.SGD(p, 0.05, momentum=0.9),
    "sgd_nesterov": lambda p: optim.SGD(p, 0.05, momentum=0.9, nesterov=True),
    "rmsprop": lambda p: optim.RMSprop(p, 0.01, alpha=0.9, eps=1e-7),
    "rmsprop_momentum": lambda p: optim.RMSprop(p, 0.01, alpha=0.9, eps=1e-7, momentum=0.5),
    "rmsprop_centered": lambda p: optim.RMSprop(p, 0.01, alpha=0.9, eps=1e-7, momentum=0.5, centered=True),
    "adagrad": lambda p: optim.Adagrad(p, 0.05, eps=1e-7),
    "adadelta": lambda p: optim.Adadelta(p, 1.0, rho=0.95, eps=1e-7),
    "adamax": lambda p: optim.Adamax(p, 0.01, eps=1e-7),
    "nadam": lambda p: optim.NAdam(p, 0.01, eps=1e-7, momentum_decay=1.0),
}
EXACT = {
    "adam": lambda p: KERAS.Adam(0.01, params=p), "adam_amsgrad": lambda p: KERAS.Adam(0.01, amsgrad=True, params=p),
    "adam_epsilon": lambda p: KERAS.Adam(0.01, epsilon=0.1, params=p), "adam_schedule": lambda p: KERAS.Adam(SCHEDULE, params=p),
    "adamw": lambda p: KERAS.AdamW(0.01, params=p), "sgd": lambda p: KERAS.SGD(0.05, params=p),
    "sgd_momentum": lambda p: KERAS.SGD(0.05, momentum=0.9, params=p),
    "sgd_nesterov": lambda p: KERAS.SGD(0.05, momentum=0.9, nesterov=True, params=p),
    "sgd_schedule": lambda p: KERAS.SGD(SCHEDULE, momentum=0.9, params=p), "rmsprop": lambda p: KERAS.RMSprop(0.01, params=p),
    "rmsprop_momentum": lambda p: KERAS.RMSprop(0.01, momentum=0.5, params=p),
    "rmsprop_centered": lambda p: KERAS.RMSprop(0.01, momentum=0.5, centered=True, params=p),
    "adagrad": lambda p: KERAS.Adagrad(0.05, params=p), "adadelta": lambda p: KERAS.Adadelta(1.0, params=p),
    "adamax": lambda p: KERAS.Adamax(0.01, params=p), "nadam": lambda p: KERAS.Nadam(0.01, params=p),
    "adam_ema": lambda p: KERAS.Adam(0.01, use_ema=True, ema_momentum=0.5, params=p),
    "adam_sums": lambda p: KERAS.Adam(0.01, gradient_accumulation_steps=2, params=p),
    "scaled_adam": lambda p: KERAS.Adam(0.01, params=p), "frozen_adam": lambda p: KERAS.Adam(0.01, params=p),
    "legacy_nadam": lambda p: KERAS.legacy.Nadam(0.01, params=p),
    "ftrl": lambda p: KERAS.Ftrl(0.05, params=p), "lion": lambda p: KERAS.Lion(0.01, params=p), "lamb": lambda p: KERAS.Lamb(0.01, params=p),
}  # fmt: skip
OF_KERAS2 = {
    "adam": "adam_amsgrad", "sgd_momentum": "sgd_momentum", "adagrad": "adagrad", "rmsprop_centered": "rmsprop_centered",
    "adadelta": "adadelta", "adamax": "adamax", "ftrl": "ftrl", "adamw": "adamw", "sgd": "sgd", "legacy_nadam": "legacy_nadam", "legacy_adam": "adam",
    "legacy_sgd": "sgd_momentum", "legacy_adagrad": "adagrad", "legacy_adamax": "adamax", "legacy_rmsprop": "rmsprop",
}  # fmt: skip
V1_EXACT = {
    "adam": lambda p: V1.AdamOptimizer(0.01, params=p), "momentum": lambda p: V1.MomentumOptimizer(0.05, 0.9, params=p),
    "nesterov": lambda p: V1.MomentumOptimizer(0.05, 0.9, use_nesterov=True, params=p),
    "rmsprop": lambda p: V1.RMSPropOptimizer(0.01, params=p),
    "rmsprop_momentum": lambda p: V1.RMSPropOptimizer(0.01, momentum=0.5, params=p),
    "rmsprop_centered": lambda p: V1.RMSPropOptimizer(0.01, momentum=0.5, centered=True, params=p),
    "adagrad": lambda p: V1.AdagradOptimizer(0.05, params=p), "adadelta": lambda p: V1.AdadeltaOptimizer(1.0, params=p),
    "ftrl": lambda p: V1.FtrlOptimizer(0.05, params=p),
    "gradient_descent": lambda p: V1.GradientDescentOptimizer(0.05, params=p),
}  # fmt: skip
V1_TORCH = {
    "adam": lambda p: optim.Adam(p, 0.01, eps=1e-8), "momentum": lambda p: optim.SGD(p, 0.05, momentum=0.9),
    "nesterov": lambda p: optim.SGD(p, 0.05, momentum=0.9, nesterov=True), "adagrad": lambda p: optim.Adagrad(p, 0.05, eps=0),
    "adadelta": lambda p: optim.Adadelta(p, 1.0, rho=0.95, eps=1e-8), "gradient_descent": lambda p: optim.SGD(p, 0.05),
}  # fmt: skip


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.bn, self.b = (
            nn.Linear(5, 4),
            compat.keras.modules.BatchNorm(4, eps=1e-3, momentum=0.01),
            nn.Linear(4, 3),
        )

    def forward(self, x):
        return self.b(self.bn(torch.tanh(self.a(x))))


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(5, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.b(torch.tanh(self.a(x)))


DENSE = {"kernel": ["weight", "i o -> o i", {}], "bias": ["bias", "o -> o", {}]}
NORM = {"gamma": ["weight", "o -> o", {}], "beta": ["bias", "o -> o", {}], "moving_mean": ["running_mean", "o -> o", {}],
        "moving_variance": ["running_var", "o -> o", {}]}  # fmt: skip


def record(*names):
    kinds = {"a": ("Dense", DENSE), "b": ("Dense", DENSE), "bn": ("BatchNormalization", NORM)}
    layers = [
        {"name": n, "class": kinds[n][0], "path": n, "keras_path": None, "weights": kinds[n][1]}
        for n in names
    ]
    return {"version": 1, "models": {"Net": {"kind": "sequential", "layers": layers}}}


def resumed(npz, checkpoint, make, model, names, change=lambda optimizer: None):
    """(largest relative error of the losses, of the weights) of steps 4 to 6 in torch, and the report."""
    told = np.load(npz)
    kept = record(*names)
    load_weights(model, checkpoint, record=kept, name="Net")
    model.a.requires_grad_("frozen" not in str(checkpoint))
    optimizer = make(model.parameters())
    report = load_optimizer(optimizer, model, checkpoint, record=kept, name="Net")
    assert report.iterations == 3 or isinstance(optimizer, optim.SGD)
    change(optimizer)
    model.train()
    losses = []
    for x, y in zip(torch.from_numpy(told["xs"][3:]), torch.from_numpy(told["ys"][3:]), strict=True):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    wanted = told["losses"][3:]
    weights = [(n, t) for n, t in model.state_dict().items() if "num_batches" not in n]
    order = [told[f"w{i}"] for i in range(len(weights))]
    worst = max(
        float(np.abs(w - (t.numpy().T if t.ndim == 2 else t.numpy())).max() / np.abs(w).max())
        for (_, t), w in zip(weights, order, strict=True)
    )
    return float(np.abs(losses - wanted).max() / np.abs(wanted).max()), worst, report


TABLE = []


@pytest.fixture(scope="module", autouse=True)
def table(request):
    """Prints the errors at the end."""
    yield
    if TABLE:
        lines = [
            f"{kind:<8}{name:<18}{into:<10}losses {a:.1e}  weights {b:.1e}"
            for kind, name, into, a, b in sorted(TABLE)
        ]
        print("\nresume after three of six steps, largest relative errors\n" + "\n".join(lines))


def check(kind, name, into, errors):
    a, b, _ = errors
    TABLE.append((kind, name, into, a, b))
    assert a < 2e-6 and b < 5e-6, (name, into, a, b)


@pytest.mark.parametrize("name", [name for name in EXACT if name != "legacy_nadam"])
@pytest.mark.parametrize("ending", [".keras", ".h5", ".weights.h5", "_ck"])
def test_keras_3_into_kerass_formula(saved, name, ending):
    folder = saved / "keras3"
    errors = resumed(folder / f"{name}.npz", folder / f"{name}{ending}", EXACT[name], Net(), ("a", "bn", "b"))
    check("keras3", name, "compat", errors)


@pytest.mark.parametrize("name", TORCH)
def test_keras_3_into_torch(saved, name):
    folder = saved / "keras3"
    errors = resumed(folder / f"{name}.npz", folder / f"{name}.keras", TORCH[name], Net(), ("a", "bn", "b"))
    limit = {"rmsprop": 5e-4, "rmsprop_momentum": 5e-4, "rmsprop_centered": 5e-4}.get(name)
    TABLE.append(("keras3", name, "torch", *errors[:2]))
    assert errors[0] < (limit or 1e-5) and errors[1] < (limit or 1e-5), (name, errors[:2])


@pytest.mark.parametrize("name", OF_KERAS2)
@pytest.mark.parametrize("ending", [".keras", ".h5", "_ck"])
def test_keras_2(saved, name, ending):
    folder = saved / "keras2"
    if ending == ".keras" and name.startswith("legacy_"):
        pytest.skip("Keras 2 leaves a legacy optimizer's state out of a .keras file")
    errors = resumed(
        folder / f"{name}.npz", folder / f"{name}{ending}", EXACT[OF_KERAS2[name]], Net(), ("a", "bn", "b")
    )
    if name == "legacy_rmsprop":  # another place of epsilon in Keras 2's legacy class
        assert errors[1] < 1e-3
        return
    check("keras2", name, "compat", errors)


@pytest.mark.parametrize("name", V1_EXACT)
def test_tensorflow_1(saved, name):
    folder = saved / "v1"
    errors = resumed(folder / f"v1_{name}.npz", folder / f"v1_{name}", V1_EXACT[name], Plain(), ("a", "b"))
    check("v1", name, "compat", errors)


@pytest.mark.parametrize("name", V1_TORCH)
def test_tensorflow_1_into_torch(saved, name):
    folder = saved / "v1"
    errors = resumed(folder / f"v1_{name}.npz", folder / f"v1_{name}", V1_TORCH[name], Plain(), ("a", "b"))
    check("v1", name, "torch", errors)


def test_the_adam_of_bert_has_no_bias_correction(saved):
    def many_steps(optimizer):
        for held in optimizer.state.values():
            held["step"].fill_(1e8)

    folder = saved / "v1"
    errors = resumed(
        folder / "v1_without_correction.npz", folder / "v1_without_correction",
        lambda p: optim.AdamW(p, 0.01, eps=1e-6, weight_decay=0.01), Plain(), ("a", "b"), many_steps,
    )  # fmt: skip
    check("v1", "bert adamw", "torch", errors)
    assert any("has no bias correction" in note for note in errors[2].notes)


def test_what_does_not_fit_is_named_and_changes_nothing(saved):
    path, kept = saved / "keras3" / "adam.keras", record("a", "bn", "b")
    model = Net()
    for make, says in (
        (lambda p: optim.SGD(p, 0.1, momentum=0.9), "holds the state of adam, not of sgd"),
        (lambda p: optim.Adam(p, amsgrad=True), "keeps velocity_hat, which the checkpoint lacks"),
        (lambda p: optim.LBFGS(p), "no counterpart"),
    ):
        optimizer = make(model.parameters())
        before = json.dumps(optimizer.state_dict(), default=str)
        with pytest.raises(WeightsError, match=says):
            load_optimizer(optimizer, model, path, record=kept, name="Net")
        assert json.dumps(optimizer.state_dict(), default=str) == before
    with pytest.raises(WeightsError, match="no torch optimizer"):
        load_optimizer(object(), model, path, record=kept, name="Net")


def test_a_checkpoint_without_an_optimizer(saved, tmp_path):
    from safetensors.numpy import save_file

    values = {
        "a/kernel": np.zeros((5, 4), "f4"),
        "a/bias": np.zeros(4, "f4"),
        "b/kernel": np.zeros((4, 3), "f4"),
        "b/bias": np.zeros(3, "f4"),
    }
    save_file(values, tmp_path / "unused.safetensors")
    model = Plain()
    with pytest.raises(WeightsError, match="no optimizer state"):
        load_optimizer(optim.Adam(model.parameters()), model, values, record=record("a", "b"), name="Net")


def test_another_rate_is_noted(saved):
    model = Net()
    optimizer = optim.Adam(model.parameters(), 0.5, eps=1e-7)
    report = load_optimizer(
        optimizer, model, saved / "keras3" / "adam.keras", record=record("a", "bn", "b"), name="Net"
    )
    assert "the checkpoint's learning rate is 0.01, the optimizer's 0.5: it stays" in str(report)
    assert "12 state tensors of adam" in str(report) and optimizer.param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize("ending", [".keras", ".h5", "_ck"])
def test_averages_that_keras_keeps(saved, ending):
    told = np.load(saved / "keras3" / "adam_ema.npz")
    path, kept = saved / "keras3" / f"adam_ema{ending}", record("a", "bn", "b")
    model, plain = Net(), Net()
    load_weights(model, path, record=kept, name="Net", ema=True)
    load_weights(plain, path, record=kept, name="Net")
    held = [t.detach().numpy() for t in model.parameters()]
    for i, tensor in enumerate(held):
        np.testing.assert_array_equal(tensor.T if tensor.ndim == 2 else tensor, told[f"ema{i}"])
    assert any(
        not np.array_equal(a, b.detach().numpy()) for a, b in zip(held, plain.parameters(), strict=True)
    )
    assert torch.equal(model.bn.running_mean, plain.bn.running_mean)


def test_a_file_to_resume_from(saved, tmp_path):
    from click.testing import CliRunner

    from tfport.weights.cli_weights import weights

    source = pathlib.Path(__file__).read_text()
    (tmp_path / "net.py").write_text(
        source[source.index("class Net") :]
        .split("\n\n\n")[0]
        .join(["import torch\nfrom torch import nn\nfrom tfport import compat\n", ""])
    )
    (tmp_path / "net.tfport.json").write_text(json.dumps(record("a", "bn", "b")))
    command = [
        str(saved / "keras3" / "adam.keras"),
        "-o",
        str(tmp_path / "r.pt"),
        "--module",
        f"{tmp_path}/net.py:Net",
        "--optimizer",
    ]
    done = CliRunner().invoke(weights, command)
    assert done.exit_code == 0, done.output
    held = torch.load(tmp_path / "r.pt", weights_only=True)
    assert held["iterations"] == 3 and held["optimizer_class"] == "tfport.compat.keras.optimizers.Adam"
    model = Net()
    model.load_state_dict(held["model"])
    optimizer = KERAS.Adam(0.5, params=model.parameters())
    optimizer.load_state_dict(held["optimizer"])
    assert int(optimizer.iterations) == 3 and float(optimizer.learning_rate) == pytest.approx(0.01)
    told = np.load(saved / "keras3" / "adam.npz")
    loss = F.mse_loss(model.train()(torch.from_numpy(told["xs"][3])), torch.from_numpy(told["ys"][3]))
    assert abs(loss.item() - told["losses"][3]) < 1e-6
