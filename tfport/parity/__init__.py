"""Parity: runs a TensorFlow program and its port on the same inputs and compares all they return.

`reference` runs the reference (TensorFlow, its own process: `bundle` makes one file of it), `replay` the candidate
(torch, its own process), `comparison` holds what agreeing means, `verification` joins them. Nothing is imported before it
is used:

    from tfport.parity import compare
    assert compare(tensorflow_output.numpy(), torch_output)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfport.parity.comparison import Comparison as Comparison
    from tfport.parity.comparison import compare as compare
    from tfport.parity.verification import Plan as Plan
    from tfport.parity.verification import Verification as Verification
    from tfport.parity.verification import verify as verify

_HOME = {
    "compare": "tfport.parity.comparison",
    "Comparison": "tfport.parity.comparison",
    "Plan": "tfport.parity.verification",
    "Verification": "tfport.parity.verification",
    "verify": "tfport.parity.verification",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
