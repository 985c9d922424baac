"""Writes the parts of the documentation that are made from tables; with --check, only says which are stale.

Pictures are drawn by Graphviz, whose versions draw differently: one is stale when what it was drawn from has changed.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import indent
from typing import Any

from dashboard import dashboard
from measured import performance
from measured import pictures as curves
from messages import messages
from prose import CODE_NODE, CONVERSION, METRICS_INTRODUCTION, RESTARTED, SANDBOX
from tables import rows

from runner.cli.exit_codes import MEANINGS, SIGNALS
from runner.cli.launcher_config import LIST, entry
from runner.cli.reference import FILE_RULE, as_markdown
from runner.execution.sandbox import wire
from runner.execution.sandbox.child.conversion_table import TABLE
from runner.execution.sandbox.child.given.table import NAMES
from runner.execution.sandbox.confinement.layers import LAYERS
from runner.execution.sandbox.language.stdlib import SAFE_MODULES
from runner.execution.sandbox.relay import MOST_HELD
from runner.observe.counters import Count
from runner.observe.metrics import METRICS, Section
from statemachine import CONNECTION, TASK, ConnectionEvent, ConnectionMachine, Journal, Table

ROOT = Path(__file__).resolve().parent.parent
NOTICE = "<!-- Made by docs/generate.py from the tables in the code: change those, and run `make docs`. -->\n"
MADE = "<!-- Made by docs/generate.py:"
DIAGRAM_BEGIN = "<!-- diagram: connection -->\n"
DIAGRAM_END = "<!-- end of diagram -->\n"


def configuration() -> str:
    """The page of all environment variables."""
    return (
        f"{NOTICE}\n# Configuration\n\nEverything is configured by environment variables. {FILE_RULE}\n\n"
        "A value that is not allowed ends `n8n-runner start` with a line for each one, and "
        "[exit code](exit-codes.md) 2.\n\n"
        f"{as_markdown()}"
    )


def exit_codes() -> str:
    """The page of how commands end, and of the signals that end them."""
    codes = rows(("code", "name", "meaning"), *((f"{code:d}", code.name, text) for code, text in MEANINGS.items()))
    signals = rows(("signal", "what `n8n-runner start` does"), *SIGNALS)
    return f"{NOTICE}\n# Exit codes and signals\n\n{codes}\n{RESTARTED}\n\n{signals}"


def launcher_config() -> str:
    """The file of n8n's launcher for a runner in /opt/n8n-runner, as docs/deploy/Dockerfile has it."""
    return json.dumps({LIST: [entry("/opt/n8n-runner/bin/python")]}, indent=2) + "\n"


def lifecycle() -> str:
    """The page of both state machines."""
    parts = [
        NOTICE,
        "# The lifecycle of a connection and of a task",
        "Both are tables in the package `statemachine`; what follows is made from them. Effects are what a machine "
        "asks the runner to do, in this order: what leaving the state asks for, what the transition itself asks for, "
        "what entering the next state asks for. A transition into the state that it comes from neither leaves nor "
        "enters it. Events that are not listed for a state change nothing.",
    ]
    for table in (CONNECTION, TASK):
        picture = f"![The {table.name} as a picture](pictures/{table.name}.svg)"
        parts += [f"## {table.name.capitalize()}", table.meaning, picture]
        parts += [_states(table), _events(table), _transitions(table), _effects(table)]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _states(table: Table[Any, Any, Any]) -> str:
    return "### States\n\n" + rows(
        ("state", "meaning", "on entering", "on leaving"),
        *((_code(row.state), row.meaning, _codes(row.entering), _codes(row.leaving)) for row in table.states),
    )


def _events(table: Table[Any, Any, Any]) -> str:
    return "### Events\n\n" + rows(("event", "meaning"), *((_code(row.event), row.meaning) for row in table.events))


def _transitions(table: Table[Any, Any, Any]) -> str:
    return "### Transitions\n\n" + rows(
        ("from", "event", "to", "meaning", "on the way"),
        *(
            (_codes(row.sources), _code(row.event), _code(row.target), row.meaning, _codes(row.effects))
            for row in table.transitions
        ),
    )


def _effects(table: Table[Any, Any, Any]) -> str:
    return "### Effects\n\n" + rows(("effect", "meaning"), *((_code(row.effect), row.meaning) for row in table.effects))


def counters() -> str:
    """The page of what is counted."""
    return f"{NOTICE}\n# Counters\n\n`runner.counters` of a `TaskRunner` maps each of these to a number.\n\n" + rows(
        ("counter", "meaning"), *((f"`{count.name}`", count.value) for count in Count)
    )


def metrics() -> str:
    """The page of the metrics."""
    parts = [NOTICE.rstrip("\n"), METRICS_INTRODUCTION.strip()]
    for section in Section:
        table = rows(
            ("metric", "kind", "labels", "meaning"),
            *(
                (f"`{each.full_name}`", each.kind.value, ", ".join(f"`{label}`" for label in each.labels), each.help)
                for each in METRICS
                if each.section is section
            ),
        )
        parts += [f"## {section.value}", table.rstrip("\n")]
    return "\n\n".join(parts) + "\n"


def conversion() -> str:
    """The page of what becomes of values."""
    parts = [NOTICE.rstrip("\n"), CONVERSION]
    for title, group in TABLE.items():
        table = rows(
            ("value", "becomes", "for example"), *((row.values, row.becomes, _examples(row.examples)) for row in group)
        )
        parts += [f"## {title}", table.rstrip("\n")]
    return "\n\n".join(parts) + "\n"


def code_node() -> str:
    """The page of the names that code is given."""
    uses = [(use, row) for row in NAMES.values() for use in row.uses]
    against = rows(
        ("Python", "JavaScript", "gives"),
        *((f"`{use.python}`", f"`{use.javascript}`", use.meaning) for use, _ in uses),
    )
    parts = [NOTICE.rstrip("\n"), CODE_NODE.format(against=against).rstrip("\n")]
    for name, row in NAMES.items():
        parts += [f"### `{name}`", row.meaning]
        for use in row.uses:
            returned = json.dumps(use.result, ensure_ascii=False)
            parts += [
                f"`{use.python}`: {use.meaning}. In code for {use.mode}:",
                indent(use.example, "    "),
                f"→ `{returned}`",
            ]
    return "\n\n".join(parts) + "\n"


def sandbox() -> str:
    """The page about the confinement of tasks."""
    layers = rows(
        ("layer", "a task is or has", "by", "variable"),
        *((each.name, each.meaning, each.how, each.variable or "") for each in LAYERS),
    )
    modules = rows(("module", "why"), *((f"`{name}`", why) for name, why in SAFE_MODULES.items()))
    limits = {
        "most_open": wire.MOST_OPEN,
        "most_held": MOST_HELD // 1024**2,
        "question_limit": wire.QUESTION_LIMIT // 1024**2,
    }
    return f"{NOTICE}\n# The sandbox\n{SANDBOX.format(layers=layers, modules=modules, **limits)}"


def _examples(examples: dict[str, str | None]) -> str:
    return "<br>".join(
        f"`{expression}` is refused" if shown is None else f"`{expression}` → `{shown}`"
        for expression, shown in examples.items()
    )


def _code(member: Any) -> str:
    return f"`{member.value}`"


def _codes(members: tuple[Any, ...]) -> str:
    return ", ".join(map(_code, members))


def readme(current: str) -> str:
    """The README with its diagram as it should be."""
    before, begin, rest = current.partition(DIAGRAM_BEGIN)
    _, end, after = rest.partition(DIAGRAM_END)
    if not begin or not end:
        raise SystemExit("README.md has lost the two comments between which the diagram stands")
    return f"{before}{begin}```mermaid\n{CONNECTION.to_mermaid()}```\n{end}{after}"


def a_lost_connection() -> ConnectionMachine:
    """A machine that has lost a connection, and listens on the next."""
    event, machine = ConnectionEvent, ConnectionMachine(Journal(lambda: 0.0))
    machine.fire(event.CONNECT)
    for happened in (event.ACCEPTED, event.REGISTERED, event.LOST, event.RETRY):
        machine.fire(happened, 1)
    machine.fire(event.ACCEPTED, 2)
    machine.fire(event.REGISTERED, 2)
    return machine


PAGES: dict[str, Callable[[], str]] = {
    "configuration.md": configuration,
    "exit-codes.md": exit_codes,
    "lifecycle.md": lifecycle,
    "counters.md": counters,
    "metrics.md": metrics,
    "deploy/grafana.json": dashboard,
    "deploy/n8n-task-runners.json": launcher_config,
    "code-node.md": code_node,
    "conversion.md": conversion,
    "sandbox.md": sandbox,
    "messages.md": lambda: f"{NOTICE}\n{messages()}",
}
"""The generated pages below docs/, and what makes each."""

LOST = a_lost_connection()

PICTURES: dict[str, tuple[str, Callable[[], str]]] = {
    "connection.svg": (CONNECTION.to_dot(), CONNECTION.to_svg),
    "task.svg": (TASK.to_dot(), TASK.to_svg),
    "lost-connection.svg": (LOST.to_dot(current=True, path=True), lambda: LOST.to_svg(current=True, path=True)),
}
"""The pictures below docs/pictures/: what each is drawn from, and what draws it."""


def stale(root: Path) -> dict[Path, Callable[[], str]]:
    """Every generated file below `root` that is not as it should be, with what makes it."""
    readme_path = root / "README.md"
    wanted = {root / "docs" / name: make for name, make in PAGES.items()}
    wanted[readme_path] = lambda: readme(_text(readme_path))
    performance_path = root / "docs" / "performance.md"
    wanted[performance_path] = lambda: performance(_text(performance_path))
    for name, drawn in curves().items():
        wanted[root / "docs" / "pictures" / name] = lambda drawn=drawn: drawn  # type: ignore[misc]
    changed = {path: make for path, make in wanted.items() if _text(path) != make()}
    for name, (source, draw) in PICTURES.items():
        path = root / "docs" / "pictures" / name
        drawn, _, _ = _text(path).partition(MADE)
        if _text(path) != signed(drawn, source):
            changed[path] = lambda draw=draw, source=source: signed(draw(), source)  # type: ignore[misc]
    return changed


def signed(drawn: str, source: str) -> str:
    """A picture with a comment at its end: the digests of what it was drawn from, and of what came of it."""
    digests = (hashlib.sha256(text.encode()).hexdigest()[:16] for text in (source, drawn))
    return f"{drawn}{MADE} {' '.join(digests)} -->\n"


def _text(path: Path) -> str:
    """What a file holds; nothing, if it is not there."""
    return path.read_text(encoding="utf-8") if path.exists() else ""


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Write what is stale, or with --check name it and fail."""
    changed = stale(root)
    for path, make in changed.items():
        if "--check" in arguments:
            print(f"{path.relative_to(root)} is stale: run `make docs`", file=sys.stderr)
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(make(), encoding="utf-8")
    return 1 if changed and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
