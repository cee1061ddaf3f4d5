"""Processes of other programs: started, waited for, ended; what they say as their error becomes one line."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys

from tfport.parity.reference.errors import CaptureError

GRACE = 3.0
"""Seconds that a process has to end after an interrupt, before the next way to end it."""

LOG = re.compile(r"[IWEF]\d{4} |WARNING: All log messages")
"""Lines of TensorFlow's own log, which are no reason."""


def python_at(named: str | None) -> str:
    """The path of the Python that `--python` names, this one where it names none; CaptureError where there is none."""
    if not named:
        return sys.executable
    found = shutil.which(named)
    if not found:
        raise CaptureError(f"--python {named}: no such program")
    return found


def check_python(named: str | None) -> None:
    """Raises CaptureError unless the program is a Python that can run the capture."""
    code = "import sys; print('tfport %d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run(
            [python_at(named), "-c", code], capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        raise CaptureError(f"--python {named}: it does not run") from None
    told = re.fullmatch(r"tfport (\d+)\.(\d+)\s*", done.stdout)
    if told is None:
        raise CaptureError(
            f"--python {named}: it is no Python; name the one that has TensorFlow, ENV/bin/python"
        )
    if (int(told[1]), int(told[2])) < (3, 7):
        raise CaptureError(f"--python {named}: Python {told[1]}.{told[2]}, the capture needs 3.7 or later")


class Unexplained(CaptureError):
    """A process ended without the one line that tells why."""


def ran(command: list[str], what: str, environment: dict[str, str]) -> str:
    """Runs a process, returns its stdout; raises CaptureError with the one line it gives as its error."""
    return ended(started(command, environment), what)


def started(command: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    """Starts a process with pipes; `environment` is added to this one's, in which only PYTHONPATH is replaced."""
    env = {**environment, **os.environ} | {k: v for k, v in environment.items() if k == "PYTHONPATH"}
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(
            command, env=env, stdin=pipe, stdout=pipe, stderr=pipe, text=True, errors="replace"
        )
    except OSError as error:
        raise CaptureError(f"{command[0]}: {error.strerror}") from None


def _interrupt(process: subprocess.Popen[str]) -> None:
    """Ends a process as Ctrl-C does, which it may have had already, so that it clears away what it was writing."""
    for act in (lambda: None, lambda: process.send_signal(signal.SIGINT), process.kill):
        act()
        try:
            process.wait(GRACE)
            return
        except subprocess.TimeoutExpired:
            continue


def ended(process: subprocess.Popen[str], what: str, told: str | None = None) -> str:
    """Waits for a process, which reads `told`, as `ran` does. It does not outlive an interrupt of this one."""
    try:
        stdout, stderr = process.communicate(told)
    except BaseException:
        _interrupt(process)
        raise
    if os.environ.get("TFPORT_TRACEBACK"):
        sys.stderr.write(stderr)
    if process.returncode == 0:
        return stdout
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    said = [line.removeprefix("tfport: ") for line in lines if line.startswith("tfport: ")]
    if said:
        raise CaptureError(said[-1])
    lines = [line for line in lines if not LOG.match(line)]
    command = [str(word) for word in process.args]  # type: ignore[union-attr]
    frames = [line for line in lines if line.startswith('File "') and os.path.basename(command[1]) in line]
    place = f" ({frames[-1].split(', in ')[0]})" if frames else ""
    if process.returncode < 0:
        name = signal.Signals(-process.returncode).name
        why = (
            "the memory ran out, or somebody ended it" if name == "SIGKILL" else "the program itself crashed"
        )
        raise Unexplained(f"{what} was ended by {name}: {why}{place}")
    last = lines[-1] if lines else "it printed no error"
    raise Unexplained(f"{what} ended with status {process.returncode}: {last}{place}")
