"""Maps settled by hand, moving averages, a state_dict written without building the module, optimizer state in a file."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from tables import bundle
from torch import nn
from twins import FOLDER, Cnn, error

from tfport.weights import WeightsError, load_weights
from tfport.weights.cli_weights import weights
from tfport.weights.mapping_file import tomllib

SOURCE = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.second = nn.Linear(4, 2)


class Single(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)


class Computed(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("table", torch.arange(6).float())
        self.first = nn.Linear(3, 4)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.again = self.first
"""


def call(*args):
    return CliRunner().invoke(weights, [str(a) for a in args])


def values(*names):
    source = np.random.default_rng(0)
    shapes = {"first/kernel": (3, 4), "first/bias": (4,), "norm/gamma": (4,), "norm/beta": (4,), "norm/moving_mean": (4,),
              "norm/moving_variance": (4,), "second/kernel": (4, 2), "second/bias": (2,), "other/table": (7, 7)}  # fmt: skip
    return {n: source.standard_normal(shapes[n]).astype(np.float32) for n in names or shapes}


@pytest.fixture
def net(tmp_path):
    (tmp_path / "net.py").write_text(SOURCE)
    return tmp_path


def save(prefix, made):
    at, places = 0, {}
    for name, array in made.items():
        places[name] = (array, at)
        at += array.nbytes
    bundle(prefix, places)
    return prefix


def test_a_map_is_written_edited_and_followed(net):
    made = values()
    ck, file = save(net / "ck", made), net / "map.toml"
    failed = call(ck, "-o", net / "m.safetensors", "--module", f"{net}/net.py:Net")
    assert failed.exit_code == 2 and "left over: other/table" in failed.output
    done = call(ck, "--write-map", file, "--module", f"{net}/net.py:Net")
    assert done.exit_code == 0 and "8 tensors matched, 1 still open" in done.output, done.output
    text = file.read_text()
    assert tomllib.loads(text) and '# [[ignore]]\n# source = "other/table"' in text
    file.write_text(
        text.replace('# [[ignore]]\n# source = "other/table"', '[[ignore]]\nsource = "other/table"')
    )
    done = call(ck, "-o", net / "m.safetensors", "--module", f"{net}/net.py:Net", "--map", file)
    assert done.exit_code == 0 and "matched by map" in done.output, done.output
    found = load_file(net / "m.safetensors")
    np.testing.assert_array_equal(found["first.weight"].numpy(), made["first/kernel"].T)
    np.testing.assert_array_equal(found["norm.running_var"].numpy(), made["norm/moving_variance"])
    assert found["norm.num_batches_tracked"] == 0 and len(found) == 9


def test_a_map_places_tensors_where_names_do_not_tell(net):
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    made = values("first/kernel", "first/bias", "second/kernel", "second/bias")
    (net / "map.toml").write_text(
        '[[tensor]]\nsource = "first/kernel"\ntarget = "0.weight"\npattern = "i o -> o i"\n'
        '[[tensor]]\nsource = "first/bias"\ntarget = "0.bias"\npattern = "o -> o"\n'
        '[[tensor]]\nsource = "second/kernel"\ntarget = "1.weight"\npattern = "i o -> o i"\n'
        '[[keep]]\ntarget = "1.bias"\n[[ignore]]\nsource = "second/bias"\n'
    )
    before = module[1].bias.detach().clone()
    report = load_weights(module, made, map=net / "map.toml")
    assert len(report.loaded) == 3 and torch.equal(module[1].bias, before)
    np.testing.assert_array_equal(module[0].weight.detach().numpy(), made["first/kernel"].T)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[tensor]]\nsource = 'a'\n", "number 1 lacks pattern, target"), ("[tensor]\n", r"expected \[\[tensor\]\]"),
        ("x = = 1", "no TOML"), ("[[keep]]\ntarget = 3\n", "values are strings"), ("[[ignore]]\nsource='no'\n", "no tensor of these names"),
        ("[[keep]]\ntarget='no'\n", "no parameter of these names"), ("[[ignore]]\nsource='a'\nx=1\n", "has no x"),
        ("[[tensor]]\nsource='first/bias'\ntarget='0.bias'\npattern='o -> o'\n" * 2, "more than one tensor for 0.bias"),
        ("[[tensor]]\nsource='first/bias'\ntarget='0.weight'\npattern='o -> o'\n", "wrong shape"),
        ("", "left over"),
    ],
)  # fmt: skip
def test_a_map_that_is_wrong_is_named(net, text, says):
    (net / "map.toml").write_text(text)
    module = nn.Sequential(nn.Linear(3, 4))
    before = module[0].bias.detach().clone()
    with pytest.raises(WeightsError, match=says):
        load_weights(module, values("first/bias"), map=net / "map.toml")
    assert torch.equal(module[0].bias, before)


def test_the_streamed_state_dict_is_the_loaded_one(tmp_path):
    twins = __file__.replace("test_maps.py", "twins.py")
    done = call(FOLDER / "cnn_checkpoint", "-o", tmp_path / "m.safetensors", "--module", f"{twins}:Cnn")
    assert done.exit_code == 0, done.output
    module, loaded = Cnn(), Cnn()
    module.load_state_dict(load_file(tmp_path / "m.safetensors"))
    load_weights(loaded, FOLDER / "cnn_checkpoint")
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(module.state_dict()[name], tensor), name
    assert error(module, "cnn") < 1e-6


def test_a_module_with_values_of_its_own_is_built(net):
    made = values("first/kernel", "first/bias")
    done = call(save(net / "ck", made), "-o", net / "m.safetensors", "--module", f"{net}/net.py:Computed")
    assert done.exit_code == 0, done.output
    assert torch.equal(load_file(net / "m.safetensors")["table"], torch.arange(6).float())


def test_a_tied_weight_is_written_under_both_names(net):
    made = values("first/kernel", "first/bias")
    done = call(save(net / "ck", made), "-o", net / "m.safetensors", "--module", f"{net}/net.py:Tied")
    assert done.exit_code == 0, done.output
    found = load_file(net / "m.safetensors")
    assert torch.equal(found["again.weight"], found["first.weight"]) and set(found) >= {
        "first.bias",
        "again.bias",
    }


def test_moving_averages_of_tensorflow_1(net):
    made = values("first/kernel", "first/bias")
    shadow = {f"{n}/ExponentialMovingAverage": v + 1 for n, v in made.items()}
    module = nn.Sequential()
    module.add_module("first", nn.Linear(3, 4))
    load_weights(module, made | shadow, ema=True)
    np.testing.assert_array_equal(module.first.bias.detach().numpy(), made["first/bias"] + 1)
    load_weights(module, made | shadow)
    np.testing.assert_array_equal(module.first.bias.detach().numpy(), made["first/bias"])
    module.first.bias.data.zero_()
    load_weights(module, shadow, ema=True)  # Saver(average.variables_to_restore()) writes no others
    np.testing.assert_array_equal(module.first.bias.detach().numpy(), made["first/bias"] + 1)
    with pytest.raises(WeightsError, match="bias"):
        load_weights(module, shadow)
    ck = save(net / "ck", shadow)
    done = call(ck, "--ema", "--module", f"{net}/net.py:Single", "-o", net / "m.safetensors")
    assert done.exit_code == 0, done.output
    assert torch.equal(
        load_file(net / "m.safetensors")["first.bias"], torch.from_numpy(made["first/bias"] + 1)
    )
    for wrong, says in (
        (made, "no moving averages"),
        (made | dict(list(shadow.items())[:1]), "some trainable weights"),
    ):
        with pytest.raises(WeightsError, match=says):
            load_weights(module, wrong, ema=True)


def test_options_about_a_module_need_one(net):
    ck = save(net / "ck", values("first/bias"))
    for option in (["--map", "x.toml"], ["--write-map", "x.toml"], ["--ema"], ["--optimizer"]):
        done = call(ck, *option)
        assert done.exit_code == 2 and "name it with --module" in done.output


def test_a_map_shows_what_would_fit_what_is_open(net):
    """Comments that need their marks taken off: the pattern of each class, the one tensor that fits, or several."""
    (net / "cnn.py").write_text(
        "from torch import nn\n\n\nclass Cnn(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.conv1 = nn.Conv2d(1, 4, 3)\n        self.fc1 = nn.Linear(36, 5)\n        self.fc2 = nn.Linear(5, 5)\n"
        "        self.fc3 = nn.Linear(5, 5)\n"
    )
    source = np.random.default_rng(0)
    shapes = {"a/kernel": (3, 3, 1, 4), "a/bias": (4,), "b/kernel": (36, 5), "b/bias": (5,), "c/kernel": (5, 5), "c/bias": (5,),
              "d/kernel": (5, 5), "d/bias": (5,)}  # fmt: skip
    made = {n: source.standard_normal(s).astype("f4") for n, s in shapes.items()}
    ck, file, module = save(net / "ck", made), net / "map.toml", f"{net}/cnn.py:Cnn"
    assert call(ck, "--write-map", file, "--module", module).exit_code == 0
    text = file.read_text()
    assert (
        '# fit by pattern and shape: c/kernel, d/kernel\n# [[tensor]]\n# source = \n# target = "fc2.weight"'
        in text
    )
    assert "# fit by pattern and shape: b/bias, c/bias, d/bias" in text
    settled, lines = {"fc2": "c", "fc3": "d", "fc1": "b"}, []
    for entry in text.partition("# [[ignore]]")[0].split("\n\n")[2:-1]:
        rows = [
            row[2:]
            for row in entry.splitlines()
            if row.startswith(("# [[", "# source", "# target", "# pat", "# sizes"))
        ]
        _, name, leaf = next(row for row in rows if row.startswith("target")).replace(".", '"').split('"')[:3]
        source = f'source = "{settled.get(name)}/{leaf.replace("weight", "kernel")}"'
        lines += [source if row == "source = " else row for row in rows]
    file.write_text("\n".join(lines))
    done = call(ck, "-o", net / "m.safetensors", "--module", module, "--map", file)
    assert done.exit_code == 0, done.output
    found = load_file(net / "m.safetensors")
    flat = made["b/kernel"].reshape(9, 4, 5).transpose(2, 1, 0).reshape(5, 36)
    np.testing.assert_array_equal(found["fc1.weight"].numpy(), flat)
    np.testing.assert_array_equal(found["fc3.weight"].numpy(), made["d/kernel"].T)
