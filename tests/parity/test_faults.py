"""Faults planted in the torch twin of a small CNN: each is caught; the healthy twin passes under 30 seeds."""

import json
import shutil

import pytest

from tests.parity.conftest import PROGRAMS, replayed

CONV1 = ("conv1", "kernel", "h w i o -> o i w h")
FAULTS = {
    "epsilon of bn1": ("self.bn1 = nn.BatchNorm2d(8, eps=1e-3", "self.bn1 = nn.BatchNorm2d(8, eps=1e-5"),
    "epsilon of bn2": ("self.bn2 = nn.BatchNorm2d(8, eps=1e-3", "self.bn2 = nn.BatchNorm2d(8, eps=1e-5"),
    "symmetric padding of conv2": ("self.conv2(F.pad(x, (0, 1, 0, 1)))", "self.conv2(F.pad(x, (1, 0, 1, 0)))"),
    "zero padding of the pool": ('value=float("-inf")', "value=0.0"),
    "average for maximum": ("F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=float(\"-inf\"))", "F.avg_pool2d(F.pad(x, (0, 1, 0, 1))"),
    "kernel 3x3 transposed": CONV1,
    "square matrix transposed": ("square", "kernel", "i o -> i o"),
    "flatten order": ("hidden", "kernel", "i o -> o i"),
    "statistics swapped": ("bn1", "gamma", ["bias"], "beta", ["weight"]),
    "bias left out": ("self.conv1(x)", "(self.conv1(x) - self.conv1.bias[:, None, None])"),
    "scale left out": ("x = self.bn1(F.relu(self.conv1(x)))", "x = (self.bn1(F.relu(self.conv1(x))) - self.bn1.bias[:, None, None]) / self.bn1.weight[:, None, None] + self.bn1.bias[:, None, None]"),
    "activation before normalisation": ("self.bn1(F.relu(self.conv1(x)))", "F.relu(self.bn1(self.conv1(x)))"),
    "leaky activation": ("x = F.relu(self.square(x))", "x = F.leaky_relu(self.square(x), 0.01)"),
    "another activation": ("torch.tanh(", "torch.sigmoid("),
    "softmax over the batch": ("dim=1)\n", "dim=0)\n"),
    "logarithms": ("torch.softmax", "torch.log_softmax"),
    "training mode": ("x = self.bn1(", "x = self.bn1.train()("),
    "features flipped": ("[probabilities, features]", "[probabilities, features.flip(2)]"),
    "classes permuted": ("[probabilities, features]", "[probabilities.flip(1), features]"),
    "images permuted": ("[probabilities, features]", "[probabilities.flip(0), features]"),
    "outputs swapped": ("[probabilities, features]", "[features, probabilities]"),
    "one NaN": ("[probabilities, features]", "[probabilities * torch.tensor([1., float('nan'), 1., 1., 1.]), features]"),
    "all NaN": ("[probabilities, features]", "[probabilities * float('nan'), features]"),
    "dtype drift": ("[probabilities, features]", "[probabilities.double(), features]"),
    "half precision within": ("self.hidden(features.flatten(1))", "self.hidden(features.flatten(1)).half().float()"),
    "an output less": ("[probabilities, features]", "[probabilities]"),
    "an output more": ("[probabilities, features]", "[probabilities, features, x]"),
    "no output": ("[probabilities, features]", "None"),
    "an empty list": ("[probabilities, features]", "[]"),
    "a mean for the values": ("[probabilities, features]", "[probabilities * 0 + probabilities.mean(), features]"),
    "one image only": ("[probabilities, features]", "[probabilities[:1], features]"),
    "an axis more": ("[probabilities, features]", "[probabilities[None], features]"),
    "rounded": ("[probabilities, features]", "[(probabilities * 1000).round() / 1000, features]"),
}  # fmt: skip


def twin(folder, fault=None):
    """Writes the twin and its record into a folder, with one fault planted in either."""
    folder.mkdir()
    code = (PROGRAMS / "cnn_torch.py").read_text()
    record = json.loads((PROGRAMS / "cnn_torch.tfport.json").read_text())
    if fault and len(fault) == 2:
        assert fault[0] in code
        code = code.replace(fault[0], fault[1])
    elif fault:
        layer = next(part for part in record["models"]["build"]["layers"] if part["name"] == fault[0])
        if len(fault) == 3:
            assert layer["weights"][fault[1]][1] != fault[2]
            layer["weights"][fault[1]][1:] = [fault[2], {}]
        else:
            layer["weights"][fault[1]][:1], layer["weights"][fault[3]][:1] = fault[2], fault[4]
    (folder / "twin_torch.py").write_text(code)
    (folder / "twin_torch.tfport.json").write_text(json.dumps(record))
    return f"{folder / 'twin_torch.py'}:build"


def test_the_healthy_twin_passes_under_every_seed(seeds, tmp_path):
    candidate = twin(tmp_path / "twin")
    for i, golden in enumerate(seeds):
        (part,) = replayed(golden, candidate, tmp_path / str(i))
        assert part.ok, (i, part.error, part.comparison and part.comparison.reason)
        assert part.comparison.elements == 3 * 5 + 3 * 3 * 3 * 8
        assert [layer.status for layer in part.layers].count("agrees") == 7
        assert not any(layer.status == "differs" for layer in part.layers)


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_caught_under_every_tried_seed(name, seeds, tmp_path):
    candidate = twin(tmp_path / "twin", FAULTS[name])
    for i in (0, 1, 2):
        (part,) = replayed(seeds[i], candidate, tmp_path / str(i))
        assert part.error is None, part.error
        assert not part.ok and part.comparison.reason


def test_the_first_layer_that_differs_is_named(seeds, tmp_path):
    candidate = twin(tmp_path / "twin", FAULTS["epsilon of bn1"])
    (part,) = replayed(seeds[0], candidate, tmp_path / "out")
    compared = [layer for layer in part.layers if layer.status != "not compared"]
    assert next(layer for layer in compared if layer.status == "differs").name == "bn1"


def test_an_edited_golden_is_refused(seeds, tmp_path):
    from tfport.parity.capture import CaptureError
    from tfport.parity.golden import read_golden

    for name, damage in (
        ("float32.safetensors", lambda data: data[:-4] + bytes(4)),
        ("float32.weights.h5", lambda data: data[:-10]),
        ("manifest.json", lambda data: data[:-30]),
    ):
        folder = tmp_path / name
        shutil.copytree(seeds[0], folder)
        (folder / name).write_bytes(damage((folder / name).read_bytes()))
        with pytest.raises(CaptureError, match=r"checksum|damaged"):
            read_golden(folder)
        (folder / name).unlink()
        with pytest.raises(CaptureError, match=r"missing|no manifest"):
            read_golden(folder)
