"""The configuration: what each variable means, what is refused and how, and that secrets stay secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner.config import TaskRunnerConfig, variables
from runner.errors import ConfigurationError
from runner.execution.sandbox.confinement.spec import OWN_USER
from runner.sandbox_config import DENIED_BUILTINS

TOKEN = {"N8N_RUNNERS_GRANT_TOKEN": "granted"}
MARKER = "sEcReT-mArKeR"

SAMPLES: dict[str, tuple[str, str, object]] = {
    "N8N_RUNNERS_GRANT_TOKEN": ("grant_token", "abc", "abc"),
    "N8N_RUNNERS_AUTH_TOKEN": ("auth_token", "def", "def"),
    "N8N_RUNNERS_TASK_BROKER_URI": ("task_broker_uri", "https://n8n.local:443/x", "https://n8n.local:443/x"),
    "N8N_RUNNERS_PATH": ("broker_path", "/other/path/", "/other/path"),
    "N8N_RUNNERS_ID": ("runner_id", "runner 7", "runner 7"),
    "N8N_RUNNERS_MAX_CONCURRENCY": ("max_concurrency", "17", 17),
    "N8N_RUNNERS_MAX_PAYLOAD": ("max_payload_size", "4294967295", 4294967295),
    "N8N_RUNNERS_TASK_TIMEOUT": ("task_timeout", "0.5", 0.5),
    "N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT": ("auto_shutdown_timeout", "15", 15),
    "N8N_RUNNERS_GRACEFUL_SHUTDOWN_TIMEOUT": ("graceful_shutdown_timeout", "0", 0),
    "N8N_RUNNERS_HEARTBEAT_INTERVAL": ("heartbeat_interval", "7.25", 7.25),
    "N8N_RUNNERS_LINGER": ("linger", "2.5", 2.5),
    "N8N_RUNNERS_MAX_CONNECTION_AGE": ("max_connection_age", "600", 600),
    "N8N_RUNNERS_RETRY_SPREAD": ("retry_spread", "12.5", 12.5),
    "N8N_RUNNERS_MAX_PRINTS": ("max_prints", "3", 3),
    "N8N_RUNNERS_LAUNCHER_LOG_LEVEL": ("log_level", "DEBUG", "debug"),
    "N8N_RUNNERS_LOG_FORMAT": ("log_format", "JSON", "json"),
    "NO_COLOR": ("no_color", "1", "1"),
    "N8N_RUNNERS_HEALTH_CHECK_SERVER_ENABLED": ("health_check_server_enabled", "TRUE", True),
    "N8N_RUNNERS_HEALTH_CHECK_SERVER_HOST": ("health_check_server_host", "0.0.0.0", "0.0.0.0"),
    "N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT": ("health_check_server_port", "0", 0),
    "N8N_RUNNERS_HEALTH_CHECK_SERVER_NAMES": (
        "health_check_server_names",
        "runner.example.com,",
        frozenset({"runner.example.com"}),
    ),
    "N8N_SENTRY_DSN": ("sentry_dsn", "https://key@sentry.local/1", "https://key@sentry.local/1"),
    "N8N_VERSION": ("n8n_version", "2.41.1", "2.41.1"),
    "ENVIRONMENT": ("environment", "production", "production"),
    "DEPLOYMENT_NAME": ("deployment_name", "eu-1", "eu-1"),
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("otlp_endpoint", "http://collector:4318", "http://collector:4318"),
    "N8N_RUNNERS_STDLIB_ALLOW": ("stdlib_allow", "json, math,,", frozenset({"json", "math"})),
    "N8N_RUNNERS_EXTERNAL_ALLOW": ("external_allow", "*", frozenset("*")),
    "N8N_RUNNERS_ALLOW_TRANSITIVE_IMPORTS": ("allow_transitive_imports", "No", False),
    "N8N_RUNNERS_BUILTINS_DENY": ("builtins_deny", "eval,exec", frozenset({"eval", "exec"})),
    "N8N_BLOCK_RUNNER_ENV_ACCESS": ("block_env_access", "false", False),
    "TZ": ("timezone", "Europe/Berlin", "Europe/Berlin"),
    "N8N_RUNNERS_LANGUAGE": ("language", "FULL", "full"),
    "N8N_RUNNERS_PRELOAD": ("preload", "numpy, pandas", frozenset({"numpy", "pandas"})),
    "N8N_RUNNERS_CONFINEMENT": ("confinement", "required", "required"),
    "N8N_RUNNERS_NETWORK": ("network", "deny", "deny"),
    "N8N_RUNNERS_FS_READ": ("fs_read", "/data: /srv/x :", ("/data", "/srv/x")),
    "N8N_RUNNERS_FS_WRITE": ("fs_write", "/data", ("/data",)),
    "N8N_RUNNERS_TASK_USER": ("task_user", "1234", 1234),
    "N8N_RUNNERS_TASK_MEMORY_LIMIT": ("task_memory_limit", "512", 512),
    "N8N_RUNNERS_TASK_CPU_LIMIT": ("task_cpu_limit", "30", 30),
    "N8N_RUNNERS_TASK_OPEN_FILES": ("task_open_files", "64", 64),
    "N8N_RUNNERS_TASK_FILE_SIZE": ("task_file_size", "0", 0),
    "N8N_RUNNERS_TASK_THREADS": ("task_threads", "1", 1),
}
"""Each variable: its field, a text that is not the default, and the value that the text stands for."""

DEFAULTS: dict[str, object] = {
    "grant_token": "",
    "auth_token": "",
    "task_broker_uri": "http://127.0.0.1:5679",
    "broker_path": "/runners",
    "runner_id": "",
    "max_concurrency": 5,
    "max_payload_size": 1073741824,
    "task_timeout": 60,
    "auto_shutdown_timeout": 0,
    "graceful_shutdown_timeout": 10,
    "heartbeat_interval": 30,
    "linger": 0,
    "max_connection_age": 3600,
    "retry_spread": 0,
    "max_prints": 1000,
    "stdlib_allow": None,
    "external_allow": frozenset(),
    "allow_transitive_imports": True,
    "builtins_deny": DENIED_BUILTINS,
    "block_env_access": True,
    "timezone": "",
    "log_level": "info",
    "log_format": "text",
    "no_color": "",
    "health_check_server_enabled": False,
    "health_check_server_host": "127.0.0.1",
    "health_check_server_port": 5681,
    "health_check_server_names": frozenset(),
    "sentry_dsn": "",
    "n8n_version": "",
    "environment": "",
    "deployment_name": "",
    "otlp_endpoint": "",
    "language": "n8n",
    "preload": frozenset(),
    "confinement": "available",
    "network": "auto",
    "fs_read": (),
    "fs_write": (),
    "task_user": 65533,
    "task_memory_limit": 1024,
    "task_cpu_limit": 0,
    "task_open_files": 256,
    "task_file_size": 256,
    "task_threads": 256,
}
NAME_LISTS = {
    "N8N_RUNNERS_STDLIB_ALLOW",
    "N8N_RUNNERS_EXTERNAL_ALLOW",
    "N8N_RUNNERS_BUILTINS_DENY",
    "N8N_RUNNERS_PRELOAD",
    "N8N_RUNNERS_HEALTH_CHECK_SERVER_NAMES",
}
SECRETS = ("N8N_RUNNERS_GRANT_TOKEN", "N8N_RUNNERS_AUTH_TOKEN", "N8N_SENTRY_DSN")

A_PATH = "it must be a path that begins with / and has no ?, # or space"
A_URI = "it must be an http:// or https:// address without user name, query and fragment"
A_PORT = "it must be a whole number from 0 to 65535"
A_PAYLOAD = "it must be a whole number from 1 to 4294967295 (bytes)"
SECONDS_ABOVE_0 = "it must be a number above 0 (s)"
SECONDS_FROM_0 = "it must be a number of at least 0 (s)"

A_MEMORY = "it must be a whole number from 16 to 1048576 (MiB)"

BAD_TEXTS = [
    ("N8N_RUNNERS_LANGUAGE", "python", "'python'", "it must be one of n8n, full"),
    ("N8N_RUNNERS_CONFINEMENT", "no", "'no'", "it must be one of available, required"),
    ("N8N_RUNNERS_NETWORK", "on", "'on'", "it must be one of auto, allow, deny"),
    ("N8N_RUNNERS_FS_READ", "data", "('data',)", "it must be absolute paths with colons between"),
    ("N8N_RUNNERS_FS_WRITE", "/a:b", "('/a', 'b')", "it must be absolute paths with colons between"),
    ("N8N_RUNNERS_TASK_USER", "0", "0", "it must be a whole number from 1 to 2147483647"),
    ("N8N_RUNNERS_TASK_MEMORY_LIMIT", "15", "15", A_MEMORY),
    ("N8N_RUNNERS_TASK_MEMORY_LIMIT", "1g", "'1g'", A_MEMORY),
    ("N8N_RUNNERS_TASK_CPU_LIMIT", "0.5", "'0.5'", "it must be a whole number of at least 0 (s)"),
    ("N8N_RUNNERS_TASK_OPEN_FILES", "3", "3", "it must be a whole number from 16 to 1048576"),
    ("N8N_RUNNERS_TASK_FILE_SIZE", "-1", "-1", "it must be a whole number from 0 to 1048576 (MiB)"),
    ("N8N_RUNNERS_TASK_THREADS", "0", "0", "it must be a whole number from 1 to 65536"),
    ("N8N_RUNNERS_TASK_TIMEOUT", "0", "0", SECONDS_ABOVE_0),
    ("N8N_RUNNERS_TASK_TIMEOUT", "-1", "-1", SECONDS_ABOVE_0),
    ("N8N_RUNNERS_TASK_TIMEOUT", "soon", "'soon'", SECONDS_ABOVE_0),
    ("N8N_RUNNERS_TASK_TIMEOUT", "nan", "'nan'", SECONDS_ABOVE_0),
    ("N8N_RUNNERS_TASK_TIMEOUT", "inf", "'inf'", SECONDS_ABOVE_0),
    ("N8N_RUNNERS_TASK_TIMEOUT", "1e999", "'1e999'", SECONDS_ABOVE_0),
    ("N8N_RUNNERS_TASK_TIMEOUT", "0x10", "'0x10'", SECONDS_ABOVE_0),
    ("N8N_RUNNERS_TASK_TIMEOUT", "1_000", "'1_000'", SECONDS_ABOVE_0),
    ("N8N_RUNNERS_TASK_TIMEOUT", "٣", "'٣'", SECONDS_ABOVE_0),
    ("N8N_RUNNERS_HEARTBEAT_INTERVAL", "0", "0", SECONDS_ABOVE_0),
    ("N8N_RUNNERS_LINGER", "-1", "-1", SECONDS_FROM_0),
    ("N8N_RUNNERS_MAX_CONNECTION_AGE", "-1", "-1", SECONDS_FROM_0),
    ("N8N_RUNNERS_RETRY_SPREAD", "-0.5", "-0.5", SECONDS_FROM_0),
    ("N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT", "-1", "-1", SECONDS_FROM_0),
    ("N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT", "-0.5", "-0.5", SECONDS_FROM_0),
    ("N8N_RUNNERS_GRACEFUL_SHUTDOWN_TIMEOUT", "-1", "-1", SECONDS_FROM_0),
    ("N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT", "65536", "65536", A_PORT),
    ("N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT", "-1", "-1", A_PORT),
    ("N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT", "80.0", "'80.0'", A_PORT),
    ("N8N_RUNNERS_MAX_PAYLOAD", "4294967296", "4294967296", A_PAYLOAD),
    ("N8N_RUNNERS_MAX_PAYLOAD", "0", "0", A_PAYLOAD),
    ("N8N_RUNNERS_MAX_PAYLOAD", "9" * 5000, "9" * 40, A_PAYLOAD),
    ("N8N_RUNNERS_MAX_CONCURRENCY", "0", "0", "it must be a whole number from 1 to 10000"),
    ("N8N_RUNNERS_MAX_CONCURRENCY", "1.5", "'1.5'", "it must be a whole number from 1 to 10000"),
    ("N8N_RUNNERS_MAX_PRINTS", "-1", "-1", "it must be a whole number from 0 to 1000000"),
    ("N8N_RUNNERS_TASK_BROKER_URI", "n8n:5679", "'n8n:5679'", A_URI),
    ("N8N_RUNNERS_TASK_BROKER_URI", "ftp://n8n", "'ftp://n8n'", A_URI),
    ("N8N_RUNNERS_TASK_BROKER_URI", "http://", "'http://'", A_URI),
    ("N8N_RUNNERS_TASK_BROKER_URI", "http://n8n:0", "'http://n8n:0'", A_URI),
    ("N8N_RUNNERS_TASK_BROKER_URI", "http://n8n:65536", "'http://n8n:65536'", A_URI),
    ("N8N_RUNNERS_TASK_BROKER_URI", "http://n8n:http", "'http://n8n:http'", A_URI),
    ("N8N_RUNNERS_TASK_BROKER_URI", "http://n8 n", "'http://n8 n'", A_URI),
    ("N8N_RUNNERS_TASK_BROKER_URI", "http://n8n\nX: y", "'http://n8n\\nX: y'", A_URI),
    ("N8N_RUNNERS_TASK_BROKER_URI", "http://[::1", "'http://[::1'", A_URI),
    ("N8N_RUNNERS_TASK_BROKER_URI", "http://n8n/?a=b", "'http://n8n/?***'", A_URI),
    ("N8N_RUNNERS_TASK_BROKER_URI", "http://n8n/#a", "'http://n8n/#a'", A_URI),
    ("N8N_RUNNERS_TASK_BROKER_URI", "http://me@n8n", "@n8n", A_URI),
    ("N8N_RUNNERS_PATH", "runners", "'runners'", A_PATH),
    ("N8N_RUNNERS_PATH", "/run ners", "'/run ners'", A_PATH),
    ("N8N_RUNNERS_PATH", "/runners?a", "'/runners?a'", A_PATH),
    ("N8N_RUNNERS_PATH", "/runners#a", "'/runners#a'", A_PATH),
    ("N8N_RUNNERS_PATH", "/a//b", "'/a//b'", A_PATH),
    ("N8N_RUNNERS_PATH", "/a\x1b[31m", "'/a\\x1b[31m'", A_PATH),
    ("N8N_RUNNERS_PATH", "/\udcff", "'/\\udcff'", A_PATH),
    ("N8N_RUNNERS_ID", "a\nb", "'a\\nb'", "it must be text"),
    ("N8N_RUNNERS_ALLOW_TRANSITIVE_IMPORTS", "maybe", "'maybe'", "it must be true or false"),
    ("N8N_RUNNERS_HEALTH_CHECK_SERVER_ENABLED", "2", "'2'", "it must be true or false"),
    (
        "N8N_RUNNERS_LAUNCHER_LOG_LEVEL",
        "loud",
        "'loud'",
        "it must be one of debug, info, warn, warning, error",
    ),
    ("N8N_RUNNERS_BUILTINS_DENY", "*", "'*'", "it must be names with commas between"),
]
"""A variable, a bad text for it, what has to be shown of the value, and what has to be said that is allowed."""


def problems_of(environment: dict[str, str]) -> tuple[str, ...]:
    """What is wrong with an environment, in which something is."""
    with pytest.raises(ConfigurationError) as caught:
        TaskRunnerConfig.from_env(environment)
    return caught.value.problems


def problems_with(**values: Any) -> tuple[str, ...]:
    """What is wrong with the arguments of the constructor, with some of which something is."""
    with pytest.raises(ConfigurationError) as caught:
        TaskRunnerConfig(**{"grant_token": "granted", **values})
    return caught.value.problems


def outcome_of(environment: dict[str, str]) -> tuple[str, tuple[str, ...]]:
    """What is shown of the configuration or of the error that an environment gives, and the problems."""
    try:
        return repr(TaskRunnerConfig.from_env(environment)), ()
    except ConfigurationError as error:
        return everything_said(error), error.problems


def everything_said(error: BaseException) -> str:
    """All that may be shown of an error: its text, its repr, and the same of those behind it."""
    said = []
    link: BaseException | None = error
    while link is not None:
        said += [str(link), repr(link), repr(vars(link))]
        link = link.__cause__ or link.__context__
    return "\n".join(said)


# What is read


def test_the_table_is_the_documented_list_of_variables() -> None:
    assert {variable.name: field for field, variable in variables()} == {
        name: field for name, (field, _, _) in SAMPLES.items()
    }


@pytest.mark.parametrize("field", DEFAULTS)
def test_a_variable_that_is_not_set_has_its_default(field: str) -> None:
    credential = "auth_token" if field == "grant_token" else "grant_token"
    config = TaskRunnerConfig.from_env({f"N8N_RUNNERS_{credential.upper()}": "x"})
    assert getattr(config, field) == DEFAULTS[field]


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("around", ["{}", " {} \n", "\t{}\r\n"], ids=["bare", "newline", "tab"])
def test_every_variable_is_read_and_stripped(name: str, around: str) -> None:
    field, text, value = SAMPLES[name]
    config = TaskRunnerConfig.from_env({**TOKEN, name: around.format(text)})
    assert getattr(config, field) == value
    assert getattr(config, field) != DEFAULTS[field]


@pytest.mark.parametrize("name", SAMPLES)
def test_every_variable_is_read_from_its_file(name: str, tmp_path: Path) -> None:
    field, text, value = SAMPLES[name]
    file = tmp_path / "secret"
    file.write_text(f"\n {text} \n", encoding="utf-8")
    others = {} if name.endswith("_TOKEN") else TOKEN
    assert getattr(TaskRunnerConfig.from_env({**others, f"{name}_FILE": f" {file} "}), field) == value


@pytest.mark.parametrize("name", SAMPLES)
def test_a_variable_wins_over_its_file_which_is_then_not_even_opened(name: str) -> None:
    field, text, value = SAMPLES[name]
    environment = {**TOKEN, name: text, f"{name}_FILE": "/nowhere/at/all"}
    assert getattr(TaskRunnerConfig.from_env(environment), field) == value


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_that_cannot_be_read_is_named(name: str, tmp_path: Path) -> None:
    (problem,) = problems_of({**TOKEN, "N8N_RUNNERS_AUTH_TOKEN": "x", **_without(name), f"{name}_FILE": str(tmp_path)})
    assert problem == f"{name}_FILE names '{tmp_path}', which cannot be read: Is a directory"


def _without(name: str) -> dict[str, str]:
    """The variable as if it were not set."""
    return {name: ""} if name not in NAME_LISTS else {}


def test_a_file_that_is_missing_is_named() -> None:
    assert problems_of({"N8N_RUNNERS_GRANT_TOKEN_FILE": "/run/secrets/nothing"}) == (
        "N8N_RUNNERS_GRANT_TOKEN_FILE names '/run/secrets/nothing', which cannot be read: No such file or directory",
    )


def test_a_file_that_is_not_utf_8_is_named_and_none_of_it_shown(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(MARKER.encode() + b"\xff\xfe")
    with pytest.raises(ConfigurationError) as caught:
        TaskRunnerConfig.from_env({"N8N_RUNNERS_AUTH_TOKEN_FILE": str(file)})
    assert caught.value.problems == (
        f"N8N_RUNNERS_AUTH_TOKEN_FILE names '{file}', which cannot be read: it is not UTF-8 text",
    )
    assert MARKER not in everything_said(caught.value)


def test_a_file_whose_name_no_system_takes_is_named() -> None:
    (problem,) = problems_of({**TOKEN, "TZ_FILE": "a\0b"})
    assert problem.startswith("TZ_FILE names 'a\\x00b', which cannot be read: ")


def test_a_bad_value_in_a_file_is_reported_like_any_other(tmp_path: Path) -> None:
    file = tmp_path / "timeout"
    file.write_text("0\n", encoding="utf-8")
    (problem,) = problems_of({**TOKEN, "N8N_RUNNERS_TASK_TIMEOUT_FILE": str(file)})
    assert problem == f"N8N_RUNNERS_TASK_TIMEOUT is 0: {SECONDS_ABOVE_0}"


@pytest.mark.parametrize("name", [name for name in SAMPLES if name not in NAME_LISTS])
@pytest.mark.parametrize("empty", ["", " \t\n"], ids=["empty", "blank"])
def test_an_empty_variable_is_one_that_is_not_set(name: str, empty: str) -> None:
    config = TaskRunnerConfig.from_env({"N8N_RUNNERS_GRANT_TOKEN": "g", "N8N_RUNNERS_AUTH_TOKEN": "a", name: empty})
    assert getattr(config, SAMPLES[name][0]) == DEFAULTS[SAMPLES[name][0]]


@pytest.mark.parametrize("name", ["N8N_RUNNERS_TASK_TIMEOUT", "N8N_RUNNERS_ID"])
def test_an_empty_variable_leaves_the_say_to_its_file(name: str, tmp_path: Path) -> None:
    field, text, value = SAMPLES[name]
    file = tmp_path / "value"
    file.write_text(text, encoding="utf-8")
    assert getattr(TaskRunnerConfig.from_env({**TOKEN, name: " ", f"{name}_FILE": str(file)}), field) == value


def test_an_empty_file_is_a_value_that_is_not_set(tmp_path: Path) -> None:
    file = tmp_path / "empty"
    file.write_text("\n", encoding="utf-8")
    assert TaskRunnerConfig.from_env({**TOKEN, "N8N_RUNNERS_TASK_TIMEOUT_FILE": str(file)}).task_timeout == 60


@pytest.mark.parametrize("name", sorted(NAME_LISTS))
@pytest.mark.parametrize("empty", ["", " , ,"], ids=["empty", "commas"])
def test_an_empty_list_of_names_means_none(name: str, empty: str) -> None:
    config = TaskRunnerConfig.from_env({**TOKEN, name: empty})
    assert getattr(config, SAMPLES[name][0]) == frozenset()


@pytest.mark.parametrize("name", sorted(NAME_LISTS))
def test_a_list_of_names_in_an_empty_file_means_none(name: str, tmp_path: Path) -> None:
    file = tmp_path / "empty"
    file.write_text("", encoding="utf-8")
    config = TaskRunnerConfig.from_env({**TOKEN, f"{name}_FILE": str(file)})
    assert getattr(config, SAMPLES[name][0]) == frozenset()


def test_names_are_trimmed_and_doubles_are_one() -> None:
    config = TaskRunnerConfig.from_env({**TOKEN, "N8N_RUNNERS_EXTERNAL_ALLOW": " pandas ,numpy,pandas, os.path"})
    assert config.external_allow == {"pandas", "numpy", "os.path"}


@pytest.mark.parametrize("text", ["true", "TRUE", " True\n"])
def test_access_to_the_environment_is_blocked_by_true_in_any_case(text: str) -> None:
    assert TaskRunnerConfig.from_env({**TOKEN, "N8N_BLOCK_RUNNER_ENV_ACCESS": text}).block_env_access is True


@pytest.mark.parametrize("text", ["false", "0", "1", "yes", "on", "no", "truetrue", "wahr"])
def test_access_to_the_environment_is_not_blocked_by_anything_but_true(text: str) -> None:
    assert TaskRunnerConfig.from_env({**TOKEN, "N8N_BLOCK_RUNNER_ENV_ACCESS": text}).block_env_access is False


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("1", True), ("YES", True), ("on", True), ("false", False), ("0", False), ("No", False)],
)
def test_a_flag_is_what_people_write_for_yes_and_no(text: str, value: bool) -> None:
    environment = {
        **TOKEN,
        "N8N_RUNNERS_HEALTH_CHECK_SERVER_ENABLED": text,
        "N8N_RUNNERS_ALLOW_TRANSITIVE_IMPORTS": text,
    }
    config = TaskRunnerConfig.from_env(environment)
    assert (config.health_check_server_enabled, config.allow_transitive_imports) == (value, value)


@pytest.mark.parametrize("level", ["debug", "info", "warn", "warning", "error"])
def test_every_log_level_is_accepted_in_any_case(level: str) -> None:
    environment = {**TOKEN, "N8N_RUNNERS_LAUNCHER_LOG_LEVEL": level.upper()}
    assert TaskRunnerConfig.from_env(environment).log_level == level


@pytest.mark.parametrize("scheme", ["http", "https", "ws", "wss", "HTTP"])
def test_a_broker_may_be_written_with_each_scheme_that_it_is_spoken_to_with(scheme: str) -> None:
    uri = f"{scheme}://[::1]:5679/n8n/"
    assert TaskRunnerConfig.from_env({**TOKEN, "N8N_RUNNERS_TASK_BROKER_URI": uri}).task_broker_uri == uri


def test_a_whole_number_of_seconds_stays_whole() -> None:
    config = TaskRunnerConfig.from_env({**TOKEN, "N8N_RUNNERS_TASK_TIMEOUT": "+300"})
    assert (config.task_timeout, type(config.task_timeout)) == (300, int)


def test_variables_of_others_are_left_alone() -> None:
    assert TaskRunnerConfig.from_env({**TOKEN, "N8N_RUNNERS_MODE": "\x00", "PATH": ""}) == TaskRunnerConfig(
        grant_token="granted"
    )


def test_the_denied_builtins_are_those_of_the_official_runner() -> None:
    assert (
        frozenset(
            {"eval", "exec", "compile", "open", "input", "breakpoint", "getattr", "object", "type", "vars", "setattr"}
            | {"delattr", "hasattr", "dir", "memoryview", "__build_class__", "globals", "locals", "license", "help"}
            | {"credits", "copyright"}
        )
        == TaskRunnerConfig(grant_token="x").builtins_deny
    )


# What is refused


@pytest.mark.parametrize(("name", "text", "shown", "allowed"), BAD_TEXTS, ids=lambda value: ascii(value)[:30])
def test_a_bad_value_is_reported_with_its_variable_the_value_and_what_is_allowed(
    name: str, text: str, shown: str, allowed: str
) -> None:
    (problem,) = problems_of({**TOKEN, name: text})
    assert problem.startswith(f"{name} is ")
    assert shown in problem
    assert allowed in problem
    assert problem.isprintable(), "one line, in one piece"


@pytest.mark.parametrize("name", ["N8N_RUNNERS_STDLIB_ALLOW", "N8N_RUNNERS_EXTERNAL_ALLOW"])
def test_a_wildcard_beside_names_is_refused_in_the_words_of_the_official_runner(name: str) -> None:
    assert problems_of({**TOKEN, name: "pandas, *,numpy"}) == (
        f"Wildcard '*' in {name} must be used alone, not with other modules. Got: *, numpy, pandas",
    )


def test_everything_that_is_wrong_is_reported_at_once() -> None:
    bad = {name: text for name, text, _, _ in reversed(BAD_TEXTS)}
    problems = problems_of({**bad, "N8N_RUNNERS_EXTERNAL_ALLOW": "*,a", "TZ_FILE": "/nowhere"})
    assert len(problems) == len(bad) + 3
    for name in (*bad, "N8N_RUNNERS_EXTERNAL_ALLOW", "TZ_FILE", "N8N_RUNNERS_GRANT_TOKEN"):
        assert any(name in problem for problem in problems), name


def test_the_text_of_the_error_has_a_line_for_each_problem() -> None:
    error = ConfigurationError(["one", "two"])
    assert (str(error), error.problems) == ("one\ntwo", ("one", "two"))


def test_a_missing_credential_is_reported_in_the_words_of_the_official_runner() -> None:
    (problem,) = problems_of({})
    assert problem.startswith("Environment variable N8N_RUNNERS_GRANT_TOKEN is required")
    assert "N8N_RUNNERS_AUTH_TOKEN" in problem


@pytest.mark.parametrize("name", ["grant_token", "auth_token"])
def test_either_credential_is_enough(name: str) -> None:
    assert getattr(TaskRunnerConfig(**{name: "x"}), name) == "x"  # type: ignore[arg-type]


def test_a_credential_that_was_given_but_is_bad_is_not_called_missing_as_well() -> None:
    problems = problems_of({"N8N_RUNNERS_GRANT_TOKEN": "a\x00b"})
    assert problems == ("N8N_RUNNERS_GRANT_TOKEN is a value that is not shown: it must be text",)


BAD_VALUES: list[tuple[str, str, object]] = [
    ("grant_token", "N8N_RUNNERS_GRANT_TOKEN", None),
    ("grant_token", "N8N_RUNNERS_GRANT_TOKEN", b"bytes"),
    ("auth_token", "N8N_RUNNERS_AUTH_TOKEN", "a\r\nX: y"),
    ("task_timeout", "N8N_RUNNERS_TASK_TIMEOUT", 0),
    ("task_timeout", "N8N_RUNNERS_TASK_TIMEOUT", -0.1),
    ("task_timeout", "N8N_RUNNERS_TASK_TIMEOUT", "60"),
    ("task_timeout", "N8N_RUNNERS_TASK_TIMEOUT", True),
    ("task_timeout", "N8N_RUNNERS_TASK_TIMEOUT", float("nan")),
    ("task_timeout", "N8N_RUNNERS_TASK_TIMEOUT", float("inf")),
    ("task_timeout", "N8N_RUNNERS_TASK_TIMEOUT", 10**400),
    ("heartbeat_interval", "N8N_RUNNERS_HEARTBEAT_INTERVAL", float("inf")),
    ("graceful_shutdown_timeout", "N8N_RUNNERS_GRACEFUL_SHUTDOWN_TIMEOUT", None),
    ("linger", "N8N_RUNNERS_LINGER", -1),
    ("max_connection_age", "N8N_RUNNERS_MAX_CONNECTION_AGE", -1),
    ("retry_spread", "N8N_RUNNERS_RETRY_SPREAD", -1),
    ("auto_shutdown_timeout", "N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT", -1),
    ("auto_shutdown_timeout", "N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT", "15"),
    ("auto_shutdown_timeout", "N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT", None),
    ("max_concurrency", "N8N_RUNNERS_MAX_CONCURRENCY", 0),
    ("max_concurrency", "N8N_RUNNERS_MAX_CONCURRENCY", 5.0),
    ("max_payload_size", "N8N_RUNNERS_MAX_PAYLOAD", 4 * 1024**3),
    ("health_check_server_port", "N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT", 65536),
    ("task_broker_uri", "N8N_RUNNERS_TASK_BROKER_URI", "n8n:5679"),
    ("task_broker_uri", "N8N_RUNNERS_TASK_BROKER_URI", None),
    ("broker_path", "N8N_RUNNERS_PATH", "runners"),
    ("broker_path", "N8N_RUNNERS_PATH", "/runners/"),
    ("log_level", "N8N_RUNNERS_LAUNCHER_LOG_LEVEL", "INFO"),
    ("block_env_access", "N8N_BLOCK_RUNNER_ENV_ACCESS", "true"),
    ("external_allow", "N8N_RUNNERS_EXTERNAL_ALLOW", "pandas"),
    ("external_allow", "N8N_RUNNERS_EXTERNAL_ALLOW", None),
    ("external_allow", "N8N_RUNNERS_EXTERNAL_ALLOW", 5),
    ("external_allow", "N8N_RUNNERS_EXTERNAL_ALLOW", {1, 2}),
    ("external_allow", "N8N_RUNNERS_EXTERNAL_ALLOW", {"*", 5}),
    ("external_allow", "N8N_RUNNERS_EXTERNAL_ALLOW", {"*", "pandas"}),
    ("stdlib_allow", "N8N_RUNNERS_STDLIB_ALLOW", 5),
    ("builtins_deny", "N8N_RUNNERS_BUILTINS_DENY", ["*"]),
    ("builtins_deny", "N8N_RUNNERS_BUILTINS_DENY", None),
]


@pytest.mark.parametrize(
    ("field", "name", "value"), BAD_VALUES, ids=[f"{field}-{number}" for number, (field, _, _) in enumerate(BAD_VALUES)]
)
def test_the_constructor_checks_the_same(field: str, name: str, value: object) -> None:
    (problem,) = problems_with(**{field: value})
    assert name in problem


def test_the_constructor_reports_everything_at_once() -> None:
    problems = problems_with(grant_token="", task_timeout=0, max_concurrency="5", log_level="loud")
    assert len(problems) == 4


def test_only_a_list_that_may_be_left_out_may_be_none() -> None:
    assert TaskRunnerConfig(grant_token="x", stdlib_allow=None).stdlib_allow is None


@pytest.mark.parametrize("names", [{"a", "b"}, ["a", "b"], ("a", "b", "a"), frozenset("ab")], ids=str)
def test_names_may_be_given_as_any_kind_of_list(names: Any) -> None:
    config = TaskRunnerConfig(grant_token="x", stdlib_allow=names, external_allow=names, builtins_deny=names)
    lists = (config.stdlib_allow, config.external_allow, config.builtins_deny)
    assert all(isinstance(each, frozenset) and each == {"a", "b"} for each in lists)
    assert isinstance(hash(config), int)


# Auto shutdown


@pytest.mark.parametrize(("timeout", "enabled"), [(0, False), (0.5, True), (15, True)])
def test_auto_shutdown_is_enabled_by_a_timeout(timeout: float, enabled: bool) -> None:
    assert TaskRunnerConfig(grant_token="x", auto_shutdown_timeout=timeout).is_auto_shutdown_enabled is enabled


def test_auto_shutdown_may_be_enabled_without_a_time() -> None:
    config = TaskRunnerConfig(grant_token="x", is_auto_shutdown_enabled=True)
    assert (config.is_auto_shutdown_enabled, config.auto_shutdown_timeout) == (True, 0)


def test_auto_shutdown_may_be_disabled_in_spite_of_a_timeout() -> None:
    config = TaskRunnerConfig(grant_token="x", auto_shutdown_timeout=15, is_auto_shutdown_enabled=False)
    assert (config.is_auto_shutdown_enabled, config.auto_shutdown_timeout) == (False, 15)


# What is never shown


def test_secrets_are_in_no_text_of_a_configuration() -> None:
    config = TaskRunnerConfig(grant_token=MARKER, auth_token=MARKER, sentry_dsn=MARKER)
    assert MARKER not in repr(config) + str(config) + f"{config}"


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("bad", [f"{MARKER}\x00", f"\x1b{MARKER}", f"{MARKER}\n{MARKER}"], ids=ascii)
def test_a_secret_that_is_a_bad_value_is_not_shown(name: str, bad: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        TaskRunnerConfig.from_env({**TOKEN, name: bad})
    assert any(name in problem for problem in caught.value.problems)
    assert MARKER not in everything_said(caught.value)


@pytest.mark.parametrize("field", ["grant_token", "auth_token", "sentry_dsn"])
@pytest.mark.parametrize("bad", [MARKER.encode(), [MARKER], f"{MARKER}\n"], ids=ascii)
def test_a_secret_that_the_constructor_refuses_is_not_shown(field: str, bad: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        TaskRunnerConfig(**{"grant_token": "x", field: bad})  # type: ignore[arg-type]
    assert MARKER not in everything_said(caught.value)


def test_a_secret_in_a_file_is_not_shown_when_it_is_bad(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{MARKER}\x07{MARKER}", encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        TaskRunnerConfig.from_env({"N8N_RUNNERS_AUTH_TOKEN_FILE": str(file)})
    assert MARKER not in everything_said(caught.value)


@pytest.mark.parametrize(
    "uri",
    [
        f"http://me:{MARKER}@n8n:5679",
        f"HTTPS://:{MARKER}@n8n",
        f"http://me:p/{MARKER}@n8n",
        f"http://me:p@{MARKER}@n8n",
        f"http://me:{MARKER}//x@n8n",
        f"http://me:{MARKER}?x@n8n",
        f"http://me:p#{MARKER}@n8n",
        f"http:/me:{MARKER}@n8n",
        f"me:{MARKER}@n8n:5679",
    ],
)
def test_a_password_in_the_address_of_the_broker_is_refused_and_not_shown(uri: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        TaskRunnerConfig.from_env({**TOKEN, "N8N_RUNNERS_TASK_BROKER_URI": uri})
    (problem,) = caught.value.problems
    assert "n8n" in problem, "the rest is shown"
    assert MARKER not in everything_said(caught.value)


# The rest


def test_the_user_of_tasks_is_the_one_of_the_confinement() -> None:
    assert TaskRunnerConfig(grant_token="x").task_user == OWN_USER


def test_a_configuration_is_frozen() -> None:
    config = TaskRunnerConfig(grant_token="x")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        config.task_timeout = 1  # type: ignore[misc]


def test_fields_are_given_by_name_only() -> None:
    with pytest.raises(TypeError):
        TaskRunnerConfig({"x"})  # type: ignore[call-arg]


TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["", "0", "1", "-1", "true", "*", "a,*", "1e5", "http://h", "/a", "99999999999", "nan"]),
    st.builds("http://{}".format, st.text(alphabet="ah:/@?#[]%.0 ", max_size=12)),
    st.builds("{}.{}".format, st.integers(), st.integers(0)),
)
FILES = st.sampled_from(["/nowhere", ".", "", " ", "\0", "\ud800", "a" * 300])


@settings(deadline=None)
@given(
    environment=st.dictionaries(st.sampled_from(sorted(SAMPLES)), TEXTS),
    files=st.dictionaries(st.sampled_from(sorted(SAMPLES)), FILES),
    secret=st.sampled_from([*SECRETS, None]),
    suffix=st.text(max_size=3),
)
@example(environment={"N8N_RUNNERS_EXTERNAL_ALLOW": "*,a"}, files={}, secret="N8N_RUNNERS_AUTH_TOKEN", suffix="\0")
def test_any_environment_gives_a_configuration_or_a_configuration_error(
    environment: dict[str, str], files: dict[str, str], secret: str | None, suffix: str
) -> None:
    given_environment = {**environment, **{f"{name}_FILE": path for name, path in files.items()}}
    if secret is not None:
        given_environment[secret] = MARKER + suffix
    said, problems = outcome_of(given_environment)
    named = [*SAMPLES, *(f"{name}_FILE" for name in SAMPLES)]
    assert all(any(name in problem for name in named) for problem in problems)
    assert MARKER not in said


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=40), st.text(max_size=40), max_size=5))
def test_no_environment_of_strangers_is_anything_but_a_missing_credential(environment: dict[str, str]) -> None:
    strangers = {name: text for name, text in environment.items() if name.removesuffix("_FILE") not in SAMPLES}
    (problem,) = problems_of(strangers)
    assert "is required" in problem


def test_what_may_be_a_token_in_the_query_of_an_address_is_not_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        TaskRunnerConfig.from_env({"N8N_RUNNERS_TASK_BROKER_URI": f"http://n8n:5679/?token={MARKER}"})
    assert MARKER not in str(caught.value)
