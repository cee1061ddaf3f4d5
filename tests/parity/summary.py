"""What the parity tests counted, in the summary of a test run: faults caught, localised, named; healthy runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def lines(properties: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """The lines to print for the `record_property` pairs of all tests, `fault` and `healthy`; none without any."""
    faults: dict[str, list[Mapping[str, Any]]] = {}
    healthy = []
    for name, value in properties:
        if name == "fault":
            faults.setdefault(value["device"], []).append(value)
        elif name == "healthy":
            healthy.append(value)
    found = []
    for device, planted in sorted(faults.items()):
        named = [fault["named"] for fault in planted if fault["named"] is not None]
        counts = {
            "caught": (sum(fault["caught"] for fault in planted), len(planted)),
            "localised": (sum(fault["localised"] for fault in planted), len(planted)),
            "cause named": (sum(named), len(named)),
        }
        told = ", ".join(f"{what} {n} of {of}" for what, (n, of) in counts.items())
        found.append(f"parity, planted faults on {device}: {told}")
    if healthy:
        worst = max(healthy, key=lambda chunk: chunk["worst"])
        runs, agreed = sum(c["runs"] for c in healthy), sum(c["agreed"] for c in healthy)
        near = f"the largest error was {worst['worst']:.2f} of what is allowed ({worst['where']})"
        found.append(f"parity, healthy twins: {agreed} of {runs} runs agreed, {near}")
    return found
