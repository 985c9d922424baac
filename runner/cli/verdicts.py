"""What `n8n-runner check` has found, in forms for people, editors, scripts and GitHub."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import attrs

from runner.execution.sandbox.findings import Finding
from runner.observe.logs import harmless

Form = Callable[[Sequence["Checked"]], str]


@attrs.frozen
class Checked:
    """A code, and all that was found in it."""

    name: str
    text: str
    findings: tuple[Finding, ...]


def as_text(codes: Sequence[Checked]) -> str:
    """For people: each finding with its line, and a count at the end."""
    blocks = [_block(code, finding) for code in codes for finding in code.findings]
    count, bad = len(blocks), sum(1 for code in codes if code.findings)
    if not count:
        return f"Nothing against {_counted(len(codes), 'file')}.\n"
    return "\n".join([*blocks, f"{_counted(count, 'problem')} in {bad} of {_counted(len(codes), 'file')}.\n"])


def _block(code: Checked, finding: Finding) -> str:
    lines = code.text.splitlines()
    parts = [_line(code, finding)]
    if 0 < finding.line <= len(lines):
        source = lines[finding.line - 1]
        parts.append(f"    {_shown(source.rstrip())}")
        if finding.column:
            before = "".join("\t" if character == "\t" else " " for character in source[: finding.column - 1])
            parts.append(f"    {before}^")
    if finding.setting:
        parts.append(f"    {advice(finding)}")
    return "\n".join(parts) + "\n"


def advice(finding: Finding) -> str:
    """What would allow what was found."""
    return f"Set {finding.setting} to allow it." if "=" in finding.setting else f"{finding.setting} decides about it."


def as_lines(codes: Sequence[Checked]) -> str:
    """For editors: a line each, in the form that compilers have made common."""
    return "".join(f"{_line(code, finding)}\n" for code in codes for finding in code.findings)


def _line(code: Checked, finding: Finding) -> str:
    where = [code.name, *(str(number) for number in (finding.line, finding.column) if number)]
    return _shown(f"{':'.join(where)}: error: {_one_line(finding.message)}")


def as_json(codes: Sequence[Checked]) -> str:
    """For scripts: a list with an object each; line and column are null where they are not known."""
    found = [
        {
            "file": code.name,
            "line": finding.line or None,
            "column": finding.column or None,
            "message": finding.message,
            "setting": finding.setting or None,
        }
        for code in codes
        for finding in code.findings
    ]
    return json.dumps(found, indent=2) + "\n"


def as_github(codes: Sequence[Checked]) -> str:
    """For the log of a GitHub workflow, which shows them beside the lines of a pull request."""
    return "".join(f"{_command(code, finding)}\n" for code in codes for finding in code.findings)


def _command(code: Checked, finding: Finding) -> str:
    given = {"file": code.name, "line": finding.line, "col": finding.column, "title": "n8n-runner check"}
    properties = ",".join(f"{name}={_property(str(value))}" for name, value in given.items() if value)
    return f"::error {properties}::{_data(finding.message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _shown(text: str) -> str:
    """Others' text for a terminal, which nothing in it may steer; tabs are left, as the mark below counts on them."""
    return "\t".join(map(harmless, text.split("\t")))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


FORMS: dict[str, Form] = {"text": as_text, "lines": as_lines, "json": as_json, "github": as_github}
"""The forms by name."""
