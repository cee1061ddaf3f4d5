"""Whether a rule takes what TensorFlow's function takes: names, order and defaults of the parameters."""

from __future__ import annotations

import inspect

from tfport.proving.outcome import Failure
from tfport.proving.reference import METHOD, Reference, parameters
from tfport.rule import Rule

_OPAQUE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def signature_failures(rule: Rule, reference: Reference) -> list[Failure]:
    """Parameters that the rule does not know, stands in another order, or gives another default.

    Order is compared up to ``name``: nobody passes by position what follows it. A default of None is TensorFlow's
    way to say that an older spelling may stand instead, and is compared with nothing.
    """
    theirs = parameters(reference.function)
    if theirs is None or reference.name.startswith(METHOD) or any(p.kind in _OPAQUE for p in theirs.values()):
        return []
    ours = inspect.signature(rule.function).parameters
    if any(p.kind in _OPAQUE for p in ours.values()):
        return []
    where = str(reference)
    found = []
    missing = [n for n in theirs if n not in ours and n not in rule.renamed]
    if missing:
        found.append(Failure("signature", f"no parameter for {', '.join(missing)}", where))
    order = list(theirs)[: list(theirs).index("name")] if "name" in theirs else list(theirs)
    mine = [n for n, p in ours.items() if p.kind is not p.KEYWORD_ONLY]
    for place, name in enumerate(order):
        if theirs[name].kind is inspect.Parameter.KEYWORD_ONLY or name in missing:
            break
        if place >= len(mine) or mine[place] != rule.renamed.get(name, name):
            have = mine[place] if place < len(mine) else "nothing"
            detail = (
                f"argument {place} by position is {have}, in TensorFlow {name}; where the versions differ, "
            )
            found.append(Failure("signature", detail + "write a rule for each", where))
            break
    for name, parameter in theirs.items():
        own = ours.get(name) or ours.get(rule.renamed.get(name, ""))
        plain = isinstance(parameter.default, bool | int | float | str)
        if own is not None and plain and own.default != parameter.default:
            detail = f"default of {name} is {own.default!r}, in TensorFlow {parameter.default!r}"
            found.append(Failure("signature", detail.replace(repr(inspect.Parameter.empty), "none"), where))
    return found
