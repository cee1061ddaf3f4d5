"""Ports written by hand, without a record: weights by what each module is given, faults localised and named."""

import json

import pytest

from tests.parity.conftest import PROGRAMS, capture_many, replays
from tfport.parity.golden import read_golden
from tfport.source.convert import convert_source

pytest.importorskip("tensorflow")

STEPS = ["--gradients", "--steps", "2", "--optimizer", "SGD(0.05)", "--loss", "mse"]
MODELS = {
    "images": ("Images", ["--input", "3x9x8x3"]),
    "painter": ("Painter", ["--input", "4x7"]),
    "words": ("Words", ["--input", "3x6:int32<12"]),
    "levels": ("Levels", ["--input", "3x6x4", *STEPS]),
    "translator": ("Translator", ["--input", "2x5x4", "--input", "2x6x3"]),
    "Reader": ("Reader", ["--input", "3x6:int32<12"]),
    "waves": ("Waves", ["--input", "2x12x3"]),
    "Holder": ("Holder", ["--input", "2x8x8x1"]),
    "single": ("single", ["--input", "2x5x7x6x2"]),
}
BOTH = {"images", "levels", "single"}
HEALTHY = [
    "images",
    "painter",
    "levels",
    "translator",
    "Reader",
    "waves",
]  # torch's LSTM skips no padding: not `words`

FAULTS = {
    "padding of the stem": ("images", "conv2d", "padding side", "F.pad(x, (0, 1, 1, 1))", "F.pad(x, (1, 0, 1, 1))"),
    "epsilon": ("images", "batch_normalization", "epsilon", "self.stem_norm = nn.BatchNorm2d(6, eps=1e-3)", "self.stem_norm = nn.BatchNorm2d(6)"),
    "flatten order": ("images", "dense", "flatten order", "x.permute(0, 2, 3, 1).flatten(1)", "x.flatten(1)"),
    "no skip connection": ("images", "add", "missing addend", "x = x + self.inner(x)", "x = self.inner(x)"),
    "softmax over the batch": ("images", "dense", "softmax axis", "dim=1)", "dim=0)"),
    "epsilon behind a cut": ("painter", "batch_normalization_1", "epsilon", "nn.BatchNorm2d(5, eps=1e-3)", "nn.BatchNorm2d(5)"),
    "the other side cut": ("painter", "conv2d_transpose", "padding side", "[:, :, :8, :8]", "[:, :, 1:, 1:]"),
    "slope": ("painter", "leaky_re_lu", "slope", "0.3)", "0.2)"),
    "channels first": ("painter", "reshape", "flatten order", "view(-1, 4, 4, 6).permute(0, 3, 1, 2)", "view(-1, 6, 4, 4)"),
    "no mask": ("words", "bidirectional", "mask", "", ""),
    "no initial state": ("translator", "lstm_1", "initial state", "self.target(target, state)", "self.target(target)"),
    "states exchanged": ("translator", "lstm_1", "initial state", "self.target(target, state)", "self.target(target, state[::-1])"),
    "no causal mask": ("Reader", "block/multi_head_attention", "attention mask", "attn_mask=hidden, ", ""),
    "one step too far": ("Reader", "block/multi_head_attention", "attention mask", "triu(1)", "triu(2)"),
    "heads": ("Reader", "block/multi_head_attention", "num_heads", "nn.MultiheadAttention(8, 2,", "nn.MultiheadAttention(8, 4,"),
    "a small epsilon": ("Reader", "block/layer_normalization", "epsilon", "self.ln1, self.ln2 = nn.LayerNorm(8, eps=1e-6)", "self.ln1, self.ln2 = nn.LayerNorm(8, eps=3e-5)"),
    "dilation": ("waves", "conv1d_3", "dilation", "for rate in (1, 2)", "for rate in (1, 3)"),
    "the last step for the mean": ("waves", "global_average_pooling1d", "", "x.mean(2)", "x[:, :, -1]"),
}  # fmt: skip


@pytest.fixture(scope="module")
def goldens(tmp_path_factory):
    """Golden folders by model."""
    root = tmp_path_factory.mktemp("strangers")
    told = capture_many(
        [
            f"{PROGRAMS / 'strangers.py'}:{name}",
            *words,
            "--dtype",
            "float32,float64" if name in BOTH else "float32",
            "-o",
            root / name,
        ]
        for name, (_, words) in MODELS.items()
    )
    assert [status for status, _ in told] == [0] * len(MODELS), told
    return {name: root / name for name in MODELS}


def port(folder, model, old="", new=""):
    """The port in a folder of its own, changed; returns `file.py:Class`."""
    code = (PROGRAMS / "strangers_torch.py").read_text("utf-8")
    assert not old or code.count(old) >= 1
    (folder / "port.py").write_text(code.replace(old, new) if old else code, "utf-8")
    return f"{folder / 'port.py'}:{MODELS[model][0]}"


@pytest.mark.parametrize("model", HEALTHY)
def test_a_right_port_agrees(model, goldens, tmp_path):
    dtypes = ("float32", "float64") if model in BOTH else ("float32",)
    made = replays(goldens[model], port(tmp_path, model), tmp_path / "out", dtypes, layers="all")
    for run, part in made:
        assert part.ok, (run["dtype"], part.reasons, run["training"])
        assert any("no conversion record: modules took their weights" in note for note in part.notes) or (
            model in ("painter",)  # whose weights go by kinds and shapes alone
        )


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_caught_localised_and_named(fault, goldens, tmp_path):
    model, layer, cause, old, new = FAULTS[fault]
    ((run, part),) = replays(goldens[model], port(tmp_path, model, old, new), tmp_path / "out")
    assert part.error is None and not part.ok, part.error
    first = run["first"] or {}
    assert layer in (first["layer"], *first["between"][:1]), (first, run["causes"])
    assert not cause or cause in [told["cause"] for told in run["causes"]], (first, run["causes"])


def test_a_model_whose_parts_alone_are_recorded_agrees(goldens, tmp_path):
    """The record tells of the encoder's flattened kernel, not of the model that holds the encoder."""
    made = convert_source((PROGRAMS / "strangers.py").read_text("utf-8"))
    (tmp_path / "port.py").write_text(made.code, "utf-8")
    (tmp_path / "port.tfport.json").write_text(json.dumps(made.record), "utf-8")
    assert {"Encoder", "Decoder"} <= made.record["models"].keys() and "Holder" not in made.record["models"]
    ((_, part),) = replays(goldens["Holder"], f"{tmp_path}/port.py:Holder", tmp_path / "out", layers="all")
    assert part.ok, part.reasons


@pytest.mark.parametrize(
    ("old", "new"), [("mask=mask", "mask=None"), ("!= 0", "== 0")], ids=["none", "inverted"]
)
def test_the_mask_of_a_converted_port_is_named(old, new, goldens, tmp_path):
    made = convert_source((PROGRAMS / "strangers.py").read_text("utf-8"))
    assert old in made.code
    (tmp_path / "port.py").write_text(made.code.replace(old, new), "utf-8")
    (tmp_path / "port.tfport.json").write_text(json.dumps(made.record), "utf-8")
    ((run, part),) = replays(goldens["words"], f"{tmp_path}/port.py:words", tmp_path / "out")
    assert not part.ok and run["first"]["layer"].startswith("bidirectional"), part.error
    assert "mask" in [told["cause"] for told in run["causes"]]


def test_a_fault_that_later_layers_make_small_is_no_agreement(goldens, tmp_path):
    """An epsilon of 1e-5 for 1e-6 moves the outputs by less than float32 may, the layer by more than it may."""
    changed = port(
        tmp_path,
        "Reader",
        "self.ln2 = nn.LayerNorm(8, eps=1e-6), nn.LayerNorm(8, eps=1e-6)",
        "self.ln2 = nn.LayerNorm(8, eps=8e-6), nn.LayerNorm(8, eps=1e-6)",
    )
    ((run, part),) = replays(goldens["Reader"], changed, tmp_path / "out")
    assert not part.ok and "epsilon" in [told["cause"] for told in run["causes"]]
    assert (
        part.comparison.ok
        and "though the outputs agree: epsilon, with eps=1e-06 it agrees" in part.reasons[0]
    )


def test_what_tensorflow_has_in_float32_alone_runs_in_float64(goldens):
    """Resizing, pools in 3-D and LRN: in float64 they are our own, and give what TensorFlow gives in float32."""
    golden = read_golden(goldens["single"])
    one, two = (golden.tensors(golden.run(dtype)) for dtype in ("float32", "float64"))
    assert golden.run("float32")["wander"]["outputs/output"] < 1e-5
    assert two["outputs/output"].dtype == "float64"
    assert len([note for note in golden.run("float64")["notes"] if "computed in float64" in note]) == 4
    for layer in golden.run("float32")["layers"]:
        a, b = (x[layer["tensors"][0]].array for x in (one, two))
        assert abs(a).max() > 0 and abs(a - b).max() < 1e-5 * abs(a).max(), layer["name"]


def test_a_map_tells_the_weights_where_the_port_does_not(goldens, tmp_path):
    """A port that never calls one of its layers cannot be told by running it; `--map` is what is then asked for."""
    changed = port(
        tmp_path,
        "waves",
        "self.first = nn.Conv1d(3, 4, 1)",
        "self.first, self.more = nn.Conv1d(3, 4, 1), nn.Linear(2, 2)",
    )
    ((_, part),) = replays(goldens["waves"], changed, tmp_path / "out")
    assert part.error and "--write-map map.toml, complete it, tfport verify ... --map map.toml" in part.error
    lines = [f'[[tensor]]\nsource = "layers/conv1d{n}/vars/{i}"\ntarget = "{t}.{w}"\npattern = "{p}"\n'
             for n, t in (("", "first"), ("_1", "tanhs.0"), ("_2", "gates.0"), ("_3", "tanhs.1"), ("_4", "gates.1"))
             for i, w, p in ((0, "weight", "w i o -> o i w"), (1, "bias", "o -> o"))]  # fmt: skip
    lines += ['[[keep]]\ntarget = "more.weight"\n', '[[keep]]\ntarget = "more.bias"\n']
    (tmp_path / "map.toml").write_text("\n".join(lines), "utf-8")
    ((_, part),) = replays(goldens["waves"], changed, tmp_path / "out", map=str(tmp_path / "map.toml"))
    assert part.ok, part.reasons
