"""What `n8n-runner run` gives to the code: a task's settings, and the execution around it."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from runner.broker.local import Binaries, DirectHttp, Execution, LocalNode, LocalService, NoHttp
from runner.cli.files import BadInput, text_of
from runner.clock import SystemClock

MODES = {"all": "runOnceForAllItems", "each": "runOnceForEachItem"}
INPUT = "Input"
"""The name of the node that the items of `--items` come from."""

Item = dict[str, Any]


@attrs.frozen
class Inputs:
    """All that a run needs."""

    settings: dict[str, Any]
    service: LocalService


def configure(parser: argparse.ArgumentParser) -> None:
    """The code, and what it is given."""
    parser.add_argument("file", metavar="FILE", help="the code; - for standard input")
    parser.add_argument("--items", metavar="FILE", help="the items, a JSON file; - for standard input")
    parser.add_argument("--mode", choices=tuple(MODES), default="all", help="once for all items, or for each one")
    parser.add_argument(
        "--query", metavar="TEXT", help="run as an AI tool, with this as `_query` (text or JSON object)"
    )
    parser.add_argument(
        "--continue-on-fail", action="store_true", help="make an item of a failure, as the node's setting"
    )
    around = parser.add_argument_group("what the code finds around it")
    around.add_argument(
        "--node",
        metavar="NAME=FILE",
        action="append",
        default=[],
        help="a node that has run before, with the items of a JSON file: `_(NAME)`. May be given several times, in the "
        "order of the workflow; without --items, the items of the last one are the code's",
    )
    around.add_argument(
        "--binary",
        metavar="NAME=FILE",
        action="append",
        default=[],
        help="a file as binary data of the first item, under this name. In the items themselves, too, binary data may "
        'be a path: {"json": {}, "binary": {"photo": "photo.png"}}, beside the file of the items',
    )
    around.add_argument(
        "--static-data", metavar="FILE", help="the workflow's static data: read if it is there, written when changed"
    )
    around.add_argument("--var", metavar="NAME=VALUE", action="append", default=[], help="a variable: `_vars`")
    around.add_argument(
        "--env",
        metavar="NAME[=VALUE]",
        action="append",
        default=[],
        help="a variable of the environment for `_env`, which is blocked otherwise, as it is in n8n",
    )
    around.add_argument("--no-http", action="store_true", help="refuse the code's HTTP requests; none has credentials")


def gather(arguments: argparse.Namespace) -> Inputs:
    """Read everything that is named on the command line.

    Raises:
        BadInput: something cannot be used.
    """
    if arguments.file == "-" and arguments.items == "-":
        raise BadInput("the code and the items cannot both come from standard input")
    code = text_of(arguments.file)
    name = Path(arguments.file).name
    binaries = Binaries()
    execution = Execution(
        before=_nodes(arguments, name, binaries),
        node_name=name,
        parameters={"mode": MODES[arguments.mode], "language": "pythonNative", "pythonCode": code},
        variables=dict(_pair(each, "--var") for each in arguments.var),
        environment=dict(_variable(each) for each in arguments.env) if arguments.env else None,
        static_data=_static_data(arguments.static_data),
        started_at=SystemClock().wall(),
    )
    settings: dict[str, Any] = {
        "code": code,
        "nodeMode": MODES[arguments.mode],
        "workflowMode": execution.mode,
        "continueOnFail": arguments.continue_on_fail,
        "items": execution.items if arguments.query is None or arguments.items is not None else [],
        "nodeId": execution.node_name,
        "nodeName": execution.node_name,
        "workflowId": execution.workflow_id,
        "workflowName": execution.workflow_name,
    }
    if arguments.query is not None:
        settings["query"] = _query_of(arguments.query)
    http = NoHttp("HTTP requests are switched off by --no-http") if arguments.no_http else DirectHttp()
    return Inputs(settings, LocalService(execution, binaries, http))


# Nodes and their items


def _nodes(arguments: argparse.Namespace, code_name: str, binaries: Binaries) -> Sequence[LocalNode]:
    """The nodes before the code's; the last one's items are what the code is given."""
    nodes = [
        LocalNode(name, _items_of(file, binaries))
        for name, file in (_pair(each, "--node", "a node and a file") for each in arguments.node)
    ]
    if arguments.items is not None:
        nodes.append(LocalNode(INPUT, _items_of(arguments.items, binaries)))
    nodes = nodes or [LocalNode(INPUT)]
    names = [*(node.name for node in nodes), code_name]
    for name in names:
        if names.count(name) > 1:
            raise BadInput(f"there are two nodes called {name!r}")
    if arguments.binary:
        nodes[-1] = LocalNode(nodes[-1].name, _with_files(nodes[-1].items, arguments.binary, binaries))
    return nodes


def _items_of(name: str, binaries: Binaries) -> list[Item]:
    rows = _json_of(name)
    rows = rows if isinstance(rows, list) else [rows]
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            raise BadInput(f"{name}: item {index} is not an object")
    folder = Path() if name == "-" else Path(name).parent
    return [
        {**item, "binary": _binary_of(item["binary"], folder, binaries, f"{name}: item {index}")}
        if isinstance(item.get("binary"), dict)
        else item
        for index, item in enumerate(row if isinstance(row.get("json"), dict) else {"json": row} for row in rows)
    ]


def _binary_of(given: Mapping[str, Any], folder: Path, binaries: Binaries, where: str) -> dict[str, Any]:
    """The binary data of an item; what names a file becomes that file."""
    found: dict[str, Any] = {}
    for name, binary in given.items():
        known = binary if isinstance(binary, dict) else {"path": binary}
        if "path" not in known:
            found[name] = known
        elif not isinstance(known["path"], str):
            raise BadInput(f"{where}: the binary data {name!r} is neither the path of a file nor binary data of n8n's")
        else:
            more = {key: value for key, value in known.items() if key != "path"}
            found[name] = _attached(folder / known["path"], binaries, f"{where}: binary data {name!r}", more)
    return found


def _with_files(items: Sequence[Mapping[str, Any]], given: Sequence[str], binaries: Binaries) -> list[Item]:
    """Items of which the first one has files more."""
    files = {
        name: _attached(Path(file), binaries, "--binary", {})
        for name, file in (_pair(each, "--binary", "a name and a file") for each in given)
    }
    first, *others = (dict(item) for item in items or ({"json": {}},))
    return [{**first, "binary": {**first.get("binary", {}), **files}}, *others]


def _attached(path: Path, binaries: Binaries, where: str, known: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return binaries.attach(path, known)
    except OSError as error:
        raise BadInput(f"{where}: {path} cannot be read: {error.strerror}") from error


# Other arguments


def _pair(text: str, option: str, what: str = "a name and a value") -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise BadInput(f"{option} {text}: {what} are needed, with = between them")
    return name, value


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals and name not in os.environ:
        raise BadInput(f"--env {name}: there is no such variable in the environment; --env {name}=VALUE sets it")
    return name, value if equals else os.environ[name]


def _static_data(name: str | None) -> dict[str, Any]:
    if name is None or not Path(name).exists():
        return {}
    data = _json_of(name)
    if not isinstance(data, dict) or not all(isinstance(part, dict) for part in data.values()):
        raise BadInput(
            f'{name} is no static data, which is an object of objects: {{"global": {{…}}, "node:NAME": {{…}}}}'
        )
    return data


def _query_of(text: str) -> Any:
    """A query as an agent gives it: an object where it is one, else text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, dict) else text


def _json_of(name: str) -> Any:
    try:
        return json.loads(text_of(name), parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise BadInput(f"{name} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{name} is not JSON that can be used: {error}") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
