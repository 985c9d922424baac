"""The table of checks, and how they are made: one after the other, whatever becomes of those before."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import NamedTuple

from runner.diagnosis.finding import Finding, Situation, problem

PATIENCE = 60.0
"""How long one check may take, in seconds: some import pandas."""

Function = Callable[[Situation], Awaitable[list[Finding]]]


class Check(NamedTuple):
    """One check: its name, the question that it answers, and where it is, as `module:function` of this package."""

    name: str
    question: str
    home: str


CHECKS: tuple[Check, ...] = (
    Check("python", "Is this a Python that runs it?", "machine:python"),
    Check("installation", "Is all there that n8n-runner needs, in versions that it knows?", "machine:installation"),
    Check("names", "Do other distributions own its import names?", "machine:names"),
    Check("configuration", "What is configured, by what, and is it allowed?", "settings:configuration"),
    Check("credential", "Is there a credential, and which?", "settings:credential"),
    Check("limits", "Do the limits suit n8n and this machine?", "limits:limits"),
    Check("packages", "Are the packages there that code may import?", "packages:packages"),
    Check("confinement", "What does the kernel keep tasks from, layer by layer?", "sandbox:confinement"),
    Check("task", "Does a task run?", "sandbox:task"),
    Check("broker", "Is the task broker reached, by each of its addresses?", "broker:addresses"),
    Check("clock", "Do the clocks of this machine and of the broker agree?", "broker:clock"),
    Check("token", "Does the broker take the credential, and is a WebSocket let through?", "broker:token"),
    Check("id", "Does another runner have the id of this one?", "identity:another_runner"),
)


async def examine(environment: Mapping[str, str]) -> AsyncIterator[tuple[Check, list[Finding]]]:
    """Make every check for a runner that would be started with this environment."""
    situation = Situation(environment)
    for check in CHECKS:
        yield check, await _made(check, situation)


async def _made(check: Check, situation: Situation) -> list[Finding]:
    """What a check finds; that it failed, if it did."""
    module, _, name = check.home.partition(":")
    try:
        function: Function = getattr(importlib.import_module(f"runner.diagnosis.{module}"), name)
        async with asyncio.timeout(PATIENCE):
            return await function(situation)
    except TimeoutError:
        return [problem(f"this check took longer than {PATIENCE:g} s", "Look at what the other checks say first")]
    except ImportError as error:
        return [problem(f"this check cannot be made: {error}", "Install n8n-runner anew, in an environment of its own")]
    except Exception as error:  # noqa: BLE001 - the others are to be made, whatever is wrong with this one
        return [
            problem(f"this check failed itself: {type(error).__name__}: {error}", "This is a bug: please report it")
        ]
