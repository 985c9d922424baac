"""Every block of code in the README and on the pages of the documentation: what it is, and what is said about it.

A block stands between fences, or is indented. What is to be done with it, where that is not plain from its language,
is said by comments before it, which readers of the pages do not see:

    <!-- file: NAME -->     it is a file that commands further down use
    <!-- program: NAME -->  it is a program, which the test of this page runs
    <!-- until: TEXT -->    its last command goes on until it has said this, and is told to stop then
    <!-- run by: PATH -->   a test elsewhere runs it, or holds it against what is true
    <!-- not run: WHY -->   it cannot be run here
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

from tests.support import ROOT

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
    if "_build" not in path.parts
)

MARK = re.compile(r"<!-- (file|program|until|run by|not run|diagram): (.*?) -->")
FENCE = re.compile(r"^(?P<fence>```+|~~~+|:::+)(?P<language>.*)$")
IN_A_LIST = re.compile(r"^(?:[-*]|\d+\.) ")
COMMAND = re.compile(
    r"^(?:[A-Z][A-Z0-9_]*=\S* )*(?:export|cd|make|pip|python3?|n8n-runner|n8n|npm|docker|systemctl)\b|^[~/]"
)


@attrs.frozen
class Block:
    """One block: where it stands, its language, what it holds, and what is said about it."""

    page: str
    line: int
    language: str
    code: str
    marks: dict[str, str]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def text_of(page: str) -> str:
    """What a page holds."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks_of(page: str) -> list[Block]:
    """The blocks of a page."""
    return list(blocks_in(page, text_of(page)))


def blocks_in(page: str, text: str) -> Iterator[Block]:
    """The blocks of a text, in their order. An indented line in a list is a line of the list."""
    lines = text.splitlines()
    number, in_list, marks = 0, False, dict[str, str]()
    while number < len(lines):
        line, first = lines[number], number
        fence = FENCE.match(line)
        if fence or (line.startswith("    ") and not in_list):
            number = _end(lines, number, fence["fence"] if fence else None)
            inner = lines[first + 1 : number - 1] if fence else [each[4:] for each in lines[first:number]]
            code = "\n".join(inner).rstrip() + "\n"
            yield Block(page, first + 1, fence["language"].strip() if fence else _guess(code), code, marks)
            marks = {}
            continue
        if marked := MARK.fullmatch(line):
            marks[marked[1]] = marked[2]
        elif line.strip():
            in_list = bool(IN_A_LIST.match(line)) or (in_list and line.startswith(" "))
            marks = {}
        number += 1


def _end(lines: list[str], begin: int, fence: str | None) -> int:
    """The number of the line behind a block."""
    if fence is not None:
        return next(n for n in range(begin + 1, len(lines)) if lines[n].rstrip() == fence) + 1
    end = begin
    while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
        end += 1
    return end


def _guess(code: str) -> str:
    """The language of an indented block."""
    if code.lstrip().startswith(("[", "{")):
        return "json"
    return "sh" if COMMAND.match(code) else "python"
