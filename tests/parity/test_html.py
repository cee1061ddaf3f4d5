"""The HTML report: one file that opens offline, every layer and tensor in it, drawings that say what the numbers say."""

import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest

from tests.parity.conftest import PROGRAMS, replayed
from tests.parity.test_bad_golden import tfport
from tfport.parity import html_charts as charts
from tfport.parity.golden import read_golden
from tfport.parity.html import render, write_html
from tfport.parity.report import as_json
from tfport.parity.verification import Part, Verification

SVG = "{http://www.w3.org/2000/svg}"
VOID = {"meta", "br", "img", "link", "hr", "input"}


class Balanced(HTMLParser):
    """Raises AssertionError where tags do not match; keeps tags, attributes and text."""

    def __init__(self, page):
        super().__init__()
        self.open, self.seen, self.text = [], [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, (tag, self.open[-3:])

    def handle_data(self, data):
        self.text.append(data)


def words(page):
    """The text that a reader sees, in one line."""
    return " ".join(" ".join(Balanced(page).text).split())


def drawings(page):
    """The drawings of a page as parsed XML; a drawing that is no XML raises."""
    return [ElementTree.fromstring(text) for text in re.findall(r"<svg xmlns.*?</svg>", page, re.DOTALL)]


def titles(drawing):
    """The tooltips of a drawing, in order."""
    return [title.text for title in drawing.iter(f"{SVG}title")]


def layer(name, error, status="agrees", reason=""):
    """A layer as a report has it."""
    return {"name": name, "kind": "Dense", "status": status, "how": "record", "max_abs": error, "max_rel": error,
            "allowed": 1e-5, "reason": reason}  # fmt: skip


def run(layers=(), **more):
    """An agreeing run as `as_json` writes it."""
    part = Part("float32", "cpu")
    (told,) = json.loads(as_json(Verification("model.py:build", "model_torch.py:build", [part])))["runs"]
    return {**told, "error": None, "ok": True, "reason": "", "layers": list(layers), **more}


def result(*runs, **more):
    """A result with these runs."""
    told = json.loads(as_json(Verification("model.py:build", "model_torch.py:build", [])))
    return {**told, "ok": all(r["ok"] for r in runs), "runs": list(runs), **more}


@pytest.fixture(scope="module")
def faulty(seeds, tmp_path_factory):
    """The verification of a CNN whose second BatchNormalization has another epsilon."""
    folder = tmp_path_factory.mktemp("faulty")
    code = (PROGRAMS / "cnn_torch.py").read_text()
    (folder / "wrong_torch.py").write_text(
        code.replace("self.bn2 = nn.BatchNorm2d(8, eps=1e-3", "self.bn2 = nn.BatchNorm2d(8, eps=1e-5")
    )
    (folder / "wrong_torch.tfport.json").write_text((PROGRAMS / "cnn_torch.tfport.json").read_text())
    parts = replayed(seeds[0], f"{folder / 'wrong_torch.py'}:build", folder / "out", layers="all")
    manifest = read_golden(seeds[0]).manifest
    versions = {"reference": manifest["versions"], "candidate": {"torch": "2"}}
    return Verification("cnn.py:build", "wrong_torch.py:build", parts, versions=versions)


@pytest.fixture(scope="module")
def page(faulty, tmp_path_factory):
    """Its page."""
    path = tmp_path_factory.mktemp("page") / "out.html"
    write_html(faulty, path)
    return path.read_text("utf-8")


def test_it_opens_offline(page):
    seen = Balanced(page).seen
    assert not {"script", "link", "iframe", "img", "object"} & {tag for tag, _ in seen}
    assert not [
        a
        for _, attributes in seen
        for a in attributes
        if a in ("src", "href", "xlink:href") or a.startswith("on")
    ]
    outside = set(re.findall(r"\w+://[^\s\"'<]+", page))
    assert outside == {"http://www.w3.org/2000/svg"}  # the name of SVG, which nothing loads
    assert set(re.findall(r"url\((.*?)\)", page)) <= {"#hatch"} and "@import" not in page


def test_it_says_what_the_table_says(page, faulty):
    text = words(page)
    (part,) = faulty.parts
    assert not part.ok and "disagree" in text and "cnn.py:build" in text and "tensorflow" in text
    for tensor in part.comparison:
        assert tensor.name in text and tensor.reason in text
    assert (
        f"First layer that differs on equal inputs: {part.first['layer']}" in text
        and part.first["layer"] == "bn2"
    )
    agreed = [cause["said"] for cause in part.causes if cause["agrees"]]
    assert (
        agreed and all(said in text for said in agreed) and "Likely cause: epsilon of bn2: with eps" in text
    )
    (told,) = json.loads(as_json(faulty))["runs"]
    assert told["not_compared"] and all(line in text for line in told["not_compared"])
    assert all(note in text for note in part.notes)
    assert told["compared"] and f"Compared: {', '.join(told['compared'])}." in text
    for layer in told["layers"]:  # in a table too: not all readers have a pointer
        row = (layer["name"], layer["kind"], layer["how"] or "-", charts.short(layer["max_abs"]))
        assert " ".join(row) in text


def test_every_layer_has_its_cell(page, faulty):
    heat = drawings(page)[0]
    layers = faulty.parts[0].layers
    cells = [g for g in heat.iter(f"{SVG}g") if g.get("class", "").startswith("cell")]
    assert len(cells) == len(layers) > 5
    places = [float(cell.find(f"{SVG}rect").get("x")) for cell in cells]
    assert places == sorted(places) and len(set(places)) == len(places)
    for cell, told in zip(cells, layers, strict=True):
        assert cell.find(f"{SVG}title").text.startswith(f"{told['name']} (")
        assert told["status"] in cell.find(f"{SVG}title").text
        hatched = cell.find(f"{SVG}rect").get("fill") == "url(#hatch)"
        assert hatched == (told["status"] == "not compared")
        crossed = cell.find(f"{SVG}path") is not None
        assert crossed == (told["status"] == "differs")


def test_the_worst_tensors_have_histograms(page, faulty):
    wrong = [t for t in faulty.parts[0].comparison if t.max_abs]
    found = [d for d in drawings(page) if "ULP" in d.get("aria-label")]
    assert len(found) == len(wrong)
    for drawing in found:
        tensor = next(t for t in wrong if drawing.get("aria-label").endswith(t.name))
        counts = [int(title.split()[0]) for title in titles(drawing)]
        assert counts == tensor.ulp_histogram and sum(counts) == tensor.elements


def test_a_larger_error_is_darker():
    def light(colour):
        return sum(int(colour[i : i + 2], 16) for i in (1, 3, 5))

    shades = [light(charts.colour(i / 50)) for i in range(51)]
    assert shades == sorted(shades, reverse=True) and shades[0] > 600 > 150 > shades[-1]
    heat = ElementTree.fromstring(
        charts.heat_map([("a", [layer("x", 1e-8), layer("y", 1e-3), layer("z", 0.0)], None)])
    )
    fills = [
        g.find(f"{SVG}rect").get("fill") for g in heat.iter(f"{SVG}g") if g.get("class") == "cell agrees"
    ]
    assert light(fills[1]) < light(fills[0]) < light(fills[2]) or fills[0] == fills[2]
    assert (
        charts.decades([1e-8, 3e-4, 0.0, float("inf"), float("nan")]) == (-8, -3)
        and charts.decades([0.0]) is None
    )


def test_what_agrees_has_another_hue_than_what_differs():
    """A healthy float32 layer is not drawn like a fault because float64 is a thousand million times closer."""
    rows = [
        ("float32", [layer("x", 1e-7), layer("y", 1e-7, "differs")], None),
        ("float64", [layer("x", 1e-16), layer("y", 1e-3, "differs")], None),
    ]
    heat = ElementTree.fromstring(charts.heat_map(rows))
    fills = {
        (g.get("class"), g.find(f"{SVG}title").text.split("max rel ")[1]): g.find(f"{SVG}rect").get("fill")
        for g in heat.iter(f"{SVG}g")
        if g.get("class", "").startswith("cell")
    }
    assert len(set(fills.values())) == 4

    def green(fill):
        red, green, blue = (int(fill[i : i + 2], 16) for i in (1, 3, 5))
        return green >= max(red, blue)

    assert {kind: green(fill) for (kind, _), fill in fills.items()} == {
        "cell agrees": True,
        "cell differs": False,
    }


def test_rows_of_different_layers_share_columns():
    rows = [
        ("one", [layer("a", 1e-6), layer("a", 1e-5), layer("c", "inf", "differs", "all of it")], "c"),
        ("two", [layer("a", "nan"), layer("b", None, "not compared", "no module")], None),
    ]
    heat = ElementTree.fromstring(charts.heat_map(rows))
    cells = [g for g in heat.iter(f"{SVG}g") if g.get("class", "").startswith("cell")]
    by_title = {
        c.find(f"{SVG}title").text.split(" (Dense)")[0]: float(c.find(f"{SVG}rect").get("x")) for c in cells
    }
    assert len(cells) == 5 and len({*by_title.values()}) == 4
    assert [c.get("class") for c in cells].count("cell differs first") == 1
    assert "a (call 2)" in by_title and charts.heat_map([])


def test_curves_part_where_they_part():
    reference = [2.0 / (1 + i) for i in range(40)]
    candidate = [*reference[:20], *(v * 1.5 for v in reference[20:])]
    told = {
        "ok": False, "reason": "training: the loss leaves", "steps": 40, "causes": [], "per_step": [], "notes": [],
        "losses": {"reference": reference, "candidate": candidate, "allowed": [1e-6] * 40, "equal": reference},
        "left": {"step": 20, "reference": reference[20], "candidate": candidate[20], "allowed": 1e-6},
        "first_parameter": {"name": "fc.weight", "step": 19, "max_abs": 0.5, "allowed": 1e-6},
        "fault": {"step": 19, "in": "update", "parameter": "fc.weight", "reason": "3 of 4 differ"}, "not_compared": [],
    }  # fmt: skip
    page = render([result(run(ok=False, training=told))])
    (drawing,) = drawings(page)
    lines = {p.get("class"): p.get("d") for p in drawing.iter(f"{SVG}path")}
    points = {
        kind: re.findall(r"[ML]([\d.]+) ([\d.]+)", lines[f"line {kind}"])
        for kind in ("reference", "candidate")
    }
    assert points["reference"][:20] == points["candidate"][:20] and len(points["reference"]) == 40
    assert all(float(b[1]) < float(a[1]) for a, b in zip(points["reference"][20:], points["candidate"][20:]))
    text = words(page)
    assert "leaves at step 21" in text and "fc.weight, at step 20" in text
    assert "step 20 is the first to differ: update of fc.weight: 3 of 4 differ" in text


@pytest.mark.parametrize(
    "values",
    [[1.0], [], ["nan", "nan"], [1.0, "inf", 0.5, "nan", 0.25], [0.0, 0.0], [-1.0, 2.0], [3.0] * 5000],
    ids=["one", "none", "all nan", "holes", "zeros", "signs", "constant"],
)  # fmt: skip
def test_any_curve_is_drawn(values):
    drawn = charts.curves(values, values, "Loss")
    assert "nan" not in re.sub(r"<title>.*?</title>", "", drawn) and "inf" not in re.sub(
        r"<title>.*?</title>", "", drawn
    )
    if any(isinstance(v, float) for v in values):
        assert ElementTree.fromstring(drawn) is not None and len(drawn) < 200_000
    else:
        assert "No finite value" in drawn


def test_names_are_text_and_nothing_else():
    evil = "<script>alert(1)</script>\"'&"
    told = run([layer(evil, 1.0, "differs", evil)], notes=[evil], error=None, reason=evil, ok=False,
               first={"layer": evil, "kind": evil, "reason": evil, "between": []}, not_compared=[evil],
               causes=[{"cause": "x", "layer": evil, "agrees": True, "said": evil}])  # fmt: skip
    page = render([result(told, reference=evil, versions={"reference": {evil: evil}})])
    assert "<script" not in page and words(page).count("alert(1)") >= 8
    assert [d for d in drawings(page) if any(evil in title for title in titles(d))]


def test_what_was_not_compared_at_all_is_said(tmp_path):
    failed = Part("float32", "cuda", error="torch finds no such device", usage=True)
    write_html(Verification("a.py:f", "b.py:f", [failed]), tmp_path / "x.html")
    assert "not compared: torch finds no such device" in words((tmp_path / "x.html").read_text())
    write_html(
        [Verification("a.py:f", "b.py:f", [failed]), Verification("c.py:f", "d.py:f", [])],
        tmp_path / "y.html",
    )
    text = words((tmp_path / "y.html").read_text())
    assert "0 of 2 agree" in text and "c.py:f against d.py:f" in text


def test_scripts_have_a_page(tmp_path):
    (tmp_path / "a.py").write_text("print('loss 0.5')\n")
    (tmp_path / "b.py").write_text("print('loss 0.6')\n")
    status, _, err = tfport(
        "verify", tmp_path / "a.py", tmp_path / "b.py", "--script", "--html", tmp_path / "x.html"
    )
    assert status == 1, err
    text = words((tmp_path / "x.html").read_text())
    assert "disagree" in text and "0.6 instead of 0.5" in text and "loss 0.5 loss 0.6" in text


def test_the_command_writes_it(seeds, tmp_path):
    port = f"{PROGRAMS / 'cnn_torch.py'}:build"
    status, out, err = tfport("verify", seeds[0], port, "--layers", "all", "--html", tmp_path / "x.html")
    assert status == 0, out + err
    assert "Parity: agree" in words((tmp_path / "x.html").read_text())
    status, _, err = tfport("verify", seeds[0], port, "--html", tmp_path / "none" / "x.html")
    assert status == 2 and "--html" in err and "No such file or directory" in err and err.count("\n") == 1


def test_a_large_model_stays_small():
    """300 layers in four runs and 2,000 tensors: under 2 MB."""
    layers = [layer(f"stage{i // 30}/block{i // 3}/conv{i % 3}", 10.0 ** -(3 + i % 6)) for i in range(300)]
    tensor = {
        "name": "output/logits", "ok": True, "status": "close", "reason": "", "shape": [8, 10], "dtype": "float32",
        "candidate_shape": [8, 10], "candidate_dtype": "float32", "elements": 80, "scale": 1.0, "max_abs": 1e-6,
        "max_rel": 1e-6, "worst": [1, 2], "limit": 1e-5, "why": "rounding", "cosine": 1.0, "snr": 120.0,
        "ulp_histogram": [50, 20, 10],
    }  # fmt: skip
    runs = [run(layers, tensors=[{**tensor, "name": f"output/{i}"} for i in range(2000)]) for _ in range(4)]
    page = render([result(*runs)])
    assert len(page) < 2_000_000
    assert "and 1600 more tensors that agree" in words(page)
