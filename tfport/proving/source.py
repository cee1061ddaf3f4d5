"""The converted source of a call, run and held against TensorFlow."""

from __future__ import annotations

import ast
import importlib
import os
from collections.abc import Callable, Sequence
from typing import Any

import tfport
from tfport.proving import candidate
from tfport.proving.calls import Call
from tfport.proving.outcome import Failure
from tfport.proving.spellings import IMPORTS, Spelling
from tfport.proving.values import Result, compare
from tfport.rule import Proof

MARK = "tfport: TODO["


def converter() -> Callable[..., Any] | None:
    """``tfport.convert_source``, or None where this tfport has no converter."""
    return getattr(tfport, "convert_source", None)


def source_failures(spelled: Sequence[Spelling], call: Call, proof: Proof, want: Result,
                    rules: Sequence[Any] = (), python: bool = False) -> list[Failure]:  # fmt: skip
    """Convert all spellings, one text per TensorFlow version, run each and compare it with TensorFlow's result.

    ``rules`` are folders of user rules; ``python`` lets a Python number stand for a tensor.
    """
    found = []
    for version, head in IMPORTS.items():
        group = [s for s in spelled if s.version == version]
        if not group:
            continue
        names = [f"case_{place}" for place in range(len(group))]
        text = "\n\n".join([head, *(s.text(n) for s, n in zip(group, names, strict=True))])
        code = convert(text, rules)
        bodies = functions(code)
        try:
            scope = execute(code)
        except Exception as problem:  # the converted program may fail in any way; all of them are failures
            found.append(Failure("source", f"does not run: {_short(problem)}\n{code}", head))
            continue
        for spelling, name in zip(group, names, strict=True):
            where = f"source, {spelling.label}"
            body = bodies.get(name, "")
            if MARK in body:
                found.append(Failure("source", f"came out marked:\n{body}", where))
            else:
                found += _compared(scope[name], spelling, call, proof, want, where, body, python)
    if len(found) > 2:
        others = ", ".join(sorted({f.where.removeprefix("source, ") for f in found[1:]}))
        return [found[0], Failure("source", f"{len(found) - 1} more like it: {others}")]
    return found


def convert(text: str, rules: Sequence[Any] = ()) -> str:
    """The converted text. Layouts are kept as in TensorFlow, so that the same arrays go in and come out."""
    convert_source = converter()
    if convert_source is None:
        raise RuntimeError("tfport.convert_source is missing: the source part of a proof needs the converter")
    options: dict[str, Any] = {"rules": list(rules)} if rules else {}
    return str(convert_source(text, layout="nhwc", **options).code)


def functions(code: str) -> dict[str, str]:
    """The text of every function at the top of a module, comments included."""
    lines = code.splitlines()
    found = {}
    for node in ast.parse(code).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = "\n".join(lines[node.lineno - 1 : node.end_lineno])
    return found


def execute(code: str) -> dict[str, Any]:
    """The names of the converted module."""
    importlib.import_module("tfport.compat")
    scope: dict[str, Any] = {"__name__": "converted"}
    scope["__file__"] = os.path.join(os.getcwd(), "proof.py")  # folders of user rules count from here
    exec(compile(code, "<converted>", "exec"), scope)  # the converter wrote it
    return scope


def _compared(function: Callable[..., Any], spelling: Spelling, call: Call, proof: Proof, want: Result, where: str,
              body: str, python: bool) -> list[Failure]:  # fmt: skip
    grad = proof.grad and want.gradients is not None
    tensors = [candidate.tensor(d.array, d.dtype, "cpu", grad) for d in call.inputs]
    floating = [t for t, d in zip(tensors, call.inputs, strict=True) if d.floating]
    try:
        have = candidate.finish(function(*tensors, *spelling.extras), floating, grad)
    except Exception as problem:  # whatever a converted program raises is what the proof reports
        if spelling.may_raise:
            return []
        return [Failure("source", f"raises {_short(problem)}\n{body}", where)]
    options: dict[str, Any] = {"rtol": proof.rtol, "atol": proof.atol}
    found = compare(want.value, have.value, python=python, random=proof.random, where=where, **options)
    if grad and not proof.random:
        found += compare(want.gradients, have.gradients, where=f"{where}, gradient", **options)
    return [Failure("source", f"{f.check}: {f.detail}\n{body}", f.where, f.error) for f in found]


def _short(problem: BaseException) -> str:
    text = str(problem).strip().splitlines()
    return f"{type(problem).__name__}: {text[0][:300] if text else ''}"
