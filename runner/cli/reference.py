"""The table of variables as text for `--help` and as Markdown for the documentation."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import attrs

from runner.config import TaskRunnerConfig, variables
from runner.variables import Variable

FILE_RULE = "Each variable X can also be given as X_FILE, the path of a file that holds the value. X wins over X_FILE."


def default_of(field: str, variable: Variable) -> str:
    """What holds when a variable is not set."""
    if variable.fallback is not None:
        return variable.fallback
    default = getattr(attrs.fields(TaskRunnerConfig), field).default
    if isinstance(default, frozenset | tuple):
        return ", ".join(sorted(default)) or "none"
    if isinstance(default, bool):
        return str(default).lower()
    return str(default) if default != "" else "not set"


def described() -> Iterator[tuple[Variable, str, str]]:
    """Each variable with its default and its meaning."""
    for field, variable in variables():
        yield variable, default_of(field, variable), variable.meaning


def as_text() -> str:
    """The table for `--help`."""
    lines = ["environment variables:"]
    for variable, default, meaning in described():
        unit = f" ({variable.unit})" if variable.unit else ""
        text = f"{meaning} Default: {default}{unit}."
        lines += [f"  {variable.name}", *textwrap.wrap(text, 100, initial_indent="      ", subsequent_indent="      ")]
    return "\n".join([*lines, "", *textwrap.wrap(FILE_RULE, 100)])


def as_markdown() -> str:
    """The table for the documentation."""
    rows = [
        "| variable | default | what is allowed | meaning | since |",
        "| --- | --- | --- | --- | --- |",
    ]
    for variable, default, meaning in described():
        unit = f", {variable.unit}" if variable.unit else ""
        secret = " Secret: never shown." if variable.secret else ""
        cells = [
            f"`{variable.name}`",
            _escaped(default),
            _escaped(f"{variable.kind.allowed}{unit}"),
            _escaped(meaning + secret),
            variable.since,
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _escaped(text: str) -> str:
    """Text that stays text in a Markdown table."""
    return text.replace("|", "\\|").replace("*", "\\*").replace("__", "\\_\\_")
