"""What the environment configures, where each value came from, and what of it cannot be used."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

import attrs

from runner.config import Reading, TaskRunnerConfig, readings, variables
from runner.diagnosis.finding import Finding, Situation, ok, problem, warning

PLACEHOLDER = "no-credential"
"""What stands for a credential where there is none, so that the rest can be looked at."""

N8N_SIDE = frozenset(
    {
        "N8N_RUNNERS_ENABLED",
        "N8N_RUNNERS_MODE",
        "N8N_RUNNERS_BROKER_PORT",
        "N8N_RUNNERS_BROKER_LISTEN_ADDRESS",
        "N8N_RUNNERS_TASK_REQUEST_TIMEOUT",
        "N8N_RUNNERS_TASK_ACCEPT_TIMEOUT",
        "N8N_RUNNERS_GRANT_TOKEN_TTL",
        "N8N_RUNNERS_INSECURE_MODE",
        "N8N_RUNNERS_MAX_OLD_SPACE_SIZE",
    }
)
"""Variables that n8n itself reads, and no runner."""

LAUNCHER_SIDE = frozenset({"N8N_RUNNERS_CONFIG_PATH", "N8N_RUNNERS_LAUNCHER_HEALTH_CHECK_PORT"})
"""Variables that n8n's launcher reads, and no runner."""

PREFIX = "N8N_RUNNERS_"


def usable_config(situation: Situation) -> TaskRunnerConfig:
    """The configuration of the environment, with the default in the place of whatever cannot be used."""
    values: dict[str, Any] = {
        reading.field: reading.value
        for reading in readings(situation.environment)
        if reading.source and not reading.problem
    }
    if not (values.get("auth_token") or values.get("grant_token")):
        values["auth_token"] = PLACEHOLDER
    return TaskRunnerConfig(**values)


def has_credential(config: TaskRunnerConfig) -> bool:
    """Whether there is a credential to try."""
    return config.auth_token != PLACEHOLDER


async def configuration(situation: Situation) -> list[Finding]:
    """Every value that is set, and what is wrong with it."""
    found, defaults = [], 0
    for reading in readings(situation.environment):
        if reading.problem:
            found.append(problem(reading.problem, f"Correct it, or leave {reading.variable.name} out"))
        elif not reading.source:
            defaults += 1
        else:
            found.append(ok(_shown(reading, situation)))
    return [*found, *_strangers(situation), ok(f"{defaults} more variables are not set, and have their defaults")]


def _shown(reading: Reading, situation: Situation) -> str:
    value = "(not shown)" if reading.variable.secret else _plain(reading.value)
    if reading.source == reading.variable.name:
        return f"{reading.variable.name} = {value}, from the environment"
    return f"{reading.variable.name} = {value}, from the file {situation.environment[reading.source].strip()}"


def _plain(value: Any) -> str:
    if isinstance(value, frozenset | tuple):
        return ", ".join(sorted(map(str, value))) or "(none)"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _strangers(situation: Situation) -> Iterator[Finding]:
    """Variables that look like ours and are not."""
    known = {variable.name for _, variable in variables()}
    for name in sorted(situation.environment):
        plain = name.removesuffix("_FILE")
        if not name.startswith(PREFIX) or name in known or plain in known:
            continue
        if plain in N8N_SIDE | LAUNCHER_SIDE:
            whose = "n8n" if plain in N8N_SIDE else "n8n's launcher"
            yield ok(f"{name} is for {whose}: it has no effect on a runner")
            continue
        close = difflib.get_close_matches(plain, known, n=1)
        yield warning(
            f"{name} is not a variable that anybody knows", f"Did you mean {close[0]}?" if close else "Leave it out"
        )


async def credential(situation: Situation) -> list[Finding]:
    """Which credential a runner would use."""
    config = usable_config(situation)
    if not has_credential(config):
        return [
            problem(
                "there is no credential",
                "Set N8N_RUNNERS_AUTH_TOKEN to the same secret on n8n and here. "
                "n8n in internal mode starts its own runner instead: n8n-runner install",
            )
        ]
    if config.auth_token:
        return [ok("N8N_RUNNERS_AUTH_TOKEN: a fresh grant token for each connection")]
    return [
        warning(
            "N8N_RUNNERS_GRANT_TOKEN is good for one connection: the runner ends when that is lost",
            "That is right under n8n's launcher. Everywhere else, set N8N_RUNNERS_AUTH_TOKEN instead",
        )
    ]


def with_anything(config: TaskRunnerConfig) -> TaskRunnerConfig:
    """The same configuration, but content with whatever the kernel offers."""
    return attrs.evolve(config, confinement="available", language="n8n")
