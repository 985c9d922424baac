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
from messages import messages
from tables import rows

from runner.cli.exit_codes import MEANINGS
from runner.cli.reference import FILE_RULE, as_markdown
from runner.execution.sandbox.child.conversion_table import TABLE
from runner.execution.sandbox.child.given.table import NAMES
from runner.execution.sandbox.confinement.layers import LAYERS
from runner.execution.sandbox.language.stdlib import SAFE_MODULES
from runner.observe.counters import Count
from runner.observe.metrics import METRICS, Section
from statemachine import CONNECTION, TASK, ConnectionEvent, ConnectionMachine, Journal, Table

ROOT = Path(__file__).resolve().parent.parent
NOTICE = "<!-- Made by docs/generate.py from the tables in the code: change those, and run `make docs`. -->\n"
MADE = "<!-- Made by docs/generate.py:"
DIAGRAM_BEGIN = "<!-- diagram: connection -->\n"
DIAGRAM_END = "<!-- end of diagram -->\n"


CONVERSION = """# What becomes of values that JSON lacks

n8n takes JSON, and Python has more. What code returns is converted by the tables below, wherever in the result it
stands; what one of them makes of a value is converted in turn. Each example shows an expression and its JSON.
`print` shows values in its own way, which is that of n8n's own Python runner.

The most specific type counts: a pandas `Timestamp` is a `datetime` too, and yet has its own row. Where no row has the
type or one that it is derived from, it is the first row that fits. Nothing is imported for this: numpy, pandas and the
others are known by name, once the code has loaded them.

**Keys** become text. Numbers, `True`, `False` and `None` become what JSON has for them; other keys become what the
same value becomes below, if that is text or a number, and else `str(key)`. A key that is NaN, Infinity or NaT is
written like this in text as well (`nan`, `inf`, `NaT`). Of two keys that become the same, the later one counts.

**Whole numbers** are sent with all their digits, but n8n is written in JavaScript, which has 53 bits for them: beyond
9,007,199,254,740,991 it takes the nearest number that it has, so that 9007199254740993 arrives as 9007199254740992.
Where every digit counts, as in ids, return text: `str(number)`. Those of more than 4,300 digits are refused.

**Items.** Where n8n needs a list of items, whatever becomes a list of objects is one: a `DataFrame`, a `deque` of
dicts, a list of dataclass objects. Where it needs an object, so does whatever becomes an object.

**Refused** is what contains itself, what is nested too deeply (hundreds of levels are possible), and what the last
table says. If a method of a value raises, such as its `__str__`, the task fails with this exception."""


METRICS_INTRODUCTION = """
# Metrics

`n8n-runner start` serves these at `/metrics` for Prometheus, with `N8N_RUNNERS_HEALTH_CHECK_SERVER_ENABLED=true`, on
`N8N_RUNNERS_HEALTH_CHECK_SERVER_HOST` and `N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT`. A program that embeds a runner serves
them with `StatusServer`. A dashboard for Grafana, made from the same table, is in
[deploy/grafana.json](deploy/grafana.json): Dashboards, New, Import.

Two alerts that are worth having: `n8n_runner_ready == 0` for two minutes, and
`increase(n8n_runner_crashes_total[1h]) > 0`, each of which is a bug.
"""


CODE_NODE = """# What code is given

The names of n8n's JavaScript, with `_` for `$`. They are there without an import, and cost nothing when they are not
named. What the code names is seen when it is compiled; what n8n knows of the execution is asked for once, when it is
first needed, and of other nodes only those that are named: `_("Orders").all()` asks for `Orders`, while a name that is
made as the code runs, `item`, `itemMatching` and `pairedItem` ask for all nodes.

Items and data are dicts and lists, and are read in both ways, `item["json"]["total"]` and `item.json.total`. What dicts
have themselves comes first: a key such as `keys`, `items` or `values` is read with brackets. What is not there is an
error that says what is.

Functions of n8n wait for their answer, and `await` may stand before them: `x = _helpers.httpRequest(…)` and
`x = await _helpers.httpRequest(…)` are the same, in plain code and in `async` functions. To make several requests at a
time, use threads, of which eight are answered at once: `ThreadPoolExecutor(8).map(fetch, addresses)`, or
`asyncio.gather(*(asyncio.to_thread(fetch, address) for address in addresses))`, with `concurrent` or `asyncio` among
the allowed modules. Credentials stay in n8n. What n8n refuses raises an exception with n8n's message, which the code
may catch.

[`n8n-runner run`](run.md) gives the same names without an n8n, and [your editor](editors.md) can know them.

## Against JavaScript

{against}
Not there are `$fromAI`, `$evaluateExpression` and the `DateTime` of Luxon, for which Python has `datetime`; nor the
functions of `this.helpers` that n8n gives no task runner. Node settings are as they were written, expressions not
worked out. An input without items gives an empty list and `None` where JavaScript raises an error.

## With examples

Each example is run by the tests, in [this execution](examples/execution.json): the nodes `Start`, `Customers`, `Orders`
and the Code node, in this row, and `Refunds` behind it. `Orders` has given two items. What an example returns stands
below it: the data of its first item.
"""


SANDBOX = """
Tasks run in processes of their own, one each. They are forked ahead from a process, the zygote, that has imported the
allowed packages and holds no secret; the kernel confines them before they see any code; they end with their task.

## What a task cannot do

`n8n-runner start` says which of these layers this machine's kernel has. With `N8N_RUNNERS_CONFINEMENT=required` it does
not start unless all are complete; `N8N_RUNNERS_LANGUAGE=full` needs them all as well.

{layers}

## Modules that are allowed unless others are named

{modules}

## What it does not promise

- The kernel itself is trusted. A task that finds an error in the system calls that are left to it is not held by this.
- Tasks share processors and disk: one may slow others down, within its limits of time, memory and file size.
- Where a layer is missing, it is missing: on a kernel without Landlock tasks read what their user can read, and without
  seccomp they may start processes. The first line of the log says so.
- Started as root, the runner makes tasks another user's. Where that user may not read the interpreter (below `/root`,
  say), tasks stay root without any capabilities, and the number of their threads is not bounded.
- Where code asks for addresses or times, it sees those of the machine: there is no protection against covert channels
  between tasks that run at the same time and want to speak to each other.
- The rules about names and attributes are for the familiar errors, and a second wall. Packages that are allowed can do
  whatever the kernel lets them.
- The hash seed of texts is the zygote's, the same in all tasks of one zygote.
"""


def configuration() -> str:
    """The page of all environment variables."""
    exit_codes = rows(("code", "meaning"), *((f"{int(code)}", meaning) for code, meaning in MEANINGS.items()))
    return (
        f"{NOTICE}\n# Configuration\n\nEverything is configured by environment variables. {FILE_RULE}\n\n"
        f"A value that is not allowed ends `n8n-runner start` with a line for each one, and exit code 2.\n\n"
        f"{as_markdown()}\n## Exit codes\n\n{exit_codes}"
    )


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
    return f"{NOTICE}\n# The sandbox\n{SANDBOX.format(layers=layers, modules=modules)}"


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
    "lifecycle.md": lifecycle,
    "counters.md": counters,
    "metrics.md": metrics,
    "deploy/grafana.json": dashboard,
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
