"""`n8n-runner doctor`, run as people run it: against real brokers, and where everything is broken."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from runner.broker import EmbeddedBroker
from runner.connection.probe import ask, try_addresses
from runner.diagnosis.checks import CHECKS, Check, _made
from runner.diagnosis.finding import Finding, Situation, Verdict
from runner.diagnosis.limits import limits
from runner.diagnosis.machine import names
from runner.diagnosis.settings import configuration
from runner.execution.sandbox.confinement.layers import LAYERS
from tests.support import AUTH_TOKEN, ROOT, run_command

pytestmark = pytest.mark.needs("proc")

NOWHERE = "http://127.0.0.1:1"


async def doctor(env: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, while the loop of this test goes on: a broker of the test has to answer it."""

    return await asyncio.to_thread(run_command, "doctor", *arguments, env=env)


async def diagnosis(env: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    """All findings by check."""
    done = await doctor(env, "--json")
    document = json.loads(done.stdout)
    assert done.returncode == (1 if document["verdict"] == "problem" else 0), done.stderr
    found: dict[str, list[dict[str, Any]]] = {check.name: [] for check in CHECKS}
    for finding in document["findings"]:
        found[finding["check"]].append(finding)
    return found


def of(broker: EmbeddedBroker, **more: str) -> dict[str, str]:
    return {"N8N_RUNNERS_TASK_BROKER_URI": broker.uri, "N8N_RUNNERS_AUTH_TOKEN": AUTH_TOKEN, **more}


def verdicts(findings: list[dict[str, Any]]) -> set[str]:
    return {finding["verdict"] for finding in findings}


# All is well


async def test_where_all_is_well_it_says_so_of_every_check(broker: EmbeddedBroker) -> None:
    done = await doctor(of(broker))
    assert done.returncode == 0, done.stdout
    assert done.stderr == ""
    assert [check.name for check in CHECKS if not re.search(rf"^\w+ +{check.name} ", done.stdout, re.MULTILINE)] == []
    assert re.search(r"^0 problems, \d+ warnings, \d+ ok$", done.stdout, re.MULTILINE)
    assert re.search(r"^ok +broker +127\.0\.0\.1:\d+ answers$", done.stdout, re.MULTILINE)
    assert re.search(r"^ok +token +the broker takes it", done.stdout, re.MULTILINE)
    assert re.search(r"^ok +task +one ran, in [\d.]+ ms$", done.stdout, re.MULTILINE)
    assert broker.rules.runner_ids == [], "it does not register"
    assert AUTH_TOKEN not in done.stdout


async def test_every_layer_of_the_confinement_has_a_line(broker: EmbeddedBroker) -> None:

    text = (await doctor(of(broker))).stdout
    lines = [line.split(maxsplit=2)[2] for line in text.splitlines() if line[8:19] == "confinement"]
    assert [layer.name for layer in LAYERS if not any(line.startswith(layer.name) for line in lines)] == []


async def test_a_packages_version_is_told_and_a_missing_one_is_a_problem_with_its_cure() -> None:
    found = await diagnosis({"N8N_RUNNERS_EXTERNAL_ALLOW": "attrs,attr,not_there", "N8N_RUNNERS_STDLIB_ALLOW": "nope"})
    texts = {finding["text"]: finding for finding in found["packages"]}
    assert any(re.fullmatch(r"attr, of attrs [\d.]+", text) for text in texts)
    assert texts["not_there is not installed"]["advice"].endswith("-m pip install not_there")
    assert texts["nope is no module of Python's standard library"]["verdict"] == "warning"


# The credential


async def test_a_wrong_token_is_a_problem_that_names_the_variable(broker: EmbeddedBroker) -> None:
    found = await diagnosis(of(broker, N8N_RUNNERS_AUTH_TOKEN="wrong-secret"))
    (finding,) = found["token"]
    assert (finding["verdict"], "refuses N8N_RUNNERS_AUTH_TOKEN" in finding["text"]) == ("problem", True)
    assert "wrong-secret" not in json.dumps(found)


async def test_a_grant_token_is_not_spent(broker: EmbeddedBroker) -> None:
    token = broker.grant_token()
    found = await diagnosis({"N8N_RUNNERS_TASK_BROKER_URI": broker.uri, "N8N_RUNNERS_GRANT_TOKEN": token})
    assert verdicts(found["credential"]) == {"warning"}
    assert "would be spent" in found["token"][0]["text"]
    again = await diagnosis({"N8N_RUNNERS_TASK_BROKER_URI": broker.uri, "N8N_RUNNERS_GRANT_TOKEN": token})
    assert token not in json.dumps([found, again])
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", "start"],
        env={
            "PATH": os.environ["PATH"],
            "N8N_RUNNERS_TASK_BROKER_URI": broker.uri,
            "N8N_RUNNERS_GRANT_TOKEN": token,
        },
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None

    while "Registered with broker" not in (line := await asyncio.to_thread(process.stdout.readline)):
        assert line, "it ended before it had registered"
    process.terminate()
    process.communicate()


# The configuration


async def test_each_value_is_told_with_where_it_came_from_and_secrets_are_not(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("the-secret-itself\n")
    environment = {
        "N8N_RUNNERS_AUTH_TOKEN_FILE": str(secret),
        "N8N_RUNNERS_TASK_TIMEOUT": "30",
        "N8N_RUNNERS_BROKER_PORT": "5679",
        "N8N_RUNNERS_MAX_CONCURENCY": "7",
        "N8N_RUNNERS_LANGUAGE": "klingon",
        "N8N_RUNNERS_TASK_BROKER_URI": NOWHERE,
    }
    findings = await configuration(Situation(environment))
    texts = [finding.text for finding in findings]
    assert f"N8N_RUNNERS_AUTH_TOKEN = (not shown), from the file {secret}" in texts
    assert "N8N_RUNNERS_TASK_TIMEOUT = 30, from the environment" in texts
    assert "N8N_RUNNERS_BROKER_PORT is for n8n: it has no effect on a runner" in texts
    by_text = {finding.text: finding for finding in findings}
    typo = by_text["N8N_RUNNERS_MAX_CONCURENCY is not a variable that anybody knows"]
    assert (typo.verdict, typo.advice) == (Verdict.WARNING, "Did you mean N8N_RUNNERS_MAX_CONCURRENCY?")
    (bad,) = [finding for finding in findings if finding.verdict is Verdict.PROBLEM]
    assert "N8N_RUNNERS_LANGUAGE is 'klingon'" in bad.text
    assert "the-secret-itself" not in (await doctor(environment)).stdout


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("N8N_RUNNERS_TASK_TIMEOUT", "301", "gives a task up"),
        ("N8N_RUNNERS_HEARTBEAT_INTERVAL", "61", "noticed late"),
        ("N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT", "15", "ends after a while"),
        ("N8N_RUNNERS_MAX_CONCURRENCY", "9999", "more than eight tasks"),
        ("N8N_RUNNERS_TASK_MEMORY_LIMIT", "1048576", "may take more than"),
    ],
)
async def test_limits_that_do_not_suit_are_warned_of(variable: str, value: str, said: str) -> None:
    def warnings(findings: list[Finding]) -> list[str]:
        return [finding.text for finding in findings if finding.verdict is Verdict.WARNING]

    modest = {"N8N_RUNNERS_MAX_CONCURRENCY": "1", "N8N_RUNNERS_TASK_MEMORY_LIMIT": "64"}
    assert warnings(await limits(Situation(modest))) == []
    assert any(said in text for text in warnings(await limits(Situation({**modest, variable: value}))))


# The broker


async def test_every_address_of_a_name_is_tried(broker: EmbeddedBroker) -> None:
    port = broker.uri.rpartition(":")[2]
    attempts = {attempt.address: attempt.error for attempt in await try_addresses(f"http://localhost:{port}")}
    assert attempts[f"127.0.0.1:{port}"] == ""
    others = [error for address, error in attempts.items() if address != f"127.0.0.1:{port}"]
    assert all(others), "the broker listens on no other address"


@pytest.mark.parametrize(
    ("uri", "said"),
    [(NOWHERE, "127.0.0.1:1: Connection refused"), ("http://no-such-host.invalid:5679", "cannot be resolved")],
)
async def test_a_broker_that_is_not_there_is_a_problem_that_says_what_n8n_needs(uri: str, said: str) -> None:
    found = await diagnosis({"N8N_RUNNERS_TASK_BROKER_URI": uri, "N8N_RUNNERS_AUTH_TOKEN": "x"})
    assert said in found["broker"][0]["text"]
    assert "N8N_RUNNERS_MODE=external" in found["broker"][0]["advice"]
    assert (verdicts(found["clock"]), verdicts(found["token"])) == ({"warning"}, {"problem"})


@pytest.mark.parametrize(("offset", "verdict"), [(0, "ok"), (3600, "warning"), (-60, "warning"), (None, "ok")])
async def test_the_clocks_are_compared(offset: int | None, verdict: str) -> None:

    async def answer(_: web.Request) -> web.Response:
        dated = {} if offset is None else {"Date": formatdate(time.time() + offset, usegmt=True)}
        response = web.Response(text="ok", headers=dated)
        if offset is None:
            response.headers["Date"] = "nonsense"
        return response

    app = web.Application()
    app.router.add_get("/healthz", answer)
    site = web.AppRunner(app)
    await site.setup()
    try:
        listening = web.TCPSite(site, "127.0.0.1", 0)
        await listening.start()
        port = site.addresses[0][1]
        found = await diagnosis({"N8N_RUNNERS_TASK_BROKER_URI": f"http://127.0.0.1:{port}"})
        assert (await ask(f"http://127.0.0.1:{port}")).status == 200
    finally:
        await site.cleanup()
    assert verdicts(found["clock"]) == {verdict}
    if verdict == "warning":
        assert ("ahead of" if offset and offset > 0 else "behind") in found["clock"][0]["text"]


async def test_another_process_with_our_id_is_named(broker: EmbeddedBroker) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **of(broker, N8N_RUNNERS_ID="mine")}
    found = await diagnosis(of(broker, N8N_RUNNERS_ID="mine"))
    assert verdicts(found["id"]) == {"ok"}
    process = subprocess.Popen([sys.executable, "-m", "runner", "start"], env=environment, stdout=subprocess.DEVNULL)
    try:
        found = await diagnosis(of(broker, N8N_RUNNERS_ID="mine"))
        assert f"that of process {process.pid} as well" in found["id"][0]["text"]
        assert verdicts((await diagnosis(of(broker, N8N_RUNNERS_ID="other")))["id"]) == {"ok"}
    finally:
        process.terminate()
        process.communicate()


# Everything is broken


@pytest.mark.parametrize("module", ["aiohttp", "attrs", "attr", "msgspec", "transitions"])
async def test_a_dependency_that_cannot_be_imported_is_one_problem_among_others(tmp_path: Path, module: str) -> None:
    (tmp_path / f"{module}.py").write_text("raise ImportError('broken on purpose')")
    done = await doctor({"PYTHONPATH": f"{tmp_path}:{ROOT}"})
    assert (done.returncode, done.stderr) == (1, "")
    assert "broken on purpose" in done.stdout
    assert [check.name for check in CHECKS if not re.search(rf"^\w+ +{check.name} ", done.stdout, re.MULTILINE)] == []


async def test_with_nothing_right_it_still_says_everything(tmp_path: Path) -> None:
    done = await doctor(
        {
            "N8N_RUNNERS_TASK_BROKER_URI": "not an address",
            "N8N_RUNNERS_AUTH_TOKEN_FILE": str(tmp_path / "missing"),
            "N8N_RUNNERS_MAX_CONCURRENCY": "-1",
            "N8N_RUNNERS_EXTERNAL_ALLOW": "*,pandas",
            "TMPDIR": str(tmp_path / "missing"),
        },
        "--json",
    )
    findings = json.loads(done.stdout)["findings"]
    assert done.returncode == 1
    assert {finding["check"] for finding in findings} == {check.name for check in CHECKS}
    assert all(finding["advice"] for finding in findings if finding["verdict"] != "ok")


async def test_a_check_that_fails_itself_says_so_and_the_next_ones_are_made() -> None:
    for home, said in (("nowhere:nothing", "cannot be made"), ("machine:nothing", "failed itself")):
        (finding,) = await _made(Check("x", "?", home), Situation({}))
        assert (finding.verdict, said in finding.text) == (Verdict.PROBLEM, True)


async def test_another_distribution_with_our_import_names_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [finding.verdict for finding in await names(Situation({}))] == [Verdict.OK]
    info = tmp_path / "python_statemachine-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: python-statemachine\nVersion: 2.0\n")
    (info / "top_level.txt").write_text("statemachine\n")
    monkeypatch.syspath_prepend(tmp_path)
    (finding,) = await names(Situation({}))
    assert finding.text == "the import name statemachine belongs to python-statemachine as well"
    assert "pip uninstall python-statemachine" in finding.advice


# Its looks


async def test_there_are_colours_on_a_terminal_alone_and_never_with_no_color() -> None:

    async def shown(**env: str) -> bytes:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "runner", "doctor"],
            stdout=theirs,
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "N8N_RUNNERS_TASK_BROKER_URI": NOWHERE, **env},
        )
        os.close(theirs)

        def read() -> bytes:
            text = b""
            try:
                while data := os.read(ours, 4096):
                    text += data
            except OSError:
                pass  # how a terminal says that nobody is there any more
            return text

        text = await asyncio.to_thread(read)
        process.wait()
        os.close(ours)
        return text

    assert b"\x1b[1;31mproblem" in await shown()
    assert b"\x1b[" not in await shown(NO_COLOR="1")
    assert "\x1b[" not in (await doctor({})).stdout
