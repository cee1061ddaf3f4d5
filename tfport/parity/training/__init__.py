"""Parity of gradients and of training: the torch side.

`replay_gradients` compares vector-Jacobian products in inference mode, `replay_training` K steps of training: the
loss of each, gradients, weights, running statistics and optimizer state, running free and step by step from
equal state, and tries the usual causes where they part.
"""

from collections.abc import Mapping
from typing import Any

from tfport.parity.reference.errors import CaptureError, UsageError
from tfport.parity.training.context import Context
from tfport.parity.training.gradients import replay_gradients
from tfport.parity.training.limits import Tolerance
from tfport.parity.training.steps import replay_training

__all__ = ["Context", "Tolerance", "replay_gradients", "replay_recorded", "replay_training"]


def replay_recorded(context: Context, asked: Tolerance | None = None) -> Mapping[str, Any]:
    """What the golden holds of both: {"gradients": dict or None, "training": dict or None}.

    A candidate that cannot be compared gives a result that is not ok and says why; UsageError, for a name that its
    file lacks, is raised.
    """
    made: dict[str, Any] = {"gradients": None, "training": None}
    for part, replay in (("gradients", replay_gradients), ("training", replay_training)):
        if not context.entry.get(part):
            continue
        try:
            made[part] = replay(context, asked)
        except UsageError:
            raise
        except CaptureError as error:
            made[part] = {"ok": False, "reason": str(error), "error": str(error), "parameters": [], "inputs": [],
                          "compared": 0 if part == "gradients" else {}, "notes": []}  # fmt: skip
            if part == "training":
                made[part] |= {"steps": context.entry[part]["steps"], "losses": None, "left": None, "fault": None,
                               "first_parameter": None, "per_step": [], "causes": [], "not_compared": []}  # fmt: skip
    return made
