"""No attack that comes through the pool succeeds, and each is one: where nothing is confined, it does."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import re
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import pytest

from runner import TaskRunner
from runner.broker import EmbeddedBroker, RequestedTask
from runner.execution.sandbox.executor import SandboxExecutor
from runner.observe.logs import LineFormatter
from statemachine import ConnectionState
from tests.sandbox import EVERYTHING, interpreter
from tests.security.pool_attacks import ATTACKS, NETWORK_ATTACKS
from tests.security.pool_attacks.log import FORGED, LARGE_PRINTS, LOG
from tests.security.pool_world import Outcome, outcome_of, unconfined
from tests.support import code_settings, config_for, printed
from tests.unit.test_language_runtime import HARMLESS_LOOKING

pytestmark = [pytest.mark.needs("proc"), pytest.mark.needs("landlock"), pytest.mark.timeout(300)]

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "harmless": {"stdlib_allow": HARMLESS_LOOKING},
    "stdlib": {"stdlib_allow": {"*"}},
    "full": EVERYTHING,
    "network": {**EVERYTHING, "network": "allow"},
}
HOLD_RULES = {"default", "harmless"}
"""Where the language rules are what keeps `os` away. Under the others it is allowed, and the kernel stands alone."""


@cache
def outcome(configuration: str) -> Outcome:
    """What came of all attacks under one configuration; they share a pool."""
    attacks = NETWORK_ATTACKS if configuration == "network" else ATTACKS
    return asyncio.run(
        outcome_of(list(attacks.values()), CONFIGURATIONS[configuration], holds_rules=configuration in HOLD_RULES)
    )


@cache
def achieved_unconfined() -> dict[str, list[str]]:
    """What each attack achieves where nothing is confined."""
    attacks = [attack for attack in ATTACKS.values() if not attack.unproven]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return dict(zip([attack.name for attack in attacks], threads.map(unconfined, attacks), strict=True))


def _cases() -> list[Any]:
    cases = []
    for configuration in CONFIGURATIONS:
        for name, attack in (NETWORK_ATTACKS if configuration == "network" else ATTACKS).items():
            reason = attack.won.get(configuration)
            marks = [pytest.mark.xfail(strict=True, reason=reason)] if reason else []
            cases.append(pytest.param(configuration, name, marks=marks, id=f"{configuration}-{name}"))
    return cases


@pytest.mark.parametrize(("configuration", "name"), _cases())
def test_the_attack_does_not_succeed(configuration: str, name: str) -> None:
    assert outcome(configuration).achieved[name] == []


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_nobody_was_disturbed_and_nothing_is_left(configuration: str) -> None:
    found = outcome(configuration)
    assert found.disturbed == []
    assert found.left == []
    assert found.warnings == []


@pytest.mark.parametrize("name", [attack.name for attack in ATTACKS.values() if not attack.unproven])
def test_the_attack_succeeds_where_nothing_is_confined(name: str) -> None:
    achieved = achieved_unconfined()[name]
    assert achieved, "it achieves nothing"
    assert not achieved[0].startswith("("), achieved


async def lines_of_the_log(broker: EmbeddedBroker, codes: list[str]) -> tuple[list[str], list[RequestedTask]]:
    """What a runner logs while it runs codes, as a command of the command line writes it; and the tasks."""
    tasks = []
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter())
    logger = logging.getLogger("runner")
    logger.addHandler(handler)
    before = logger.level
    logger.setLevel(logging.INFO)
    config = config_for(broker, **EVERYTHING)
    try:
        async with TaskRunner(config, executor=SandboxExecutor(config, python=interpreter())) as runner:
            await runner.reached(ConnectionState.LISTENING)
            for code in codes:
                settings = code_settings(code, nodeName=f"N\n{FORGED}", workflowName=f"W\r{FORGED}")
                tasks.append(broker.request(settings))
                await tasks[-1].end()
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
    return re.split(r"[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", stream.getvalue()), tasks


async def test_no_line_of_the_log_is_forged_and_none_is_endless(broker: EmbeddedBroker) -> None:
    lines, _ = await lines_of_the_log(broker, list(LOG.values()))
    assert any("forged" in line for line in lines)
    assert [line for line in lines if line.startswith(FORGED)] == []
    assert [line for line in lines if line and not re.match(r"\d{4}-\d\d-\d\d .*\t(INFO|WARNING)\t", line)] == []
    assert max(map(len, lines)) < 10_000
    assert len(lines) < 1000 + 20 * len(LOG)


async def test_neither_the_log_nor_n8n_is_flooded_by_large_prints(broker: EmbeddedBroker) -> None:
    lines, [task] = await lines_of_the_log(broker, [LARGE_PRINTS])
    assert (await task.end()).error is None
    assert sum(map(len, lines)) < 1_000_000
    assert sum(len(memoryview(arguments)) for arguments in task.prints) < 10_000_000
    shown = printed(task.prints)
    assert shown[-1] == [f"[Output truncated - {300 - len(shown) + 1} more print statements]"]


def test_there_are_attacks_enough() -> None:
    assert len(ATTACKS) >= 120
    assert sum(not attack.unproven for attack in ATTACKS.values()) >= 120
