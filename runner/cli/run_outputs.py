"""What `n8n-runner run` shows and writes of what the code has come to."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import attrs
from msgspec import Raw

from runner.broker import EndOfTask
from runner.broker.local import Binaries
from runner.broker.service import CallFailed
from runner.cli.files import BadInput

HINTS = {
    "Referenced node doesn't exist": "--node NAME=FILE is a node that has run before, with the items of a file",
    "access to env vars denied": "--env NAME passes a variable of the environment on",
}
"""What helps here against errors that the code gets from n8n."""


@attrs.frozen
class Report:
    """What came of a run.

    Parameters:
        path: the states that the connection went through.
        files: what was written of the result's binary data.
    """

    end: EndOfTask
    prints: list[list[Any]]
    path: tuple[str, ...]
    files: list[str] = attrs.field(factory=list)

    @property
    def result(self) -> Any:
        """The items, or the answer of a tool; None when the code failed."""
        return _value(self.end.result)

    @property
    def custom_data(self) -> Any:
        """What the code has noted about its execution, if anything."""
        return _value(self.end.custom_data)

    @property
    def static_data(self) -> Any:
        """The workflow's static data, if the code has changed it."""
        return _value(self.end.static_data)


def configure(parser: argparse.ArgumentParser) -> None:
    """How it is shown, and what is written."""
    shown = parser.add_argument_group("what comes of it")
    shown.add_argument("--binary-out", metavar="DIR", help="write the binary data of the resulting items into DIR")
    shown.add_argument(
        "--json",
        action="store_true",
        help="one JSON object on standard output: result, prints, error, connection, customData, staticData, files",
    )
    shown.add_argument("--path", action="store_true", help="also show the states that the connection went through")
    shown.add_argument("-v", "--verbose", action="store_true", help="show the runner's log")


def save(report: Report, arguments: argparse.Namespace, binaries: Binaries) -> None:
    """Write what was asked for into files.

    Raises:
        BadInput: it cannot be written there.
    """
    try:
        if arguments.static_data is not None and report.static_data is not None:
            Path(arguments.static_data).write_text(json.dumps(report.static_data, indent=2) + "\n", encoding="utf-8")
        if arguments.binary_out is not None:
            _write_binaries(report, Path(arguments.binary_out), binaries)
    except OSError as error:
        raise BadInput(f"{error.filename} cannot be written: {error.strerror}") from error


def _write_binaries(report: Report, folder: Path, binaries: Binaries) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    for name, binary in _binaries_in(report.result):
        try:
            content = binaries.content(binary)
        except CallFailed as failure:
            print(f"binary data {name!r} is not written: {failure}", file=sys.stderr)
            continue
        target = folder / _free_name(_file_name(name, binary), taken)
        target.write_bytes(content)
        report.files.append(str(target))


def _binaries_in(result: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The binary data of items, each with its name."""
    for item in result if isinstance(result, list) else ():
        binary = item.get("binary")
        for name, data in binary.items() if isinstance(binary, dict) else ():
            if isinstance(data, dict):
                yield name, data


def _file_name(name: str, binary: Mapping[str, Any]) -> str:
    """What a file is called: the last part of its own name, whatever stands before it, or else of the name it has."""
    for candidate in (str(binary.get("fileName") or ""), f"{name}.{binary.get('fileExtension') or 'bin'}"):
        last = PurePosixPath(candidate.replace("\0", "")).name
        if last not in {"", ".."}:
            return last
    return "binary"


def _free_name(name: str, taken: set[str]) -> str:
    """The name, with a number if there was one like it before."""
    path = PurePosixPath(name)
    names = itertools.chain((name,), (f"{path.stem}-{number}{path.suffix}" for number in itertools.count(2)))
    free = next(candidate for candidate in names if candidate not in taken)
    taken.add(free)
    return free


def show(report: Report, arguments: argparse.Namespace) -> None:
    """Show it as it was asked for."""
    if arguments.json:
        _show_as_json(report)
    else:
        _show(report, arguments)


def _show_as_json(report: Report) -> None:
    document = {
        "result": report.result,
        "prints": report.prints,
        "error": report.end.error,
        "connection": list(report.path),
        "customData": report.custom_data,
        "staticData": report.static_data,
        "files": report.files,
    }
    print(json.dumps(document, indent=2))


def _show(report: Report, arguments: argparse.Namespace) -> None:
    if report.end.error is None:
        print(json.dumps(report.result, indent=2))
        sys.stdout.flush()
    else:
        _show_error(report.end.error, arguments.file)
    if report.custom_data is not None:
        print(f"custom data: {json.dumps(report.custom_data)}", file=sys.stderr)
    if report.static_data is not None:
        kept = f"written to {arguments.static_data}" if arguments.static_data else json.dumps(report.static_data)
        print(f"static data: {kept}", file=sys.stderr)
    for file in report.files:
        print(f"written: {file}", file=sys.stderr)
    if arguments.path:
        print("connection: " + " -> ".join(report.path), file=sys.stderr)


def _show_error(error: Mapping[str, Any], file: str) -> None:
    line = error.get("lineNumber")
    where = file if line is None else f"{file}:{line}"
    print(f"{where}: error: {error.get('message')}", file=sys.stderr)
    for text in str(error.get("description") or "").splitlines():
        print(f"    {text}", file=sys.stderr)
    if error.get("message") in HINTS:
        print(f"    {HINTS[error['message']]}", file=sys.stderr)


def _value(document: Raw | None) -> Any:
    return None if document is None else json.loads(bytes(document))
