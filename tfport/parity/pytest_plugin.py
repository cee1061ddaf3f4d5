"""The pytest plugin: the `parity` fixture, the `parity` marker and four options.

    @pytest.mark.parity(reference="cnn.py:build", golden="golden/cnn", candidate="cnn_torch.py:build")
    def test_cnn(): ...

    def test_cnn_in_double(parity):
        parity("golden/cnn", "cnn_torch.py:build", dtype="float64", rtol=1e-12)

pytest loads this file in every run of every project that has tfport installed, so it imports neither torch nor
NumPy nor TensorFlow. A golden folder is replayed in a process of its own (see `verification`); TensorFlow is needed
by `--parity-update` and by references that are programs, and by nothing else. Paths are relative to the folder
of the test file, wherever pytest is started.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import pytest

if TYPE_CHECKING:
    from tfport.parity.comparison import Comparison
    from tfport.parity.verification import Plan, Verification

MARKER = (
    'parity(golden, candidate=None, reference=None, dtype=None, **options): compares the port "model_torch.py:NAME" '
    "with a golden folder, the recorded run of a TensorFlow program, before the test's own body runs. `reference` "
    "names the program for --parity-update; options are those of the parity fixture (rtol, atol, steps, ...)."
)
WIDTH = 150
"""Columns of the table in an assertion message."""
_PROGRAM = re.compile(r"\.py:[^\W\d][\w.]*$")
_PATH = re.compile(r"^(?P<head>(?:[A-Za-z_]\w*=)?@?)(?P<path>.+?\.(?:npy|npz|py))(?P<tail>:.*)?$")


class Disagreement(AssertionError):
    """The port does not agree, or could not be compared. `verification` is the result where there is one."""

    def __init__(self, message: str, verification: Verification | None = None) -> None:
        super().__init__(message)
        self.verification = verification


@dataclasses.dataclass
class Session:
    """What one pytest process knows of parity."""

    devices: tuple[str, ...] = ("cpu",)
    update: bool = False
    html: str | None = None
    python: str | None = None
    updated: dict[str, str] = dataclasses.field(default_factory=dict)
    """Golden folders written in this session, and what they were captured from."""
    plans: dict[str, Plan] = dataclasses.field(default_factory=dict)
    """What each of them holds: all that the tests so far ask of it."""
    results: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    """Every result as `report.summary` gives it, with the test's name; what the HTML page is made of."""
    missing: dict[str, str | None] = dataclasses.field(default_factory=dict)
    """Why a device cannot be used, None where it can; asked once for each."""

    def why_not(self, device: str) -> str | None:
        """Why torch cannot use a device, in words, or None. Asks in a process of its own: no torch in pytest's."""
        if device == "cpu":
            return None
        if device not in self.missing:
            code = "import torch; print(torch.cuda.device_count() if torch.cuda.is_available() else 0)"
            asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
            lines = asked.stdout.split()
            count = int(lines[-1]) if asked.returncode == 0 and lines and lines[-1].isdigit() else 0
            index = int(device.partition(":")[2] or 0)
            told = (
                f"--parity-device {device}: torch finds {count or 'no'} CUDA device{'s' * (count != 1)} here"
            )
            self.missing[device] = None if index < count else told
        return self.missing[device]


_SESSION = pytest.StashKey[Session]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options, all with the prefix `--parity-`."""
    group = parser.getgroup("parity", "parity of a TensorFlow program and its PyTorch port (tfport)")
    group.addoption(
        "--parity-device",
        metavar="LIST",
        default="cpu",
        help="cpu,cuda: each parity test once per device; a device that is not there is skipped",
    )
    group.addoption(
        "--parity-update",
        action="store_true",
        help="capture the golden folders anew from the references that the tests name (needs TensorFlow)",
    )
    group.addoption("--parity-html", metavar="FILE", help="write what was compared as one HTML page")
    group.addoption("--parity-python", metavar="PY", help="the Python that has TensorFlow; this one unless named")  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker and reads the options.

    Raises UsageError for an unknown device, a parallel update, and a page that cannot be written.
    """
    config.addinivalue_line("markers", MARKER)
    option = config.option
    devices = tuple(dict.fromkeys(d.strip() for d in option.parity_device.split(",") if d.strip()))
    wrong = [d for d in devices if not re.fullmatch(r"cpu|cuda(:\d+)?", d)]
    if wrong or not devices:
        raise pytest.UsageError(
            f"--parity-device {option.parity_device}: expected a list of cpu, cuda, cuda:N"
        )
    parallel = getattr(option, "numprocesses", None) or hasattr(config, "workerinput")
    if option.parity_update and parallel:
        raise pytest.UsageError("--parity-update writes golden folders: run it in one process, -n 0")
    html = os.path.abspath(option.parity_html) if option.parity_html else None
    if html and not hasattr(config, "workerinput"):
        try:
            os.makedirs(os.path.dirname(html), exist_ok=True)
            with open(html, "ab"):  # before the tests run: not to be known after them
                pass
            if not os.path.getsize(html):
                os.remove(html)
        except OSError as error:
            raise pytest.UsageError(f"--parity-html {option.parity_html}: {error.strerror}") from None
    config.stash[_SESSION] = Session(devices, option.parity_update, html, option.parity_python)


@pytest.fixture
def parity(request: pytest.FixtureRequest) -> Parity:
    """Compares a PyTorch port with a golden folder: `parity(golden, candidate, ...)`; `parity.compare(a, b)`."""
    session = request.config.stash[_SESSION]
    device = getattr(request, "param", session.devices[0])
    why = session.why_not(device)
    if why:
        pytest.skip(why)
    return Parity(request.node, session, device)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Gives marked tests the fixture, and every parity test one run per device where several are named."""
    if "parity" not in metafunc.fixturenames:
        if not any(metafunc.definition.iter_markers("parity")):
            return
        metafunc.fixturenames.append("parity")
    devices = metafunc.config.stash[_SESSION].devices
    if len(devices) > 1:
        metafunc.parametrize("parity", devices, indirect=True, ids=list(devices))


def pytest_itemcollected(item: pytest.Item) -> None:
    """Sets the fixture up for marked tests whose function does not ask for it."""
    if _takes_fixtures(item) and any(item.iter_markers("parity")) and "parity" not in item.fixturenames:
        item.fixturenames.append("parity")


def _takes_fixtures(item: pytest.Item) -> TypeGuard[pytest.Function]:
    """Whether a test is a plain function or method: one of unittest, or of another plugin's kind, is not."""
    cases = sys.modules.get("unittest")
    owner = getattr(item, "cls", None)
    return isinstance(item, pytest.Function) and not (cases and owner and issubclass(owner, cases.TestCase))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Verifies what the markers of a test name, before its own body runs, whatever kind of test it is."""
    markers = list(item.iter_markers("parity"))
    if not markers:
        return
    session = item.config.stash[_SESSION]
    checks: list[Any]
    missing: list[str] = []
    if _takes_fixtures(item):
        checks = [item.funcargs["parity"]]
    else:  # what is collected once is compared on each device
        told = {device: session.why_not(device) for device in session.devices}
        checks = [Parity(item, session, device) for device, why in told.items() if why is None]
        missing = [why for why in told.values() if why]
    for marker, check in itertools.product(markers, checks):
        failed = None
        try:
            check(*marker.args, **marker.kwargs)
        except (Disagreement, TypeError) as error:
            failed = str(error)
        if failed is not None:  # outside the handler: the text alone, without "during handling of"
            pytest.fail(failed, pytrace=False)
    if missing:
        pytest.skip("; ".join(missing))  # said in words: what was there has been compared above


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says what was compared, what was written, and writes the HTML page."""
    session = config.stash[_SESSION]
    absent = [why for why in session.missing.values() if why]
    if hasattr(config, "workerinput") or not (session.results or session.updated or session.html or absent):
        return
    write = terminalreporter.write_line
    terminalreporter.section("parity")
    agree = sum(result["ok"] for result in session.results)
    write(f"{agree} of {len(session.results)} comparisons agree")
    for why in absent:
        write(f"{why}: nothing was compared there", yellow=True)
    for folder, reference in session.updated.items():
        write(f"captured {_shown(folder)} from {reference}")
    for stale in dict.fromkeys(result["stale"] for result in session.results if result["stale"]):
        write(stale, yellow=True)
    if session.html and session.results:
        from tfport.parity.html import render, save

        page = render(session.results)
        try:
            save(page, session.html)
        except OSError as error:
            write(f"--parity-html {session.html}: {error.strerror}", red=True)
        else:
            write(f"wrote {_shown(session.html)}")
    elif session.html:
        write(f"nothing was compared: {_shown(session.html)} was not written", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a worker of pytest-xdist: hands the results to the process that writes the report."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["parity_results"] = session.config.stash[_SESSION].results
        output["parity_missing"] = session.config.stash[_SESSION].missing


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object | None) -> None:
    """Takes the results of a worker of pytest-xdist; a worker that died has none."""
    output = getattr(node, "workeroutput", None) or {}
    session = node.config.stash[_SESSION]
    session.results.extend(output.get("parity_results", []))
    session.missing.update(output.get("parity_missing", {}))


class Parity:
    """What the `parity` fixture gives: bound to one test, and to one device where `--parity-device` names several."""

    def __init__(self, item: pytest.Item, session: Session, device: str) -> None:
        self.item, self.session, self.device = item, session, device
        self.base = Path(item.path).parent
        self.results: list[Verification] = []
        """What was compared so far in this test, the marker's comparisons first."""

    def __call__(
        self,
        golden: str | os.PathLike[str],
        candidate: str | None = None,
        *,
        reference: str | None = None,
        dtype: str | Sequence[str] | None = None,
        device: str | Sequence[str] | None = None,
        **options: Any,
    ) -> Verification:
        """Runs the port on what a golden folder holds and compares; returns the Verification.

        `golden` is a folder of `tfport capture`, or `model.py:NAME` (which then runs, and needs TensorFlow).
        `candidate` is `model_torch.py:NAME`, by default the one that `tfport convert` makes of the reference.
        `reference`, `model.py:NAME`, is what `--parity-update` captures. `dtype` is "float32", "float64", both
        in a list, by default whatever the golden holds. The options are the fields of `verification.Plan`: rtol,
        atol, layers, gradients, steps, inputs, weights, call_args, seed, ...; those that only a capture needs
        are used by `--parity-update`.

        Raises Disagreement (an AssertionError) with the report's table when anything named was not compared
        or does not agree, and where the golden is missing or damaged; TypeError for an unknown option.
        """
        __tracebackhide__ = True
        from tfport.parity.reference.errors import CaptureError
        from tfport.parity.verification import verify

        plan, folder = self.plan(os.fspath(golden), candidate, reference, dtype, device, options)
        try:
            stale = None
            if folder is not None:
                self.update_or_find(folder, golden, reference, plan)
                dtypes, stale = self.found(folder, reference)
                plan.dtypes = plan.dtypes or dtypes
            done = verify(plan)
            done.reference, done.candidate = _shown(done.reference), _shown(done.candidate)
            for part in done.parts if stale else ():
                part.notes.append(str(stale))
        except CaptureError as error:
            self.tell("not compared", error=str(error))
            raise Disagreement(f"parity: {error}") from None
        return self.judge(done, stale and f"{_shown(str(folder))}: {stale}")

    def compare(
        self,
        reference: Any,
        candidate: Any,
        *,
        rtol: float | None = None,
        atol: float | None = None,
        dtype: str = "float32",
    ) -> Comparison:
        """Compares two results that the test has itself: arrays, tensors, numbers, nested dicts and lists.

        `dtype` is the precision that Python numbers were computed in. Raises Disagreement with the report's
        table, ValueError for a negative tolerance.
        """
        __tracebackhide__ = True
        from tfport.parity.comparison import compare
        from tfport.parity.verification import Part, Verification

        compared = compare(reference, candidate, rtol=rtol, atol=atol, python_dtype=dtype)
        part = Part(dtype, "as given", comparison=compared)
        self.judge(Verification("reference", "candidate", parts=[part]))
        return compared

    def plan(
        self,
        golden: str,
        candidate: str | None,
        reference: str | None,
        dtype: str | Sequence[str] | None,
        device: str | Sequence[str] | None,
        options: dict[str, Any],
    ) -> tuple[Plan, str | None]:
        """-> (what to verify, its paths absolute; the golden folder, None for a reference that runs)."""
        __tracebackhide__ = True
        from tfport.parity.verification import Plan, default_candidate, kind_of

        taken = {"reference", "candidate", "dtypes", "devices", "python"}
        known = {f.name for f in dataclasses.fields(Plan)} - taken
        unknown = sorted(set(options) - known)
        if unknown:
            raise TypeError(f"parity: no option {', '.join(unknown)}; there are {', '.join(sorted(known))}")
        path = os.path.normpath(self.base / golden)
        program = bool(_PROGRAM.search(golden))
        runs = program or kind_of(path) in ("savedmodel", "graph")
        source = golden if program else reference if reference and _PROGRAM.search(reference) else None
        if candidate is None and source is not None:
            candidate = default_candidate(source)
        if candidate is None:
            raise TypeError(
                "parity: name the candidate, 'model_torch.py:NAME', or the reference it was made from"
            )
        dtypes = (dtype,) if isinstance(dtype, str) else tuple(dtype or ())
        devices = (device,) if isinstance(device, str) else tuple(device or (self.device,))
        if "inputs" in options:
            given = options["inputs"]
            options["inputs"] = [self.beside(s) for s in ([given] if isinstance(given, str) else given)]
        for name in ("weights", "map"):
            if options.get(name):
                options[name] = str(self.base / options[name])
        plan = Plan(
            path,
            self.beside(candidate),
            dtypes=dtypes or (("float32",) if runs else ()),
            devices=devices,
            python=self.session.python,
            **options,
        )
        return plan, None if runs else path

    def beside(self, text: str) -> str:
        """`model.py:build`, `x=data.npy`, `@inputs.py:make`, `saved_model/`: with its path absolute."""
        match = _PATH.match(text)
        if match is None:
            path = os.path.normpath(self.base / text)
            return path if os.path.exists(path) else text  # a SavedModel, or the spec of an array
        return f"{match['head']}{os.path.normpath(self.base / match['path'])}{match['tail'] or ''}"

    def update_or_find(self, folder: str, golden: Any, reference: str | None, plan: Plan) -> None:
        """Captures the golden folder anew when asked to; raises Disagreement when it is not there."""
        __tracebackhide__ = True
        held = self.session.plans.get(folder)
        if self.session.update and (held is None or reference is not None):
            if reference is None:
                raise Disagreement(
                    f"parity: --parity-update cannot capture {golden}: the test names no reference; "
                    "add reference='model.py:NAME'"
                )
            from tfport.parity.golden import read_golden
            from tfport.parity.recapture import joined, recapture

            plan = dataclasses.replace(plan, reference=self.beside(reference), tensors=tuple(plan.tensors))
            wanted = joined(held, plan) if held is not None else plan
            if wanted != held:
                remark = recapture(wanted, folder)
                dtypes = tuple(run["dtype"] for run in read_golden(folder).runs)
                self.session.plans[folder] = dataclasses.replace(wanted, dtypes=dtypes)
                self.session.updated[folder] = _shown(wanted.reference) + (f"; {remark}" if remark else "")
        elif not os.path.isfile(os.path.join(folder, "manifest.json")):
            from_ = _shown(self.beside(reference)) if reference else "model.py:NAME"
            test = f"pytest {shlex.quote(self.item.nodeid.partition('[')[0])} --parity-update"
            where = "where TensorFlow is installed, or with --parity-python PY"
            update = f"{test} ({where}), or " if reference else ""
            inputs = "".join(f" --input {shlex.quote(_shown(spec))}" for spec in plan.inputs)
            told = f"tfport capture {from_}{inputs} -o {_shown(folder)}"
            raise Disagreement(f"parity: {_shown(folder)} is no golden folder; make it: {update}{told}")

    def found(self, folder: str, reference: str | None) -> tuple[tuple[str, ...], str | None]:
        """The dtypes that a golden folder holds; a remark where it is older than the reference beside it."""
        from tfport.parity.golden import read_golden
        from tfport.parity.reference.manifest import sha256

        held, stale = read_golden(folder), None
        known = reference is not None and _PROGRAM.search(reference)
        path, _, name = self.beside(reference or "").rpartition(":") if known else ("", "", "")
        if path and held.target != f"{os.path.basename(path)}:{name}":
            stale = f"the golden was captured from {held.target}, the test names {reference}"
        elif os.path.isfile(path) and sha256(path) != held.manifest["source_sha256"]:
            stale = (
                f"the golden was captured from another version of {os.path.basename(path)}: --parity-update"
            )
        return tuple(run["dtype"] for run in held.runs), stale

    def judge(self, done: Verification, stale: str | None = None) -> Verification:
        """Keeps a result for the reports, with a remark on its golden; raises Disagreement unless all agreed."""
        __tracebackhide__ = True
        import json

        from tfport.parity.report import as_json

        told = json.loads(as_json(done))
        self.results.append(done)
        self.session.results.append({"test": self.item.nodeid, "stale": stale, **told})
        self.tell("agree" if done.ok else "disagree", **properties(told))
        if not done.ok:
            raise Disagreement(table(done), done)
        return done

    def tell(self, result: str, **properties: Any) -> None:
        """Adds properties to the test's entry in a JUnit report."""
        for name, value in {"result": result, **properties}.items():
            if value is not None:
                self.item.user_properties.append((f"parity_{name}", str(value)))


def table(done: Verification) -> str:
    """The report as `tfport verify` prints it, without colours."""
    import io

    from rich.console import Console

    from tfport.parity.report import print_table

    text = io.StringIO()
    print_table(done, Console(file=text, width=WIDTH, highlight=False, no_color=True, legacy_windows=False))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def properties(told: Mapping[str, Any]) -> dict[str, Any]:
    """What a CI wants to sort by, from `report.as_json`: the worst tensor, its errors, the first layer, the cause.

    The worst tensor is the first that does not agree, by relative error; None stands for what is not known.
    """
    runs = told.get("runs", [])
    tensors = [(t, run) for run in runs for t in run["tensors"]]
    found: dict[str, Any] = {"reference": told["reference"], "candidate": told["candidate"]}
    if tensors:
        worst, run = max(tensors, key=lambda pair: (not pair[0]["ok"], _number(pair[0]["max_rel"])))
        found |= {
            "worst_tensor": worst["name"],
            "max_abs_error": worst["max_abs"],
            "max_rel_error": worst["max_rel"],
        }
        found |= {"dtype": run["dtype"], "device": run["device"]}
    errors = [run["error"] for run in runs if run["error"]]
    first = [run["first"]["layer"] for run in runs if run.get("first")]
    sources = [source or {} for run in runs for source in (run, run.get("training"))]
    causes = [cause["said"] for told in sources for cause in told.get("causes") or [] if cause["agrees"]]
    found["error"] = errors[0] if errors else None
    found["layer"] = first[0] if first else None
    found["cause"] = causes[0] if causes else None
    return found


def _number(x: Any) -> float:
    value = float(x)  # JSON has "inf" and "nan" as strings
    return value if value == value else float("inf")


def _shown(path: str) -> str:
    """A path as short as it can be said from here."""
    try:
        return min(os.path.relpath(path), path, key=len)
    except ValueError:  # another drive
        return path
