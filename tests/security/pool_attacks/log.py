# ruff: noqa: E501 - the code of Code nodes

"""Attacks on the runner's log: lines that are forged, and more of them than anybody can read."""

from __future__ import annotations

FORGED = "2026-01-01 00:00:00,000\tINFO\tforged by a task"

LOG: dict[str, str] = {
    "a print with a line break": f"print({'x' + chr(10) + FORGED!r})",
    "a print that returns to the start of the line": f"print({'x' + chr(13) + FORGED!r})",
    "a print with every other line break": f"for c in '\\x0b\\x0c\\x1c\\x1d\\x1e\\x85\\u2028\\u2029': print('x' + c + {FORGED!r})",
    "a print that clears the line": f"print('\\x1b[2K\\x1b[1G' + {FORGED!r}, '\\x9b2K', '\\x08' * 100)",
    "a print in an object": f"print({{'a': {chr(10) + FORGED!r}}}, [{chr(10) + FORGED!r}])",
    "a print with an end": f"print('x', end={chr(10) + FORGED!r})",
    "a print of half an emoji": "print('\\ud83d', '\\udcff')",
    "an error with a line break": f"raise ValueError({'x' + chr(10) + FORGED!r})",
    "an error with a name of its own": f"E = type({'E' + chr(10) + FORGED!r}, (Exception,), {{}})\nraise E('x')",
    "an error with a description": f"e = ValueError('x')\ne.description = {chr(10) + FORGED!r}\nraise e",
    "an exit with a text": f"raise SystemExit({chr(10) + FORGED!r})",
    "its standard error": f"import os, sys\nsys.stderr.write({chr(10) + FORGED + chr(10)!r})\nsys.stderr.flush()\nos._exit(3)",
    "its standard output": f"import os\nos.write(1, {(chr(10) + FORGED + chr(10)).encode()!r})\nos._exit(3)",
    "a warning": f"import warnings\nwarnings.warn({chr(10) + FORGED!r})",
    "an error that it sends itself": (
        "import json, os, struct, time\n"
        f"document = json.dumps({{'message': {chr(10) + FORGED!r}}}).encode()\n"
        "os.write(3, struct.pack('!BI', 4, len(document)) + document)\ntime.sleep(0.2)"
    ),
    "a print that it sends itself": (
        "import json, os, struct\n"
        f"document = json.dumps([{chr(10) + FORGED!r}]).encode()\n"
        "os.write(3, struct.pack('!BI', 2, len(document)) + document)"
    ),
    "an error without end": "raise ValueError('x' * 50_000_000)",
    "more prints than there may be": "for n in range(20000): print(n)",
}
"""The code of Code nodes; each would write `FORGED` at the start of a line, or a very long line, or very many."""

LARGE_PRINTS = "for n in range(300): print('x' * 100_000)"
"""30 MB. All prints that are allowed make three times as much, and a task that sends them itself, a gigabyte."""
