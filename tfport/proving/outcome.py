"""What a proof found."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Failure:
    """One thing that differs.

    ``check`` is value, shape, dtype, gradient, signature, source, raises or proofs; ``where`` the place (name of
    the TensorFlow function, spelling, device, position in the result); ``error`` the largest error relative to the
    largest value of the reference, None where there is no number.
    """

    check: str
    detail: str
    where: str = ""
    error: float | None = None

    def __str__(self) -> str:
        place = f" at {self.where}" if self.where else ""
        size = f" (largest error {self.error:.3g})" if self.error is not None else ""
        return f"{self.check}{place}: {self.detail}{size}"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One proof of one rule: the call as text, and what failed; nothing if it holds."""

    rule: str
    call: str
    failures: tuple[Failure, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the proof holds."""
        return not self.failures

    def __str__(self) -> str:
        if self.ok:
            return f"ok   {self.rule}  {self.call}"
        return "\n".join(f"FAIL {self.rule}  {self.call}: {failure}" for failure in self.failures)


@dataclasses.dataclass(frozen=True)
class Report:
    """All outcomes of a folder of rules."""

    outcomes: tuple[Outcome, ...]

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """The proofs that do not hold."""
        return tuple(o for o in self.outcomes if not o.ok)

    @property
    def ok(self) -> bool:
        """Whether every proof holds; a folder without a rule does not."""
        return bool(self.outcomes) and not self.failed

    def __str__(self) -> str:
        rules = len({o.rule for o in self.outcomes})
        held = len(self.outcomes) - len(self.failed)
        return "\n".join(
            [*map(str, self.failed), f"{held} of {len(self.outcomes)} proofs hold, {rules} rules"]
        )
