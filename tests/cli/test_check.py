"""`n8n-runner check`, run as people run it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from runner.config import TaskRunnerConfig
from runner.errors import SandboxFailed
from runner.execution.sandbox import checking
from runner.execution.sandbox.checking import findings_in
from runner.execution.sandbox.confinement.report import Report, missing
from runner.execution.sandbox.findings import Finding
from tests.support import ROOT, run_command

BAD = """\
import os
word = "äö"; kind = (1).__class__
text = open("x")
class Thing: pass
return []
"""
BYPASS = "is disallowed, because it can be used to bypass security restrictions."


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    file = tmp_path / "bad.py"
    file.write_text(BAD)
    return file


def found(code: str, **settings: Any) -> list[Finding]:
    return findings_in(code, TaskRunnerConfig(auth_token="x", **settings))


def test_code_that_may_run_is_said_to(tmp_path: Path) -> None:
    done = run_command("check", str(ROOT / "docs" / "examples" / "invoices.py"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "Nothing against 1 file.\n", "")


def test_each_finding_has_its_place_and_the_setting_that_would_allow_it(bad: Path) -> None:
    done = run_command("check", "--format", "json", str(bad))
    assert (done.returncode, done.stderr) == (1, "")
    places = [(each["file"], each["line"], each["column"], each["setting"]) for each in json.loads(done.stdout)]
    assert places == [
        (str(bad), 1, 1, "N8N_RUNNERS_STDLIB_ALLOW"),
        (str(bad), 2, 21, "N8N_RUNNERS_LANGUAGE=full"),  # characters, not bytes
        (str(bad), 3, 8, "N8N_RUNNERS_BUILTINS_DENY"),
        (str(bad), 4, 1, "N8N_RUNNERS_BUILTINS_DENY"),
    ]
    assert json.loads(done.stdout)[1]["message"] == f"Access to attribute '__class__' {BYPASS}"


def test_people_are_shown_the_lines_and_how_many_there_were(bad: Path) -> None:
    done = run_command("check", str(bad), str(ROOT / "docs" / "examples" / "invoices.py"))
    assert done.returncode == 1
    block = f"""\
{bad}:2:21: error: Access to attribute '__class__' {BYPASS}
    word = "äö"; kind = (1).__class__
                        ^
    Set N8N_RUNNERS_LANGUAGE=full to allow it.
"""
    assert block in done.stdout
    assert done.stdout.endswith("4 problems in 1 of 2 files.\n")


def test_editors_find_the_places_of_what_compilers_say(bad: Path) -> None:
    lines = run_command("check", "--format", "lines", str(bad)).stdout.splitlines()
    matches = [re.fullmatch(r"(.+):(\d+):(\d+): error: (.+)", line) for line in lines]
    assert [match and (match[1], match[2], match[3]) for match in matches] == [
        (str(bad), "1", "1"),
        (str(bad), "2", "21"),
        (str(bad), "3", "8"),
        (str(bad), "4", "1"),
    ]


def test_github_is_told_in_its_own_words_with_nothing_that_would_break_them(tmp_path: Path) -> None:
    file = tmp_path / "100%, or: so.py"
    file.write_text("from x import (\n")
    done = run_command("check", "--format", "github", str(file))
    shown = str(tmp_path) + "/100%25%2C or%3A so.py"
    assert done.stdout == f"::error file={shown},line=1,col=15,title=n8n-runner check::'(' was never closed\n"


def test_standard_input_is_a_file_too() -> None:
    done = run_command("check", "--format", "lines", "-", stdin="return [")
    assert (done.returncode, done.stdout) == (1, "<stdin>:1:8: error: '[' was never closed\n")


def test_the_rules_are_those_of_the_environment(bad: Path) -> None:
    settings = {"N8N_RUNNERS_STDLIB_ALLOW": "*", "N8N_RUNNERS_LANGUAGE": "full"}
    assert run_command("check", str(bad), env=settings).stdout == "Nothing against 1 file.\n"


def test_a_file_that_cannot_be_read_and_rules_that_make_no_sense_are_no_verdicts(tmp_path: Path, bad: Path) -> None:
    missing_file = run_command("check", str(bad), str(tmp_path / "missing.py"))
    assert (missing_file.returncode, missing_file.stdout) == (2, "")
    assert "missing.py cannot be read: No such file" in missing_file.stderr
    bad_rules = run_command("check", str(bad), env={"N8N_RUNNERS_LANGUAGE": "klingon"})
    assert bad_rules.returncode == 2
    assert "N8N_RUNNERS_LANGUAGE" in bad_rules.stderr


def test_the_code_is_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    code = f"open({str(trace)!r}, 'w').write('x')\nraise SystemExit(3)"
    assert found(code, stdlib_allow={"*"}, builtins_deny=(), language="full") == []
    assert not trace.exists()


@pytest.mark.parametrize(
    ("code", "line", "message"),
    [
        ("x = 1\nif x\n    pass\n", 2, "expected ':'"),
        ("x = 1\ny = '\0'\n", 2, "source code string cannot contain null bytes"),
        ("(" * 100_000, 1, "too many nested parentheses"),
        ("def f():\n    pass\nyield 1\n", 3, "'yield' outside function"),
    ],
)
def test_what_is_not_python_has_its_line_and_the_words_of_python(code: str, line: int, message: str) -> None:
    (finding,) = found(code)
    assert (finding.line, finding.message) == (line, message)


@pytest.mark.parametrize("code", ["x = " + "-" * 1_000_000 + "1", "\ud83d"])
def test_code_that_no_parser_can_take_is_one_finding(code: str) -> None:
    (finding,) = found(code)
    assert finding.message


def test_a_name_of_ones_own_is_no_denied_builtin() -> None:
    taken = "def open(x): return x\nfrom json import loads as vars\nfor dir in []: pass\nreturn [open(1), vars, dir]"
    assert found(taken) == []
    assert [finding.line for finding in found("x = 1\nreturn [vars(x)]")] == [2]


def test_its_process_reaches_nothing_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a parser that has been taken over could do: the script is replaced by one that tries to, after confining."""
    secret = tmp_path / "secret"
    secret.write_text("x")
    source = checking.SCRIPT.read_text(encoding="utf-8")
    hostile = tmp_path / "hostile.py"
    attack = f"    try:\n        open({str(secret)!r}).read()\n    except OSError:\n        os._exit(17)\n"
    head = source.replace("os.path.abspath(__file__)", repr(str(checking.SCRIPT)))
    before, found_at, after = head.partition("    found = findings(")
    assert found_at
    hostile.write_text(before + attack + found_at + after)
    monkeypatch.setattr(checking, "SCRIPT", hostile)
    (finding,) = found("return []")
    assert finding.message == "The code could not be judged: its process ended with code 17"


def test_a_process_that_says_no_verdict_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    liar = tmp_path / "liar.py"
    monkeypatch.setattr(checking, "SCRIPT", liar)
    liar.write_text("print('{}')")
    with pytest.raises(SandboxFailed, match="no verdict"):
        found("return []")
    liar.write_text("print('x' * 10_000_000)")
    (finding,) = found("return []")
    assert "killed" in finding.message
    liar.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)")
    (finding,) = found("return []")
    assert "Python itself crashed on it (SIGSEGV)" in finding.message
    liar.write_text("raise ValueError('out of luck')")
    (finding,) = found("return []")
    assert finding.message.endswith("ended with code 1 (ValueError: out of luck)")


def test_a_code_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sleeper = tmp_path / "sleeper.py"
    sleeper.write_text("import time\ntime.sleep(600)")
    monkeypatch.setattr(checking, "SCRIPT", sleeper)
    monkeypatch.setattr(checking, "PATIENCE", 0.2)
    (finding,) = found("return []")
    assert "killed" in finding.message


def test_where_confinement_is_required_there_is_no_verdict_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = tmp_path / "bare.py"
    report = list(Report([missing("files", "no Landlock")]))
    bare.write_text(f"print({json.dumps({'report': report, 'findings': []})!r})")
    monkeypatch.setattr(checking, "SCRIPT", bare)
    assert found("return []") == []
    with pytest.raises(SandboxFailed, match="files: no Landlock"):
        found("return []", confinement="required")


def test_no_file_steers_the_terminal_of_who_checks_it(tmp_path: Path) -> None:
    file = tmp_path / "hostile.py"
    file.write_text('x = ().__class__, "\x1b]0;owned\x07\u202e"\n', encoding="utf-8")
    for form in ("text", "lines"):
        done = run_command("check", "--format", form, str(file))
        assert done.returncode == 1
        assert not re.search("[\x1b\x07\u202e]", done.stdout)
