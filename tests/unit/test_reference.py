"""The table of variables, as text and as Markdown: all of them, with their defaults, and no secrets."""

from __future__ import annotations

import re

import pytest

from runner.cli.reference import FILE_RULE, as_markdown, as_text
from runner.config import variables
from runner.sandbox_config import DENIED_BUILTINS

DEFAULTS = {
    "N8N_RUNNERS_GRANT_TOKEN": "not set",
    "N8N_RUNNERS_AUTH_TOKEN": "not set",
    "N8N_RUNNERS_TASK_BROKER_URI": "http://127.0.0.1:5679",
    "N8N_RUNNERS_PATH": "/runners",
    "N8N_RUNNERS_ID": "a unique one for each process",
    "N8N_RUNNERS_MAX_CONCURRENCY": "5",
    "N8N_RUNNERS_MAX_PAYLOAD": "1073741824",
    "N8N_RUNNERS_TASK_TIMEOUT": "60",
    "N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT": "0",
    "N8N_RUNNERS_GRACEFUL_SHUTDOWN_TIMEOUT": "10",
    "N8N_RUNNERS_LINGER": "0",
    "N8N_RUNNERS_HEARTBEAT_INTERVAL": "30",
    "N8N_RUNNERS_MAX_CONNECTION_AGE": "3600",
    "N8N_RUNNERS_RETRY_SPREAD": "0",
    "N8N_RUNNERS_MAX_PRINTS": "1000",
    "N8N_RUNNERS_LAUNCHER_LOG_LEVEL": "info",
    "N8N_RUNNERS_LOG_FORMAT": "text",
    "NO_COLOR": "not set",
    "N8N_RUNNERS_HEALTH_CHECK_SERVER_ENABLED": "false",
    "N8N_RUNNERS_HEALTH_CHECK_SERVER_HOST": "127.0.0.1",
    "N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT": "5681",
    "N8N_RUNNERS_HEALTH_CHECK_SERVER_NAMES": "none",
    "N8N_SENTRY_DSN": "not set",
    "N8N_VERSION": "not set",
    "ENVIRONMENT": "not set",
    "DEPLOYMENT_NAME": "not set",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "not set",
    "N8N_RUNNERS_STDLIB_ALLOW": "not set",
    "N8N_RUNNERS_EXTERNAL_ALLOW": "none",
    "N8N_RUNNERS_ALLOW_TRANSITIVE_IMPORTS": "true",
    "N8N_RUNNERS_BUILTINS_DENY": ", ".join(sorted(DENIED_BUILTINS)),
    "N8N_BLOCK_RUNNER_ENV_ACCESS": "true",
    "TZ": "the machine's",
    "N8N_RUNNERS_LANGUAGE": "n8n",
    "N8N_RUNNERS_PRELOAD": "none",
    "N8N_RUNNERS_CONFINEMENT": "available",
    "N8N_RUNNERS_NETWORK": "auto",
    "N8N_RUNNERS_FS_READ": "none",
    "N8N_RUNNERS_FS_WRITE": "none",
    "N8N_RUNNERS_TASK_USER": "65533",
    "N8N_RUNNERS_TASK_MEMORY_LIMIT": "1024",
    "N8N_RUNNERS_TASK_CPU_LIMIT": "twice the task timeout",
    "N8N_RUNNERS_TASK_OPEN_FILES": "256",
    "N8N_RUNNERS_TASK_FILE_SIZE": "256",
    "N8N_RUNNERS_TASK_THREADS": "256",
}
UNITS = {
    "N8N_RUNNERS_MAX_PAYLOAD": "bytes",
    "N8N_RUNNERS_TASK_TIMEOUT": "s",
    "N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT": "s",
    "N8N_RUNNERS_GRACEFUL_SHUTDOWN_TIMEOUT": "s",
    "N8N_RUNNERS_HEARTBEAT_INTERVAL": "s",
    "N8N_RUNNERS_LINGER": "s",
    "N8N_RUNNERS_MAX_CONNECTION_AGE": "s",
    "N8N_RUNNERS_RETRY_SPREAD": "s",
    "N8N_RUNNERS_TASK_MEMORY_LIMIT": "MiB",
    "N8N_RUNNERS_TASK_CPU_LIMIT": "s",
    "N8N_RUNNERS_TASK_FILE_SIZE": "MiB",
}
SECRETS = {"N8N_RUNNERS_GRANT_TOKEN", "N8N_RUNNERS_AUTH_TOKEN", "N8N_SENTRY_DSN"}


def text_entries() -> dict[str, str]:
    """Each variable of the text, with what is said of it in one line."""
    entries: dict[str, str] = {}
    for line in as_text().splitlines():
        if name := re.fullmatch(r"  (\w+)", line):
            current = name[1]
            entries[current] = ""
        elif line.startswith("      "):
            entries[current] += " " + line.strip()
    return entries


def markdown_rows() -> dict[str, list[str]]:
    """Each variable of the Markdown table, with the cells of its row as a reader sees them."""
    rows = {}
    for line in as_markdown().splitlines()[2:]:
        cells = [re.sub(r"\\([|*_])", r"\1", cell.strip()) for cell in re.split(r"(?<!\\)\|", line)]
        assert (cells[0], cells[-1]) == ("", "")
        rows[cells[1].strip("`")] = cells[2:-1]
    return rows


def test_both_tables_have_every_variable_in_the_order_of_the_configuration() -> None:
    names = [variable.name for _, variable in variables()]
    assert names == list(DEFAULTS)
    assert list(text_entries()) == names
    assert list(markdown_rows()) == names


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_text_says_the_meaning_and_the_default_with_its_unit(name: str) -> None:
    variable = next(variable for _, variable in variables() if variable.name == name)
    unit = f" ({UNITS[name]})" if name in UNITS else ""
    entry = text_entries()[name]
    assert entry.startswith(f" {variable.meaning} ")
    assert entry.endswith(f"Default: {DEFAULTS[name]}{unit}.")


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_markdown_says_default_what_is_allowed_and_meaning(name: str) -> None:
    variable = next(variable for _, variable in variables() if variable.name == name)
    default, allowed, meaning, since = markdown_rows()[name]
    assert default == DEFAULTS[name]
    assert allowed == variable.kind.allowed + (f", {UNITS[name]}" if name in UNITS else "")
    assert meaning.startswith(variable.meaning)
    assert ("Secret: never shown." in meaning) == (name in SECRETS)
    assert since == variable.since


def test_the_text_says_how_files_are_used_and_is_no_wider_than_a_terminal() -> None:
    assert " ".join(as_text().split()).endswith(FILE_RULE)
    assert max(map(len, as_text().splitlines())) <= 100
