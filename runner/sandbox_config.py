"""The configuration of the sandbox: what the code of tasks may do, and how much of everything it may take."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

import attrs

from runner.variables import Choice, Flag, Names, Number, Paths, Text, TrueOrNot, declared

DENIED_BUILTINS = Names().parse(
    "eval, exec, compile, open, input, breakpoint, getattr, object, type, vars, setattr, delattr, hasattr, dir, "
    "memoryview, __build_class__, globals, locals, license, help, credits, copyright"
)
"""The official runner's default for N8N_RUNNERS_BUILTINS_DENY."""


def names_of(value: AbstractSet[str] | list[str] | tuple[str, ...]) -> frozenset[str]:
    """Let people who build a configuration by hand write a set or a list of names."""
    names: frozenset[str] = _frozen(value)
    return names


def _names_or_none(value: AbstractSet[str] | list[str] | tuple[str, ...] | None) -> frozenset[str] | None:
    """The same, where not setting it is something of its own."""
    names: frozenset[str] | None = _frozen(value)
    return names


def _frozen(value: Any) -> Any:
    """A collection as a set; anything else as it is, for the checks to find."""
    return frozenset(value) if isinstance(value, AbstractSet | list | tuple) else value


def _paths(value: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """Let people who build a configuration by hand write a list of paths."""
    paths: tuple[str, ...] = tuple(value) if isinstance(value, list) else value
    return paths


@attrs.frozen(kw_only=True)
class SandboxConfig:
    """The fields of `TaskRunnerConfig` that are about the processes of tasks."""

    # What the code of a task may do
    stdlib_allow: frozenset[str] | None = attrs.field(
        default=None,
        converter=_names_or_none,
        metadata=declared(
            "N8N_RUNNERS_STDLIB_ALLOW",
            Names(wildcard=True),
            "Modules of the standard library that code may import.",
            optional=True,
            fallback="not set",
        ),
    )
    external_allow: frozenset[str] = attrs.field(
        default=frozenset(),
        converter=names_of,
        metadata=declared(
            "N8N_RUNNERS_EXTERNAL_ALLOW",
            Names(wildcard=True),
            "Installed packages that code may import.",
        ),
    )
    allow_transitive_imports: bool = attrs.field(
        default=True,
        metadata=declared(
            "N8N_RUNNERS_ALLOW_TRANSITIVE_IMPORTS",
            Flag(),
            "Whether an allowed package may import others for itself.",
        ),
    )
    builtins_deny: frozenset[str] = attrs.field(
        default=DENIED_BUILTINS,
        converter=names_of,
        metadata=declared(
            "N8N_RUNNERS_BUILTINS_DENY",
            Names(),
            "Builtins that code may not use.",
        ),
    )
    block_env_access: bool = attrs.field(
        default=True,
        metadata=declared(
            "N8N_BLOCK_RUNNER_ENV_ACCESS",
            TrueOrNot(),
            "Keep the runner's environment from the code. Its own variables never reach the code, whatever this says.",
        ),
    )
    timezone: str = attrs.field(
        default="",
        metadata=declared("TZ", Text(), "The time zone that code sees.", fallback="the machine's"),
    )
    language: str = attrs.field(
        default="n8n",
        metadata=declared(
            "N8N_RUNNERS_LANGUAGE",
            Choice(("n8n", "full")),
            "`n8n` holds code to n8n's rules about attributes and builtins; `full` lifts these, all but those about "
            "imports, and needs a kernel that confines tasks completely.",
        ),
    )
    preload: frozenset[str] = attrs.field(
        default=frozenset(),
        converter=names_of,
        metadata=declared(
            "N8N_RUNNERS_PRELOAD",
            Names(),
            "Modules that are imported before any task comes, beside those that the allowlists name.",
        ),
    )

    # What the kernel keeps it from
    confinement: str = attrs.field(
        default="available",
        metadata=declared(
            "N8N_RUNNERS_CONFINEMENT",
            Choice(("available", "required")),
            "What happens where the kernel lacks a layer of the confinement: a warning, or a refusal to start.",
        ),
    )
    network: str = attrs.field(
        default="auto",
        metadata=declared(
            "N8N_RUNNERS_NETWORK",
            Choice(("auto", "allow", "deny")),
            "Whether code may open connections; `auto`: if the allowlists name a module that is for that.",
        ),
    )
    fs_read: tuple[str, ...] = attrs.field(
        default=(),
        converter=_paths,
        metadata=declared(
            "N8N_RUNNERS_FS_READ",
            Paths(),
            "Files and folders that code may read, beside the interpreter and its packages.",
        ),
    )
    fs_write: tuple[str, ...] = attrs.field(
        default=(),
        converter=_paths,
        metadata=declared(
            "N8N_RUNNERS_FS_WRITE",
            Paths(),
            "Files and folders that code may read and write, beside the temporary folder of its task.",
        ),
    )
    task_user: int = attrs.field(
        default=65533,
        metadata=declared(
            "N8N_RUNNERS_TASK_USER", Number(1, 2**31 - 1), "The user that tasks become when the runner is root."
        ),
    )
    task_memory_limit: int = attrs.field(
        default=1024,
        metadata=declared(
            "N8N_RUNNERS_TASK_MEMORY_LIMIT",
            Number(16, 2**20),
            "How much memory a task may take beyond what is imported beforehand.",
            unit="MiB",
        ),
    )
    task_cpu_limit: int = attrs.field(
        default=0,
        metadata=declared(
            "N8N_RUNNERS_TASK_CPU_LIMIT",
            Number(0),
            "How much processor time a task may take, all its threads together.",
            unit="s",
            fallback="twice the task timeout",
        ),
    )
    task_open_files: int = attrs.field(
        default=256,
        metadata=declared("N8N_RUNNERS_TASK_OPEN_FILES", Number(16, 2**20), "How many files a task may have open."),
    )
    task_file_size: int = attrs.field(
        default=256,
        metadata=declared(
            "N8N_RUNNERS_TASK_FILE_SIZE", Number(0, 2**20), "How large a file of a task may become.", unit="MiB"
        ),
    )
    task_threads: int = attrs.field(
        default=256,
        metadata=declared(
            "N8N_RUNNERS_TASK_THREADS", Number(1, 2**16), "How many threads all tasks together may have."
        ),
    )
