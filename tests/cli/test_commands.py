"""The command line, run as people run it: in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner.broker import EmbeddedBroker
from runner.config import variables
from statemachine import CONNECTION, TASK
from tests.support import AUTH_TOKEN, ROOT, children_of, code_settings, eventually, result_of, run_code, run_command

EXAMPLES = ROOT / "docs" / "examples"


@pytest.fixture
def code(tmp_path: Path) -> Path:
    return tmp_path / "code.py"


# run


def test_run_prints_the_items_on_stdout_and_everything_else_on_stderr() -> None:
    done = run_command("run", str(EXAMPLES / "invoices.py"), "--items", str(EXAMPLES / "invoices.json"), "--path")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        {"json": {"customer": "Ada", "total": 140.49}},
        {"json": {"customer": "Grace", "total": 80.0}},
    ]
    assert done.stderr.splitlines() == [
        "print: 'customers:' 2",
        "connection: disconnected -> connecting -> authenticated -> listening -> shutting_down -> disconnected",
    ]


def test_run_reports_a_failure_with_file_and_line_and_exit_code_1(code: Path) -> None:
    code.write_text("x = 1\n\ndef divide(y):\n    return x / y\n\nprint('before')\nreturn divide(0)\n")
    done = run_command("run", str(code))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "print: 'before'",
        f"{code}:4: error: division by zero",
        "    Line 7: return divide(0)",
        "    Line 4, in divide: return x / y",
        "    ZeroDivisionError: division by zero",
    ]


def test_run_reports_a_syntax_error_with_its_line(code: Path) -> None:
    code.write_text("x = 1\nif x\n    pass\n")
    done = run_command("run", str(code))
    assert done.returncode == 1
    assert f"{code}:2: error: expected ':'" in done.stderr


def test_run_in_each_mode_with_bare_rows(code: Path, tmp_path: Path) -> None:
    items = tmp_path / "rows.json"
    items.write_text('[{"n": 1}, {"json": {"n": 2}}]')
    code.write_text("return {'n': _item['json']['n'] * 10}")
    done = run_command("run", str(code), "--items", str(items), "--mode", "each")
    assert json.loads(done.stdout) == [
        {"json": {"n": 10}, "pairedItem": {"item": 0}},
        {"json": {"n": 20}, "pairedItem": {"item": 1}},
    ]


@pytest.mark.parametrize(("query", "answer"), [("plain text", "plain text!"), ('{"a": 1}', '{"a":1}')])
def test_run_as_a_tool(code: Path, query: str, answer: str) -> None:
    code.write_text("return _query + '!' if isinstance(_query, str) else _query")
    done = run_command("run", str(code), "--query", query)
    assert json.loads(done.stdout) == answer


def test_run_as_json_says_everything_in_one_object(code: Path) -> None:
    code.write_text("print('a', 1)\nreturn {'n': 1}")
    done = run_command("run", str(code), "--json")
    document = json.loads(done.stdout)
    assert done.stderr == ""
    assert document["result"] == [{"json": {"n": 1}}]
    assert document["prints"] == [["'a'", "1"]]
    assert document["error"] is None
    assert document["connection"][0] == document["connection"][-1] == "disconnected"
    code.write_text("1/0")
    done = run_command("run", str(code), "--json")
    assert (done.returncode, json.loads(done.stdout)["error"]["lineNumber"]) == (1, 1)


def test_run_reads_code_and_items_from_standard_input(code: Path, tmp_path: Path) -> None:
    done = run_command("run", "-", stdin="return {'from': 'stdin'}")
    assert json.loads(done.stdout) == [{"json": {"from": "stdin"}}]
    code.write_text("return _items")
    done = run_command("run", str(code), "--items", "-", stdin='{"one": "object"}')
    assert json.loads(done.stdout) == [{"json": {"one": "object"}, "pairedItem": {"item": 0}}]


@pytest.mark.parametrize(
    ("items", "complaint"),
    [
        ("[1]", "item 0 is not an object"),
        ("[{}, null]", "item 1 is not an object"),
        ('[{"a": NaN}]', "NaN is not JSON"),
        ('[{"a": 1},\n {"b": }]', "line 2, column 8"),
        ("", "line 1, column 1"),
    ],
)
def test_run_explains_items_that_cannot_be_used(code: Path, tmp_path: Path, items: str, complaint: str) -> None:
    code.write_text("return _items")
    path = tmp_path / "items.json"
    path.write_text(items)
    done = run_command("run", str(code), "--items", str(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert str(path) in done.stderr
    assert complaint in done.stderr


def test_run_explains_files_that_cannot_be_read(tmp_path: Path) -> None:
    latin = tmp_path / "latin.py"
    latin.write_bytes("return 'ä'".encode("latin-1"))
    assert "No such file" in run_command("run", str(tmp_path / "missing.py")).stderr
    assert "Is a directory" in run_command("run", str(tmp_path)).stderr
    assert "not UTF-8" in run_command("run", str(latin)).stderr
    assert "cannot both" in run_command("run", "-", "--items", "-").stderr


def test_run_keeps_to_the_task_timeout_of_the_environment(code: Path) -> None:
    code.write_text("import time\ntime.sleep(60)")
    done = run_command("run", str(code), env={"N8N_RUNNERS_TASK_TIMEOUT": "0.3"})
    assert (done.returncode, "timed out after 0.3 seconds" in done.stderr) == (1, True)


def test_run_ignores_the_credentials_and_the_broker_of_the_environment(code: Path) -> None:
    code.write_text("return []")
    environment = {
        "N8N_RUNNERS_GRANT_TOKEN": "somebody's",
        "N8N_RUNNERS_TASK_BROKER_URI": "http://127.0.0.1:1",
        "N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT": "1",
    }
    assert run_command("run", str(code), env=environment).returncode == 0


def test_run_shows_nothing_of_its_progress_when_nobody_watches(code: Path) -> None:
    code.write_text("import time\ntime.sleep(1)\nreturn []")
    assert run_command("run", str(code)).stderr == ""


def test_run_keeps_a_large_result_whole(code: Path) -> None:
    code.write_text("return [{'text': 'ä' * 1_000_000} for _ in range(5)]")
    done = run_command("run", str(code))
    assert [len(item["json"]["text"]) for item in json.loads(done.stdout)] == [1_000_000] * 5


# diagram


@pytest.mark.parametrize("table", [CONNECTION, TASK], ids=lambda table: table.name)
@pytest.mark.parametrize("form", ["mermaid", "dot", "json", pytest.param("svg", marks=pytest.mark.needs("dot"))])
def test_diagram_shows_every_state(table: object, form: str, tmp_path: Path) -> None:
    assert table in (CONNECTION, TASK)
    name = CONNECTION.name if table is CONNECTION else TASK.name
    states = [row.state.value for row in (CONNECTION.states if table is CONNECTION else TASK.states)]
    printed = run_command("diagram", name, "--format", form)
    assert printed.returncode == 0, printed.stderr
    assert [state for state in states if state not in printed.stdout] == []
    target = tmp_path / "picture"
    run_command("diagram", name, "--format", form, "-o", str(target))
    assert target.read_text() == printed.stdout


def test_diagram_draws_the_connection_as_mermaid_unless_told_otherwise() -> None:
    assert run_command("diagram").stdout.startswith("stateDiagram-v2\n")


def test_diagram_without_graphviz_names_the_forms_that_work() -> None:
    done = run_command("diagram", "--format", "svg", env={"PATH": str(Path(sys.executable).parent)})
    assert done.returncode == 2
    assert "graphviz" in done.stderr
    assert "mermaid, dot or json" in done.stderr


def test_diagram_says_where_it_could_not_write(tmp_path: Path) -> None:
    done = run_command("diagram", "-o", str(tmp_path / "no" / "folder"))
    assert (done.returncode, "cannot be written: No such file" in done.stderr) == (2, True)


@pytest.mark.parametrize("arguments", [("diagram",), ("diagram", "--format", "json")])
def test_a_reader_that_goes_away_early_is_no_error_worth_a_word(arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "runner", *arguments], stdout=writing, stderr=subprocess.PIPE, cwd=ROOT, check=False
    )
    os.close(writing)
    assert (done.stderr, done.returncode) == (b"", 1)


# help


def test_help_names_all_commands_and_exit_codes() -> None:
    done = run_command("--help")
    assert done.returncode == 0
    assert [word for word in ("start", "run", "diagram", "exit codes") if word not in done.stdout] == []


def test_the_help_of_start_has_every_variable() -> None:
    text = run_command("start", "--help").stdout
    assert [variable.name for _, variable in variables() if variable.name not in text] == []


def test_version_and_bad_arguments() -> None:
    assert run_command("--version").stdout.startswith("n8n-runner 0.")
    for arguments in ([], ["fly"], ["run"], ["diagram", "weather"], ["diagram", "--format", "gif"]):
        assert run_command(*arguments).returncode == 2


# start


def start_command(broker: EmbeddedBroker | None = None, **env: str) -> subprocess.Popen[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **env}
    if broker is not None:
        environment["N8N_RUNNERS_TASK_BROKER_URI"] = broker.uri
    return subprocess.Popen(
        [sys.executable, "-m", "runner", "start"],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_start_reports_bad_configuration_all_at_once_and_exits_with_2() -> None:
    done = run_command("start", env={"N8N_RUNNERS_TASK_TIMEOUT": "0", "N8N_RUNNERS_MAX_CONCURRENCY": "many"})
    assert (done.returncode, done.stdout) == (2, "")
    assert [
        name
        for name in ("N8N_RUNNERS_TASK_TIMEOUT", "N8N_RUNNERS_MAX_CONCURRENCY", "N8N_RUNNERS_GRANT_TOKEN is required")
        if name not in done.stderr
    ] == []


async def test_start_with_an_auth_token_runs_tasks_and_ends_on_sigterm(broker: EmbeddedBroker) -> None:
    process = start_command(broker, N8N_RUNNERS_AUTH_TOKEN=AUTH_TOKEN)
    try:
        end = await run_code(broker, "print('hello')\nreturn [{'doubled': _items[0]['json']['n'] * 2}]")
        assert result_of(end) == [{"json": {"doubled": 42}}]
    finally:
        process.terminate()
    await eventually(lambda: process.poll() is not None)
    output, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    lines = [line.split("\t", 2)[2] for line in output.splitlines()]
    for beginning in (
        "Connected to broker",
        "Registered with broker",
        "Accepted task ",
        "[user code] 'hello'",
        "Completed task ",
        "Received SIGTERM signal, starting shutdown...",
        "Disconnected from broker",
        "Runner stopped",
    ):
        assert any(line.startswith(beginning) for line in lines), (beginning, lines)
    assert AUTH_TOKEN not in output


async def test_start_with_a_grant_token_from_a_file(broker: EmbeddedBroker, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(broker.grant_token() + "\n")
    process = start_command(broker, N8N_RUNNERS_GRANT_TOKEN_FILE=str(token))
    try:
        assert result_of(await run_code(broker, "return {}")) == [{"json": {}}]
    finally:
        process.terminate()
        process.communicate()
    assert process.returncode == 0


async def test_start_with_a_refused_token_says_so_and_exits_with_3(broker: EmbeddedBroker) -> None:
    process = start_command(broker, N8N_RUNNERS_GRANT_TOKEN="never-issued")
    await eventually(lambda: process.poll() is not None)
    output, _ = process.communicate()
    assert process.returncode == 3
    assert "Authentication failed with status 403" in output
    assert "never-issued" not in output


async def test_start_lets_a_task_finish_after_a_signal(broker: EmbeddedBroker) -> None:
    process = start_command(broker, N8N_RUNNERS_AUTH_TOKEN=AUTH_TOKEN)
    task = broker.request(code_settings("print('on')\nimport time\ntime.sleep(0.5)\nreturn {'kept': 1}"))
    await eventually(lambda: task.prints)
    process.send_signal(signal.SIGINT)
    assert result_of(await task.end()) == [{"json": {"kept": 1}}]
    await eventually(lambda: process.poll() is not None)
    process.communicate()
    assert process.returncode == 0


@pytest.mark.needs("proc")
async def test_a_second_signal_ends_it_at_once_and_leaves_nothing_behind(broker: EmbeddedBroker) -> None:
    process = start_command(broker, N8N_RUNNERS_AUTH_TOKEN=AUTH_TOKEN)
    task = broker.request(code_settings("print('on')\nimport time\ntime.sleep(600)"))
    await eventually(lambda: task.prints)
    (worker,) = children_of(process.pid)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    await eventually(lambda: process.poll() is not None, within=5)
    output, _ = process.communicate()
    assert process.returncode == 130, output
    assert not Path(f"/proc/{worker}").exists()


async def test_start_survives_a_restart_of_its_broker() -> None:
    broker = EmbeddedBroker(AUTH_TOKEN)
    async with broker:
        process = start_command(broker, N8N_RUNNERS_AUTH_TOKEN=AUTH_TOKEN)
        await run_code(broker, "return {}")
    async with broker:
        try:
            assert result_of(await run_code(broker, "return {'back': 1}")) == [{"json": {"back": 1}}]
        finally:
            process.terminate()
            process.communicate()
    assert broker.violations == []
