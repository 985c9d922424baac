"""`n8n-runner doctor`: say what is well and what is not, and what to do about it."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
import textwrap

from runner.cli.exit_codes import ExitCode
from runner.diagnosis.checks import Check, examine
from runner.diagnosis.finding import Finding, Verdict

DESCRIPTION = """\
Look at everything that a runner with this environment needs: Python, what is installed, the configuration and where
each value came from, the kernel, the task broker, the credential. Call it with the environment that the runner has, in
the same container or service. It says what to do about each problem, shows no secret, and changes nothing; a grant
token is not tried, since it would be spent.

Exit code 0 says that there are no problems, 1 that there are; a warning is no problem."""

COLOURS = {Verdict.OK: "32", Verdict.WARNING: "33", Verdict.PROBLEM: "1;31"}
WIDTH = 120


def configure(parser: argparse.ArgumentParser) -> None:
    """The form of what is said."""
    parser.add_argument("--json", action="store_true", help="one JSON object, with a list of all findings")


def execute(arguments: argparse.Namespace) -> int:
    """Examine, and tell."""
    logging.disable(logging.CRITICAL)  # whatever the parts would log is among the findings
    worst = asyncio.run(_tell(as_json=arguments.json))
    return ExitCode.FAILED if worst is Verdict.PROBLEM else ExitCode.OK


async def _tell(*, as_json: bool) -> Verdict:
    """Tell each finding when it is there, or all of them at the end. Returns the worst verdict."""
    all_of_them: list[tuple[Check, Finding]] = []
    async for check, findings in examine(os.environ):
        all_of_them += [(check, finding) for finding in findings]
        if not as_json:
            for finding in findings:
                print(_line(check, finding), flush=True)
    counts = {verdict: sum(finding.verdict is verdict for _, finding in all_of_them) for verdict in Verdict}
    worst = [verdict for verdict in Verdict if counts[verdict]][-1]
    if as_json:
        listed = [
            {"check": check.name, "verdict": finding.verdict.value, "text": finding.text, "advice": finding.advice}
            for check, finding in all_of_them
        ]
        print(json.dumps({"verdict": worst.value, "findings": listed}, indent=2))
    else:
        print(f"\n{counts[Verdict.PROBLEM]} problems, {counts[Verdict.WARNING]} warnings, {counts[Verdict.OK]} ok")
    return worst


def _line(check: Check, finding: Finding) -> str:
    head = f"{finding.verdict.value:8}{check.name:15}"
    lines = [_coloured(head, finding.verdict) + _one_line(finding.text)]
    if finding.advice:
        indent = " " * len(head)
        lines += textwrap.wrap(f"-> {finding.advice}", WIDTH, initial_indent=indent, subsequent_indent=f"{indent}   ")
    return "\n".join(lines)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _coloured(text: str, verdict: Verdict) -> str:
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{COLOURS[verdict]}m{text}\x1b[0m"
