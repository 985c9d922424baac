"""The configuration of a task runner: one field for each environment variable, declared once.

The fields of `TaskRunnerConfig`, those of `SandboxConfig` included, are the table. `from_env`, the constructor's
checks, `--help` and the page `docs/configuration.md` are all made from it. Nothing else in this project reads the
environment for settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from runner.errors import ConfigurationError
from runner.sandbox_config import SandboxConfig, names_of
from runner.variables import (
    METADATA_KEY,
    Choice,
    Flag,
    Names,
    Number,
    Text,
    Uri,
    UrlPath,
    Variable,
    declared,
    read_text,
    source_of,
)

GIB = 1024**3
SECONDS = Number(0, above=True, fraction=True)
PORT = Number(0, 65535)


@attrs.frozen(kw_only=True)
class TaskRunnerConfig(SandboxConfig):
    """Everything that a task runner has to be told. Frozen; checked as a whole when it is made.

    Raises:
        ConfigurationError: at construction, with a line for each value that is not allowed.
    """

    # Who we are and whom we serve
    grant_token: str = attrs.field(
        default="",
        repr=False,
        metadata=declared(
            "N8N_RUNNERS_GRANT_TOKEN",
            Text(),
            "A credential that the task broker takes once, as a launcher or n8n itself hands it over.",
            secret=True,
        ),
    )
    auth_token: str = attrs.field(
        default="",
        repr=False,
        metadata=declared(
            "N8N_RUNNERS_AUTH_TOKEN",
            Text(),
            "The secret shared with n8n: a fresh grant token is fetched with it for every connection, so the runner "
            "survives restarts of the broker. It is preferred when both are set.",
            secret=True,
        ),
    )
    task_broker_uri: str = attrs.field(
        default="http://127.0.0.1:5679",
        metadata=declared(
            "N8N_RUNNERS_TASK_BROKER_URI",
            Uri(),
            "Where the task broker is. https:// is spoken over wss://; a path, as behind a proxy, is kept.",
        ),
    )
    broker_path: str = attrs.field(
        default="/runners",
        metadata=declared(
            "N8N_RUNNERS_PATH",
            UrlPath(),
            "The path below which the broker serves, the same as the variable of this name on n8n's side.",
        ),
    )
    runner_id: str = attrs.field(
        default="",
        metadata=declared(
            "N8N_RUNNERS_ID",
            Text(),
            "The id of this runner. No two may share one: the broker keeps only the latest.",
            fallback="a unique one for each process",
        ),
    )

    # How much at once, how large, how long
    max_concurrency: int = attrs.field(
        default=5,
        metadata=declared("N8N_RUNNERS_MAX_CONCURRENCY", Number(1, 10_000), "Tasks that may run at the same time."),
    )
    max_payload_size: int = attrs.field(
        default=GIB,
        metadata=declared(
            "N8N_RUNNERS_MAX_PAYLOAD",
            Number(1, 4 * GIB - 1),
            "The largest message, both ways.",
            unit="bytes",
        ),
    )
    task_timeout: float = attrs.field(
        default=60,
        metadata=declared(
            "N8N_RUNNERS_TASK_TIMEOUT",
            SECONDS,
            "How long a task may take. It is ended a little earlier, so that n8n's own timeout never comes first.",
            unit="s",
        ),
    )
    auto_shutdown_timeout: float = attrs.field(
        default=0,
        metadata=declared(
            "N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT",
            Number(0, fraction=True),
            "Stop after this long without a task; 0 means never.",
            unit="s",
        ),
    )
    # setting a time enables it, unless said otherwise; enabled without one, it comes at the first idle moment
    is_auto_shutdown_enabled: bool = attrs.field(
        default=attrs.Factory(lambda self: self.auto_shutdown_timeout not in (0, None), takes_self=True)
    )
    graceful_shutdown_timeout: float = attrs.field(
        default=10,
        metadata=declared(
            "N8N_RUNNERS_GRACEFUL_SHUTDOWN_TIMEOUT",
            Number(0, fraction=True),
            "How long tasks in flight may go on when the runner is told to stop.",
            unit="s",
        ),
    )
    linger: float = attrs.field(
        default=0,
        metadata=declared(
            "N8N_RUNNERS_LINGER",
            Number(0, fraction=True),
            "How long `n8n-runner start` goes on after SIGTERM as if nothing had happened, or until n8n has gone: for "
            "pods in which n8n is told to stop at the same time and still has tasks.",
            unit="s",
        ),
    )
    heartbeat_interval: float = attrs.field(
        default=30,
        metadata=declared(
            "N8N_RUNNERS_HEARTBEAT_INTERVAL",
            SECONDS,
            "How often the broker is pinged; without a pong in half of it the connection counts as lost.",
            unit="s",
        ),
    )
    max_connection_age: float = attrs.field(
        default=3600,
        metadata=declared(
            "N8N_RUNNERS_MAX_CONNECTION_AGE",
            Number(0, fraction=True),
            "After this long, at the latest, a connection on which no task runs gives way to a fresh one: n8n can "
            "forget a runner whose connection still seems well. Needs N8N_RUNNERS_AUTH_TOKEN; 0 means never.",
            unit="s",
        ),
    )
    retry_spread: float = attrs.field(
        default=0,
        metadata=declared(
            "N8N_RUNNERS_RETRY_SPREAD",
            Number(0, fraction=True),
            "By how much the 5 s before another attempt to connect are drawn out at most, by chance: for large fleets.",
            unit="s",
        ),
    )
    max_prints: int = attrs.field(
        default=1000,
        metadata=declared(
            "N8N_RUNNERS_MAX_PRINTS",
            Number(0, 1_000_000),
            "Calls of `print` that a task may send to n8n; further ones are counted and left out.",
        ),
    )

    # How people see it
    log_level: str = attrs.field(
        default="info",
        metadata=declared(
            "N8N_RUNNERS_LAUNCHER_LOG_LEVEL",
            Choice(("debug", "info", "warn", "warning", "error")),
            "How much is logged.",
        ),
    )
    log_format: str = attrs.field(
        default="text",
        metadata=declared(
            "N8N_RUNNERS_LOG_FORMAT",
            Choice(("text", "json")),
            "`text` has the form of n8n's own runner, or a shorter one on a terminal; `json` is an object a line.",
        ),
    )
    no_color: str = attrs.field(
        default="", metadata=declared("NO_COLOR", Text(), "Never use colours.", fallback="not set")
    )
    health_check_server_enabled: bool = attrs.field(
        default=False,
        metadata=declared(
            "N8N_RUNNERS_HEALTH_CHECK_SERVER_ENABLED",
            Flag(),
            "Answer health checks, and show the runner to people: /healthz, /readyz, /metrics, /status, /inspect.",
        ),
    )
    health_check_server_host: str = attrs.field(
        default="127.0.0.1",
        metadata=declared("N8N_RUNNERS_HEALTH_CHECK_SERVER_HOST", Text(), "The address that answers health checks."),
    )
    health_check_server_port: int = attrs.field(
        default=5681,
        metadata=declared(
            "N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT", PORT, "The port that answers health checks; 0 picks a free one."
        ),
    )
    health_check_server_names: frozenset[str] = attrs.field(
        default=frozenset(),
        converter=names_of,
        metadata=declared(
            "N8N_RUNNERS_HEALTH_CHECK_SERVER_NAMES",
            Names(),
            "Host names under which /status and /inspect may be read, beside addresses and names of private networks.",
        ),
    )
    sentry_dsn: str = attrs.field(
        default="",
        repr=False,
        metadata=declared(
            "N8N_SENTRY_DSN",
            Text(),
            "The Sentry project to which bugs of the runner are reported, never errors of users' code. Needs the extra "
            "`sentry`.",
            secret=True,
        ),
    )
    n8n_version: str = attrs.field(
        default="", metadata=declared("N8N_VERSION", Text(), "The version of n8n, for error reports.")
    )
    environment: str = attrs.field(
        default="", metadata=declared("ENVIRONMENT", Text(), "The environment, for error reports.")
    )
    deployment_name: str = attrs.field(
        default="", metadata=declared("DEPLOYMENT_NAME", Text(), "The deployment, for error reports.")
    )

    otlp_endpoint: str = attrs.field(
        default="",
        metadata=declared(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            Text(),
            "The OpenTelemetry collector to which a span for each task is sent, over HTTP. Needs the extra `otel`.",
        ),
    )

    def __attrs_post_init__(self) -> None:
        """Check every value, and that there is a credential."""
        problems = [
            variable.problem(value)
            for name, variable in variables()
            if not ((value := getattr(self, name)) is None and variable.optional) and not variable.kind.check(value)
        ]
        if self.grant_token == "" and self.auth_token == "":
            problems.append(
                "Environment variable N8N_RUNNERS_GRANT_TOKEN is required, or N8N_RUNNERS_AUTH_TOKEN: "
                "the token that n8n was given, with which a runner fetches grant tokens for itself"
            )
        if problems:
            raise ConfigurationError(problems)

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> TaskRunnerConfig:
        """The configuration that a set of environment variables asks for, with `X_FILE` for every `X`.

        Raises:
            ConfigurationError: with a line for every variable that is wrong, and all of them at once.
        """
        problems: list[str] = []
        values: dict[str, Any] = {}
        for reading in readings(environment):
            if reading.problem:
                problems.append(reading.problem)
            elif reading.source:
                values[reading.field] = reading.value
        try:
            config = cls(**values)
        except ConfigurationError as error:
            problems += [line for line in error.problems if not _already_said(line, problems)]
            raise ConfigurationError(problems) from None
        if problems:
            raise ConfigurationError(problems)
        return config


@attrs.frozen
class Reading:
    """What an environment says of one variable.

    Parameters:
        source: the variable that says it, `X` or `X_FILE`; empty where the default holds.
        problem: why the value cannot be used; empty if it can.
    """

    field: str
    variable: Variable
    source: str = ""
    value: Any = attrs.field(default=None, repr=False)
    problem: str = ""


def readings(environment: Mapping[str, str]) -> Iterator[Reading]:
    """What an environment says of each variable, in the order of the table."""
    for field, variable in variables():
        source = source_of(variable, environment) or ""
        try:
            text = read_text(variable, environment, _read_file)
        except ValueError as error:
            yield Reading(field, variable, source, problem=str(error))
            continue
        if text is None:
            yield Reading(field, variable)
            continue
        try:
            value = variable.kind.parse(text)
        except ValueError:
            value = text
        problem = "" if variable.kind.check(value) else variable.problem(value)
        yield Reading(field, variable, source, value, problem)


def _already_said(line: str, problems: list[str]) -> bool:
    """Whether a credential is only missing because what was given for it has been reported as wrong."""
    return "is required" in line and any("_TOKEN" in problem for problem in problems)


def _read_file(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


def variables() -> Iterator[tuple[str, Variable]]:
    """The table: each field of `TaskRunnerConfig` that has an environment variable, with that variable."""
    fields: list[Any] = list(attrs.fields(TaskRunnerConfig))
    for field in sorted(fields, key=lambda field: field.inherited):  # the sandbox comes last
        if METADATA_KEY in field.metadata:
            yield field.name, field.metadata[METADATA_KEY]
