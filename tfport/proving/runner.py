"""Runs the proofs of a rule, of a file, of a folder."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import re
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tfport.rules
from tfport.proving import candidate, reference
from tfport.proving.calls import Call, described, draw
from tfport.proving.outcome import Failure, Outcome, Report
from tfport.proving.signature import signature_failures
from tfport.proving.source import converter, source_failures
from tfport.proving.spellings import spellings
from tfport.proving.values import Result, compare
from tfport.rule import REGISTRY, Proof, Rule

GPU_FACTOR = 4.0  # sums run in another order on a GPU


def prove_rule(rule: Rule, *, source: bool = True, rules: Sequence[Path] = ()) -> list[Outcome]:
    """All proofs of one rule. Layers are proved with their weights elsewhere and give none.

    ``source`` also converts each call as text (skipped while this tfport has no converter); ``rules`` are folders
    of user rules that the converter needs to know of. A rule without a proof, or whose names TensorFlow does not
    have, gives one failed outcome. Of a rule with ``proved_by`` the signature is compared where TensorFlow has one,
    and the test file must exist and speak of it; pytest runs that file.
    """
    if rule.weights is not None:
        return []
    known = reference.references(rule)
    if rule.proved_by is not None:
        failures = [*tested_failures(rule), *(f for each in known for f in signature_failures(rule, each))]
        elsewhere = Outcome(rule.primary, f"proved by {rule.proved_by}", tuple(failures))
        if failures or not rule.proofs:
            return [elsewhere]
    if not known:
        names = ", ".join(rule.names)
        return [
            Outcome(rule.primary, "", (Failure("proofs", f"this TensorFlow has no function named {names}"),))
        ]
    if not rule.proofs:
        return [Outcome(rule.primary, "", (Failure("proofs", "the rule has no proof; add @prove"),))]
    try:
        function = candidate.published(rule)
    except LookupError as problem:
        return [Outcome(rule.primary, "", (Failure("proofs", str(problem)),))]
    signature = [failure for each in known for failure in signature_failures(rule, each)]
    outcomes = [Outcome(rule.primary, "signature", tuple(signature))] if signature else []
    for proof in rule.proofs:
        failures = _prove(rule, function, proof, known, rules if source else None)
        outcomes.append(Outcome(rule.primary, described(proof), tuple(failures)))
    return outcomes


def tested_failures(rule: Rule) -> list[Failure]:
    """What is wrong with ``proved_by``: the file is missing, or does not name the rule (its last part, as a word)."""
    code = inspect.getsourcefile(inspect.unwrap(rule.function))
    file = Path(str(code)).resolve().parent.parent / str(rule.proved_by)
    if not file.is_file():
        return [Failure("proofs", f"{rule.proved_by} is not a file")]
    words = {name.rpartition(".")[2] for name in rule.names}
    if not any(re.search(rf"\b{re.escape(word)}\b", file.read_text(encoding="utf-8")) for word in words):
        return [Failure("proofs", f"{rule.proved_by} does not mention {' or '.join(sorted(words))}")]
    return []


def _prove(rule: Rule, function: Callable[..., Any], proof: Proof, known: Sequence[reference.Reference],
           rules: Sequence[Path] | None) -> list[Failure]:  # fmt: skip
    call = draw(proof)
    if proof.raises:
        return _raising(rule, function, call, known)
    want: Result | None = None
    found: list[Failure] = []
    for each in known:
        try:
            with reference.quiet():
                result = reference.run(each, rule, call, proof.grad and not proof.random)
        except Exception as problem:  # TensorFlow refuses this call in its own words
            found.append(Failure("value", f"TensorFlow raises {_short(problem)}", str(each)))
            continue
        if want is None:
            want = result
        else:  # the other names and versions must mean the same as the first
            found += _differences(rule, proof, want, result, f"{each} against {known[0]}", 1.0)
    if want is None:
        return found
    for device in candidate.devices():
        try:
            have = candidate.run(function, call, proof.grad and want.gradients is not None, device)
        except Exception as problem:  # whatever the rule raises is what the proof reports
            found.append(Failure("value", f"the rule raises {_short(problem)}", device))
            continue
        found += _differences(rule, proof, want, have, device, GPU_FACTOR if device == "cuda" else 1.0)
    if rules is not None and converter() is not None and not found:
        names = frozenset(name for entry in REGISTRY.values() for name in entry.names)
        spelled = list(spellings(rule, call, names))
        found += source_failures(spelled, call, proof, want, rules, rule.returns == "python")
    return found


def _differences(
    rule: Rule, proof: Proof, want: Result, have: Result, where: str, factor: float
) -> list[Failure]:
    rtol = None if proof.rtol is None else proof.rtol * factor
    python = rule.returns == "python"
    found = compare(want.value, have.value, rtol=rtol, atol=proof.atol, python=python, random=proof.random,
                    where=where, factor=factor)  # fmt: skip
    if proof.grad and not proof.random and want.gradients is not None and have.gradients is not None:
        gradients = compare(
            want.gradients, have.gradients, rtol=rtol, atol=proof.atol, where=where, factor=factor
        )
        found += [Failure("gradient", f"{f.check} {f.detail}", f.where, f.error) for f in gradients]
    return found


def _raising(rule: Rule, function: Callable[..., Any], call: Call,
             known: Sequence[reference.Reference]) -> list[Failure]:  # fmt: skip
    found = []
    for each in known:
        if not _raises(functools.partial(reference.run, each, rule, call, False)):
            found.append(Failure("raises", "TensorFlow does not raise", str(each)))
    if not _raises(lambda: candidate.run(function, call, False)):
        found.append(Failure("raises", "the rule does not raise", "cpu"))
    return found


def _raises(run: Callable[[], Any]) -> bool:
    try:
        run()
    except Exception:  # the proof asks only whether there is an error
        return True
    return False


def prove_constants(module: types.ModuleType) -> list[Outcome]:
    """The module's CONSTANTS: dtypes by name, numbers by value; for anything else, documentation text included, that
    TensorFlow has the name.
    """
    outcomes = []
    for name, value in getattr(module, "CONSTANTS", {}).items():
        theirs, there = _constant(name)
        failures: tuple[Failure, ...] = ()
        if not there:
            failures = (Failure("proofs", "this TensorFlow has no such name"),)
        else:
            want, have = reference.plain(theirs), "string" if value is str else candidate.plain(value)
            plain = isinstance(want, (bool, int, float, str, tuple, type(None)))
            if plain and "_DOC" not in name and want != have and not (want != want and have != have):
                failures = (Failure("value", f"{have!r}, TensorFlow has {want!r}"),)
        outcomes.append(Outcome(name, "constant", failures))
    return outcomes


def _constant(name: str) -> tuple[Any, bool]:
    tf = reference.tensorflow()
    path = name.removeprefix("tf.").removeprefix("compat.v1.").split(".")
    for root in (tf, tf.compat.v1):
        for part in path[:-1]:
            root = getattr(root, part, None)
        if hasattr(root, path[-1]):
            return getattr(root, path[-1]), True
    found = reference.resolve(name, 2)
    return found, found is not None


def load(path: Path) -> list[types.ModuleType]:
    """Import the rule files of a folder, or one file. Files of tfport's own rules keep their module names."""
    files = [path] if path.is_file() else sorted(path.glob("*.py"))
    own = tfport.rules.folder().resolve()
    modules = []
    for file in files:
        if file.resolve().parent == own:
            modules.append(importlib.import_module(f"tfport.rules.{file.stem}"))
            continue
        name = f"tfport_user_rules_{file.stem}"
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise ImportError(f"{file} is not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        modules.append(module)
    return modules


def rules_of(module: types.ModuleType) -> list[Rule]:
    """The rules that this module registered, in the order of the file."""
    return [r for r in REGISTRY.values() if r.function.__module__ == module.__name__]


def prove_folder(path: str | Path, *, only: str = "", source: bool = True) -> Report:
    """All proofs of the rule files at ``path`` (a folder or a file), those with ``only`` in a name of the rule."""
    place = Path(path)
    importlib.import_module("tfport.compat")
    modules = load(place)
    folder = place if place.is_dir() else place.parent
    own = folder.resolve() == tfport.rules.folder().resolve()
    outcomes: list[Outcome] = []
    for module in modules:
        for rule in rules_of(module):
            if any(only in name for name in rule.names):
                outcomes += prove_rule(rule, source=source, rules=() if own else (folder,))
        outcomes += [o for o in prove_constants(module) if only in o.rule]
    return Report(tuple(outcomes))


def _short(problem: BaseException) -> str:
    text = str(problem).strip().splitlines()
    return f"{type(problem).__name__}: {text[0][:300] if text else ''}"


__all__ = ["load", "prove_constants", "prove_folder", "prove_rule", "rules_of"]
