"""What the configuration of a runner means for its zygote."""

from __future__ import annotations

from collections.abc import Mapping

from runner.config import TaskRunnerConfig, variables
from runner.execution.sandbox.confinement.spec import MIB
from runner.execution.sandbox.language.policy import ANYTHING
from runner.execution.sandbox.order import Order

FOR_CONNECTIONS: dict[str, str] = {
    **dict.fromkeys(("ftplib", "http", "imaplib", "nntplib", "poplib", "smtplib", "telnetlib"), "speaks a protocol"),
    **dict.fromkeys(("socket", "ssl", "urllib", "urllib.request", "http.client", "xmlrpc"), "opens connections"),
    **dict.fromkeys(("requests", "httpx", "aiohttp", "urllib3", "httplib2", "pycurl", "websockets"), "speaks HTTP"),
    **dict.fromkeys(
        ("boto3", "botocore", "google", "azure", "openai", "anthropic", "stripe", "slack_sdk"), "a service"
    ),
    **dict.fromkeys(("psycopg", "psycopg2", "pymysql", "pymongo", "redis", "asyncpg", "mysql"), "speaks to a database"),
    **dict.fromkeys(("paramiko", "ldap3", "elasticsearch", "pika", "kafka", "paho", "grpc"), "speaks a protocol"),
}
"""The modules that are no use without the network, with the reason. Allowing one allows connections."""

NO_LIMIT = 10**9


def order_for(config: TaskRunnerConfig, folders: str, environment: Mapping[str, str]) -> Order:
    """What a zygote of a runner with this configuration and environment is to be."""
    return Order(
        folders=folders,
        policy={
            "stdlib_allow": None if config.stdlib_allow is None else sorted(config.stdlib_allow),
            "external_allow": sorted(config.external_allow),
            "builtins_deny": sorted(config.builtins_deny),
            "allow_transitive_imports": config.allow_transitive_imports,
            "language": config.language,
        },
        spec={
            "read": list(config.fs_read),
            "write": list(config.fs_write),
            "network": has_network(config),
            "memory": config.task_memory_limit * MIB,
            "cpu": config.task_cpu_limit or min(max(1, round(2 * config.task_timeout)), NO_LIMIT),
            "files": config.task_open_files,
            "file_size": config.task_file_size * MIB,
            "threads": config.task_threads,
            "user": config.task_user,
        },
        preload=_preload(config),
        environment=task_environment(config, environment),
        max_prints=config.max_prints,
    )


def has_network(config: TaskRunnerConfig) -> bool:
    """Whether tasks may open connections."""
    if config.network != "auto":
        return config.network == "allow"
    allowed = {*(config.stdlib_allow or ()), *config.external_allow}
    return any(name.partition(".")[0] in FOR_CONNECTIONS for name in allowed if name != "urllib.parse")


def task_environment(config: TaskRunnerConfig, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a task: the time zone and, if allowed, all that is not the runner's own."""
    passed = {} if config.block_env_access else dict(environment)
    for _, variable in variables():
        for name in (variable.name, variable.name + "_FILE"):
            passed.pop(name, None)
    passed = {name: value for name, value in passed.items() if not name.startswith("N8N_RUNNERS_")}
    if config.timezone:
        passed["TZ"] = config.timezone
    return passed


def _preload(config: TaskRunnerConfig) -> tuple[str, ...]:
    """The modules that are named anywhere, those that were asked for by name first.

    Where libraries may not import what they need, what `_jmespath` needs has to be there before that rule holds.
    """
    own = () if config.allow_transitive_imports else ("jmespath",)
    named = (config.preload, config.external_allow, config.stdlib_allow or (), own)
    return tuple(dict.fromkeys(name for names in named for name in sorted(names) if name != ANYTHING))
