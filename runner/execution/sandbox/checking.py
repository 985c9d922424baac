"""Has a code judged by the rules that its task would be judged by, in a confined process that does not run it."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Annotated

import attrs
import msgspec
from msgspec import Meta

from runner.config import TaskRunnerConfig
from runner.errors import SandboxFailed
from runner.execution.sandbox.confinement.report import Report
from runner.execution.sandbox.findings import Finding
from runner.execution.sandbox.folders import Folder
from runner.execution.sandbox.orders import order_for

SCRIPT = Path(__file__).with_name("child") / "checking.py"

PATIENCE = 20.0
"""How long a code may take to be judged, in seconds."""

ANSWER_LIMIT = 4 * 1024**2
"""How much of an answer is read, in bytes."""

LAST_WORDS = 4096
"""How much is read of what went wrong in it, in bytes."""

Text = Annotated[str, Meta(max_length=100_000)]
Place = Annotated[int, Meta(ge=0, lt=2**31)]


@attrs.frozen
class _Answer:
    """How the process ended, what it said, and the last that it wrote to its standard error."""

    status: int
    said: bytes
    complaints: str


class _Verdict(msgspec.Struct):
    """What the process says."""

    report: list[tuple[Text, Text, Text]]
    findings: list[tuple[Place, Place, Text, Text]]


def findings_in(code: str, config: TaskRunnerConfig) -> list[Finding]:
    """All that the language rules of `config` have against a code, in its order; nothing if it may be run.

    Blocks until a process has been started and has answered, which takes a tenth of a second.

    Raises:
        SandboxFailed: there can be no such process, or it is not confined as the configuration asks for.
    """
    try:
        folder = Folder()
    except OSError as error:
        raise SandboxFailed(f"There can be no temporary folder: {error}") from error
    try:
        order = order_for(config, str(folder.tasks), {})
        answer = _asked(order.to_json() + b"\n" + code.encode("utf-8", "surrogatepass"))
    finally:
        folder.remove()
    if answer.status:
        return [Finding(0, 0, _why(answer))]
    try:
        verdict = msgspec.json.decode(answer.said, type=_Verdict)
    except msgspec.MsgspecError as error:
        raise SandboxFailed(f"The process that judges code has given no verdict: {error}") from error
    _judge(Report(verdict.report), config)  # type: ignore[arg-type]
    return [Finding(*each) for each in verdict.findings]


def _asked(question: bytes) -> _Answer:
    """Ask a process of its own."""
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as complaints:
        asked.write(question)
        asked.seek(0)
        try:
            process = subprocess.Popen(
                [sys.executable or "python3", "-I", "-X", "utf8", str(SCRIPT)],
                stdin=asked,
                stdout=subprocess.PIPE,
                stderr=complaints,
                env={},
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise SandboxFailed(f"The process that judges code cannot be started: {error}") from error
        alarm = threading.Timer(PATIENCE, process.kill)
        alarm.start()
        try:
            said = _said_by(process)
            status = process.wait()
        finally:
            alarm.cancel()
            process.kill()
            process.wait()
        complaints.seek(max(0, complaints.tell() - LAST_WORDS))
        return _Answer(status, said, complaints.read(LAST_WORDS).decode("utf-8", "replace"))


def _said_by(process: subprocess.Popen[bytes]) -> bytes:
    if process.stdout is None:
        raise AssertionError("the process was started with a pipe")
    with process.stdout:
        said = process.stdout.read(ANSWER_LIMIT)
        if len(said) == ANSWER_LIMIT:
            process.kill()
    return said


def _why(answer: _Answer) -> str:
    """Why there is no verdict."""
    status = answer.status
    if status == -signal.SIGKILL:
        return f"The code could not be judged: its process was killed, which happens after {PATIENCE:g} s"
    if status < 0:
        return f"The code could not be judged: Python itself crashed on it ({signal.Signals(-status).name})"
    last = "".join(answer.complaints.rstrip().splitlines()[-1:])
    return f"The code could not be judged: its process ended with code {status}" + (f" ({last})" if last else "")


def _judge(report: Report, config: TaskRunnerConfig) -> None:
    if config.confinement == "required" and not report.is_complete:
        lacking = "; ".join(f"{result.layer}: {result.why}" for result in report.lacking())
        raise SandboxFailed(f"N8N_RUNNERS_CONFINEMENT=required, but the code was not judged in confinement ({lacking})")
