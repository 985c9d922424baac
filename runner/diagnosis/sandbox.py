"""The processes of tasks: what the kernel confines them to, and whether one runs."""

from __future__ import annotations

import json
import platform

from msgspec import Raw

from runner.clock import SystemClock
from runner.diagnosis.finding import Finding, Situation, ok, problem, warning
from runner.diagnosis.settings import usable_config, with_anything
from runner.errors import SandboxFailed, TaskFailed
from runner.execution.executor import TaskRequest
from runner.execution.sandbox.confinement.report import Result
from runner.execution.sandbox.executor import SandboxExecutor

BY_LANDLOCK = frozenset({"files", "folder", "memory privacy", "network"})
ADVICE = {
    **dict.fromkeys(BY_LANDLOCK, "Landlock needs Linux 5.13 or newer, and `landlock` in /sys/kernel/security/lsm"),
    "system calls": "seccomp needs Linux on x86_64 or aarch64, and a container runtime that lets processes use it",
    "user": "Start the runner as a user of its own, or as root with an interpreter that other users may read",
}

TASK = {
    "code": "return [{'json': {'answer': 42}}]",
    "nodeMode": "runOnceForAllItems",
    "continueOnFail": False,
    "items": [],
    "nodeName": "doctor",
}
UNAVOIDABLE = "See the page about the sandbox for what it means"


async def confinement(situation: Situation) -> list[Finding]:
    """What a real process of a task achieves, and which modules could not be imported in it beforehand."""
    config = usable_config(situation)
    executor = SandboxExecutor(with_anything(config), situation.environment)
    try:
        await executor.start()
        report, problems = executor.report, executor.preload_problems
    except SandboxFailed as error:
        return [problem(str(error), "Without these processes there are no tasks")]
    finally:
        await executor.close()
    needs_all = config.confinement == "required" or config.language == "full"
    found = [_layer(result, needs_all=needs_all) for result in report]
    found += [warning(line, "Code that imports it will fail as well: repair or leave it out") for line in problems]
    return [*found, ok(f"kernel {platform.release()}")]


def _layer(result: Result, *, needs_all: bool) -> Finding:
    if result.achieved == "complete":
        return ok(result.layer + (f": {result.why}" if result.why else ""))
    advice = ADVICE.get(result.layer, UNAVOIDABLE)
    text = f"{result.layer} {result.achieved}: {result.why}"
    if needs_all:
        return problem(f"{text}; the configuration asks for complete confinement", advice)
    return warning(text, advice)


async def task(situation: Situation) -> list[Finding]:
    """Run a task from its settings to its result, with neither a broker nor the configured packages."""
    clock = SystemClock()
    executor = SandboxExecutor(with_anything(usable_config(situation)), situation.environment)
    try:
        await executor.start()
        began = clock.now()
        outcome = await executor.execute(TaskRequest("doctor", Raw(json.dumps(TASK).encode("ascii")), _ignore))
        took = clock.now() - began
    except (SandboxFailed, TaskFailed) as error:
        return [problem(f"a task failed: {error}", "See what is said about the confinement")]
    finally:
        await executor.close()
    result = bytes(outcome.result)
    if json.loads(result) != [{"json": {"answer": 42}}]:
        return [problem(f"a task had another result than it should: {result[:200]!r}", "Please report it")]
    return [ok(f"one ran, in {took * 1000:.1f} ms")]


def _ignore(_: Raw) -> None:
    """Nobody prints."""
