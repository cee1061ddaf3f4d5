"""The text of a model's class: __init__ with its modules and initial values, forward with its lines."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tfport.source.models.trace import Module

if TYPE_CHECKING:
    from tfport.source.convert import Walk

INDENT = "    "


@dataclasses.dataclass
class Line:
    """One line of forward, with the comments that belonged to its statement."""

    text: str
    above: tuple[str, ...] = ()
    beside: str = ""
    mask: str = ""  # the mask that the line makes

    def lines(self) -> list[str]:
        """Comments above, then the line."""
        return [
            *self.above,
            *([f"{self.text}  {self.beside}" if self.beside else self.text] if self.text else []),
        ]


def class_text(walk: Walk, name: str, parameters: Sequence[str], modules: Sequence[Module],
               inputs: Sequence[str], forward: Sequence[Line]) -> str:  # fmt: skip
    """The class, without blank lines around it."""
    nn = walk.rewriter.imports.use("nn")
    start = [f"self.{m.attribute} = {m.constructor}" for m in modules]
    init = ["super().__init__()", *start, *initial_values(walk, modules)]
    body = [line for part in forward for line in part.lines()]
    signature = ", ".join(["self", *parameters])
    return "\n".join([
        f"class {name}({nn}.Module):",
        f"{INDENT}def __init__({signature}):",
        *(INDENT * 2 + line for line in init),
        "",
        f"{INDENT}def forward({', '.join(['self', *inputs])}):",
        *(INDENT * 2 + line for line in body),
    ])  # fmt: skip


def initial_values(walk: Walk, modules: Sequence[Module]) -> list[str]:
    """Keras' initial values where torch's differ, one loop for all modules that share them."""
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    helped: dict[str, list[str]] = {}
    for module in modules:
        name = f"{'*' if module.repeated else ''}self.{module.attribute}"
        if module.helper is not None:
            helped.setdefault(module.helper, []).extend(
                f"{name}.{p}" if p else name for p in module.parts or ("",)
            )
        elif module.initialisers:
            groups.setdefault(tuple(module.initialisers), []).append(name)
    nn = walk.rewriter.imports.use("nn") if groups else ""
    lines: list[str] = []
    for initialisers, names in groups.items():
        if len(names) == 1 and not names[0].startswith("*"):
            lines += [_initialise(nn, f"{names[0]}.{p}", function) for p, function in initialisers]
        else:
            over = names[0].lstrip("*") if len(names) == 1 else f"({', '.join(names)})"
            lines.append(f"for layer in {over}:")
            lines += [INDENT + _initialise(nn, f"layer.{p}", function) for p, function in initialisers]
    compat = walk.rewriter.imports.use("compat") if helped else ""
    return lines + [
        f"{compat}.keras.initialise({', '.join(names)}, {options})" for options, names in helped.items()
    ]


def _initialise(nn: str, parameter: str, function: str) -> str:
    extra = {"uniform_": ", -0.05, 0.05", "kaiming_uniform_": ', nonlinearity="relu"'}.get(function, "")
    return f"{nn}.init.{function}({parameter}{extra})"


def class_name(walk: Walk, *candidates: str | None) -> str:
    """A class name from the first candidate that gives one: ``build_text_cnn`` -> ``TextCnn``; never a taken one."""
    taken = {
        n for s in {*walk.rewriter.names.scope_of.values(), walk.rewriter.names.module} for n in s.bindings
    }
    taken |= set(walk.record["models"])
    for candidate in [*candidates, "model"]:
        words = [w for w in re.split(r"[\W_]+", candidate or "") if w]
        while words and words[0].lower() in ("build", "make", "create", "get", "define", "construct"):
            words.pop(0)
        made = "".join(w[:1].upper() + w[1:] for w in words)
        if made.isidentifier():
            break
    while made in taken:
        made += "Net" if not made.endswith("Net") else "_"
    return made
