"""The pool under what can happen to it: deaths, shortages, bad modules, limits; and what is remembered of code."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from runner import SandboxFailed, TaskFailed, TaskRequest, TaskRunnerConfig
from runner.execution.sandbox.child.sweep import sweep
from runner.execution.sandbox.executor import SandboxExecutor
from runner.execution.sandbox.folders import PREFIX, Folder, remove_abandoned
from runner.execution.sandbox.verdicts import MOST_KEPT, Verdicts
from tests.sandbox import EVERYTHING, executor_with, started
from tests.support import ROOT, children_of, code_settings, eventually, is_running

pytestmark = [pytest.mark.needs("proc"), pytest.mark.needs("landlock")]
ITEMS = [{"json": {"n": 1}}]


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    before = {*Path(tempfile.gettempdir()).glob(f"{PREFIX}*")}
    yield
    assert children_of(os.getpid()) == []
    assert {*Path(tempfile.gettempdir()).glob(f"{PREFIX}[a-z0-9_]*")} - before == set()


async def run(executor: SandboxExecutor, text: str, **more: Any) -> Any:
    request = TaskRequest("t", code_settings(textwrap.dedent(text), ITEMS, **more), lambda _: None)
    return json.loads(bytes((await executor.execute(request)).result))


async def error(executor: SandboxExecutor, text: str, **more: Any) -> dict[str, Any]:
    with pytest.raises(TaskFailed) as caught:
        await run(executor, text, **more)
    return caught.value.as_error_object()


async def first_print(executor: SandboxExecutor, text: str) -> tuple[asyncio.Task[Any], list[Any]]:
    """A running task, and what it printed first."""
    printed: asyncio.Future[Raw] = asyncio.get_running_loop().create_future()

    def on_print(arguments: Raw) -> None:
        if not printed.done():
            printed.set_result(arguments)

    request = TaskRequest("t", code_settings(textwrap.dedent(text), ITEMS), on_print)
    running = asyncio.create_task(executor.execute(request))
    return running, json.loads(bytes(await printed))


def _is_gone(place: Path) -> bool:
    return not place.exists()


# Deaths


async def test_a_zygote_that_dies_takes_its_tasks_with_it_and_is_replaced() -> None:
    async with started(**EVERYTHING) as executor:
        for _ in range(2):
            text = """
                import os, time
                place = os.environ["TMPDIR"]
                open(place + "/left", "w").close()
                print(os.getpid(), os.getppid(), place[1:])
                time.sleep(1000)
                """
            running, [worker, zygote, place] = await first_print(executor, text)
            folder = Path("/", place.strip("'"))
            assert folder.exists()
            os.kill(int(zygote), signal.SIGKILL)
            with pytest.raises(TaskFailed, match="The process that tasks are forked from has ended"):
                await running
            assert not is_running(worker)
            assert await run(executor, "return _items") == ITEMS
            await eventually(partial(_is_gone, folder), "what the old zygote's tasks left is swept")


async def test_a_worker_that_dies_while_it_waits_costs_no_task_anything() -> None:
    async with started(**EVERYTHING) as executor:
        [item] = await run(executor, "import os\nreturn {'zygote': os.getppid()}")
        for worker in children_of(item["json"]["zygote"]):
            with contextlib.suppress(ProcessLookupError):  # the one that has just answered
                os.kill(worker, signal.SIGKILL)
        assert [await run(executor, "return _items") for _ in range(20)] == [ITEMS] * 20


async def test_workers_that_die_while_they_wait_are_replaced_though_no_task_comes() -> None:
    async with started(**EVERYTHING, max_concurrency=1) as executor:
        [zygote] = children_of(os.getpid())
        await eventually(lambda: len(children_of(zygote)) == 3)
        descriptors = len([*Path("/proc/self/fd").iterdir()])
        dying = children_of(zygote)
        for worker in dying:
            os.kill(worker, signal.SIGKILL)
        await eventually(lambda: len(children_of(zygote)) == 3 and not {*dying} & {*children_of(zygote)})
        await eventually(lambda: len([*Path("/proc/self/fd").iterdir()]) == descriptors)
        assert await run(executor, "return _items") == ITEMS


@pytest.mark.parametrize(
    ("text", "size"), [("return _items", 0), ("raise ValueError", 0), ("while True: pass", 0), ("return 1", 20_000_000)]
)
async def test_however_a_task_goes_another_worker_is_there_for_the_next(text: str, size: int) -> None:
    settings = code_settings(text, [{"json": {"text": "x" * size}}])
    async with started(**EVERYTHING, max_concurrency=2) as executor:
        await eventually(lambda: len(executor.status().waiting) == 4)
        before = {*executor.status().waiting}
        for attempt in range(3):
            request = TaskRequest(f"t{attempt}", settings, lambda _: None)
            with contextlib.suppress(TaskFailed, TimeoutError):
                # the large one is cut short while it is being told
                await asyncio.wait_for(executor.execute(request), 0.003 if size else 0.3)
        await eventually(lambda: len(executor.status().waiting) == 4)
        assert len(before & {*executor.status().waiting}) <= 1


async def test_the_log_says_why_a_zygote_cannot_be_started(caplog: pytest.LogCaptureFixture) -> None:
    async with started(**EVERYTHING) as executor:
        [item] = await run(executor, "import os\nreturn {'zygote': os.getppid(), 'folder': os.environ['TMPDIR']}")
        tasks = Path(item["json"]["folder"]).parent
        away = tasks.rename(tasks.with_name("away"))
        os.kill(item["json"]["zygote"], signal.SIGKILL)
        await eventually(lambda: "cannot be started" in caplog.text)
        away.rename(tasks)
        assert await run(executor, "return _items") == ITEMS
    [line] = [record.message for record in caplog.records if "cannot be started" in record.message]
    assert line.endswith(f"cannot be started: [Errno 2] No such file or directory: '{tasks}'")


async def test_a_zygote_that_answers_no_more_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.execution.sandbox.zygote.LOOK_INTERVAL", 0.05)
    async with started(**EVERYTHING) as executor:
        running, [worker, zygote] = await first_print(
            executor, "import os, time\nprint(os.getpid(), os.getppid())\ntime.sleep(1000)"
        )
        os.kill(int(zygote), signal.SIGSTOP)
        running.cancel()  # which waits for the end of the worker, and that is for the zygote to bring about
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not is_running(worker)
        assert await run(executor, "return _items") == ITEMS


async def test_a_zygote_that_stands_still_for_a_while_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.execution.sandbox.zygote.LOOK_INTERVAL", 0.2)
    async with started(**EVERYTHING, max_concurrency=1) as executor:
        [zygote] = children_of(os.getpid())
        await run(executor, "return _items")
        os.kill(zygote, signal.SIGSTOP)
        tasks = [asyncio.create_task(run(executor, "return _items")) for _ in range(9)]
        await asyncio.sleep(0.5)
        os.kill(zygote, signal.SIGCONT)
        assert await asyncio.gather(*tasks) == [ITEMS] * 9
        assert children_of(os.getpid()) == [zygote]


async def test_a_zygote_for_which_there_is_no_descriptor_left_is_not_left_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with started(**EVERYTHING) as executor:
        [zygote] = children_of(os.getpid())
        failures = [OSError(24, "Too many open files")]
        duplicate = os.dup

        def scarce(descriptor: int) -> int:
            if failures:
                raise failures.pop()
            return duplicate(descriptor)

        monkeypatch.setattr("os.dup", scarce)
        os.kill(zygote, signal.SIGKILL)
        await eventually(lambda: "cannot be started: [Errno 24] Too many open files" in caplog.text)
        assert await run(executor, "return _items") == ITEMS
        assert len(children_of(os.getpid())) == 1


@pytest.mark.parametrize(
    "busy",
    [
        "while True: pass",
        "re.match('(a+)+$', 'a' * 64 + 'b')",
        "[signal.signal(s, signal.SIG_IGN) for s in (1, 2, 15)]\ntime.sleep(1000)",
        "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\ntime.sleep(1000)",
        "while True: os.write(1, b'x' * 65536)",
        "threading.Thread(target=time.sleep, args=(1000,)).start()\ntime.sleep(1000)",
        "sum(range(10**12))",
    ],
)
async def test_a_cancelled_task_is_gone_at_once(busy: str) -> None:
    async with started(**EVERYTHING) as executor:
        text = f"import os, re, signal, threading, time\nprint(os.getpid())\n{busy}"
        running, [worker] = await first_print(executor, text)
        began = time.perf_counter()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert time.perf_counter() - began < 0.2
        assert not Path(f"/proc/{worker}").exists()


# Shortages and limits


async def test_a_lack_of_descriptors_fails_tasks_and_nothing_else() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with started(**EVERYTHING, max_concurrency=1) as executor:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        taken: list[int] = []
        messages = []
        try:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
            for _ in range(12):  # the first few find workers that wait
                try:
                    await run(executor, "return _items")
                except TaskFailed as failed:
                    messages.append(failed.message)
                    os.close(taken.pop())
        finally:
            for descriptor in taken:
                os.close(descriptor)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert messages
        assert all("No process could be started for the task" in message for message in messages)
        assert await run(executor, "return _items") == ITEMS


@pytest.mark.parametrize(
    ("text", "message", "advice"),
    [
        ("return {'v': len('x' * 2**29)}", "Out of memory: a task may take 64 MiB", "N8N_RUNNERS_TASK_MEMORY_LIMIT"),
        ("while True: pass", "The task took more processor time than it may", "N8N_RUNNERS_TASK_CPU_LIMIT"),
        ("open(d + '/f', 'wb').truncate(2**21)", "[Errno 27] File too large", "N8N_RUNNERS_TASK_FILE_SIZE"),
        ("return [open('/dev/null') for _ in range(99)]", "[Errno 24]", "N8N_RUNNERS_TASK_OPEN_FILES"),
        ("open('/etc/shadow')", "[Errno 13] Permission denied", "N8N_RUNNERS_FS_READ"),
        ("import socket\nsocket.socket()", "[Errno 1] Operation not permitted", "N8N_RUNNERS_NETWORK"),
    ],
)
async def test_what_runs_out_or_is_out_of_reach_is_said_with_its_variable(text: str, message: str, advice: str) -> None:
    small = {"task_memory_limit": 64, "task_cpu_limit": 1, "task_file_size": 1, "task_open_files": 32}
    async with started(**EVERYTHING, **small) as executor:
        failed = await error(executor, f"import os\nd = os.environ['TMPDIR']\n{text}")
    assert failed["message"].startswith(message)
    assert advice in failed["description"]


# What is imported beforehand


async def test_modules_are_there_before_the_task_and_bad_ones_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = {"colorsys", "no_such_module", "this"}
    async with started(stdlib_allow={"sys"} | names, preload=names, language="n8n") as executor:
        result = await run(executor, "import colorsys\nreturn {'v': colorsys.ONE_THIRD > 0}")
    assert result == [{"json": {"v": True}}]
    [line] = [record.message for record in caplog.records if "Preloading" in record.message]
    assert (
        line == "Preloading: no_such_module cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"
    )


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("import threading, time\nthreading.Thread(target=time.sleep, args=(99,), daemon=True).start()", "threads"),
        ("import os\nos.abort()", "ended"),
        ("import os\nos._exit(0)", "ended"),
    ],
)
async def test_a_module_that_no_zygote_survives_is_left_to_the_tasks(
    body: str, why: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = subprocess.run(
        [sys.executable, "-I", "-c", "import site; print(site.getsitepackages()[0])"], capture_output=True, text=True
    ).stdout.strip()
    module = Path(site, f"troublesome_{os.getpid()}.py")
    module.write_text(body)
    try:
        executor = SandboxExecutor(TaskRunnerConfig(auth_token="x", preload={module.stem}))
        try:
            await executor.start()
            assert await run(executor, "return _items") == ITEMS
        finally:
            await executor.close()
    finally:
        module.unlink()
    [line] = [record.message for record in caplog.records if module.stem in record.message]
    assert "is imported in each task that needs it" in line
    assert why in line


# What the configuration insists on


@pytest.mark.skipif(os.getuid() != 0, reason="only root can have a user who may not run the interpreter")
@pytest.mark.parametrize("asked", [{"confinement": "required"}, {"language": "full"}])
async def test_less_than_was_asked_for_is_refused(asked: dict[str, Any]) -> None:
    copied = executor_with(**asked)
    try:
        await copied.start()
        assert copied.report.is_complete
    finally:
        await copied.close()
    with tempfile.TemporaryDirectory() as closed:  # an interpreter below a folder that is root's own
        environment = Path(closed, "environment")
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
        executor = SandboxExecutor(
            TaskRunnerConfig(auth_token="x", **asked), python=str(environment / "bin" / "python")
        )
        if Path(sys.base_prefix).stat().st_uid == 0 and not Path("/root").stat().st_mode & 0o005:
            with pytest.raises(SandboxFailed, match="confined completely"):
                await executor.start()
        await executor.close()


async def test_a_missing_interpreter_is_said_at_the_start() -> None:
    executor = SandboxExecutor(TaskRunnerConfig(auth_token="x"), python="/nowhere/python")
    with pytest.raises(SandboxFailed, match="cannot be started"):
        await executor.start()
    await executor.close()


async def test_an_incomplete_confinement_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with started() as executor:
        report = executor.report
    [record] = [record for record in caplog.records if record.message.startswith("Confinement of tasks")]
    assert record.levelno == (logging.INFO if report.is_complete else logging.WARNING)
    assert all(result.layer in record.message for result in report)


# What is remembered of code


async def test_code_is_compiled_once_and_errors_still_show_its_lines() -> None:
    async with started() as executor:
        text = "def f():\n    raise ValueError('no')\nf()"
        first = await error(executor, text)
        assert await error(executor, text) == first
        assert first["description"] == "Line 3: f()\nLine 2, in f: raise ValueError('no')\nValueError: no"
        for n in range(3):
            assert await run(executor, "return {'n': _items[0]['json']['n']}") == [{"json": {"n": 1}}], n
        assert await run(executor, "return {'n': 1}", mode="runOnceForEachItem") != []


def test_verdicts_are_kept_by_text_and_mode_and_the_oldest_are_forgotten() -> None:
    verdicts = Verdicts()
    keys = [verdicts.key_of(code_settings(f"return {n}", [])) for n in range(3)]
    assert len(set(keys)) == 3
    each = b"x" * (MOST_KEPT // 2 - 10_000)
    for key in keys:
        assert verdicts.get(key) == b""
        verdicts.keep(key, each)
    assert [bool(verdicts.get(key)) for key in keys] == [False, True, True]
    for nonsense in (b"", b"[]", b"{", b'{"code": 1, "nodeMode": "x"}', b"[" * 50_000):
        assert verdicts.key_of(Raw(nonsense)) is None
    assert verdicts.get(None) == b""


# Folders


async def test_a_folder_is_older_than_anything_a_task_does_in_it_however_coarse_the_clock_of_the_kernel() -> None:
    async with started(**EVERYTHING) as executor:
        text = "import os\ns = os.stat(os.environ['TMPDIR'])\nreturn {'age': s.st_ctime_ns - s.st_mtime_ns}"
        [item] = await run(executor, text)
        assert item["json"]["age"] >= 10**9 - 10**8


async def test_what_a_sweeper_that_was_killed_has_left_is_swept_by_the_next_one() -> None:
    async with started(**EVERYTHING, max_concurrency=1) as executor:
        text = """
            import os
            place = os.environ["TMPDIR"]
            for n in range(5_000):
                os.mkdir(f"{place}/{n}")
            print(place[1:], os.getppid())
            """
        running, [place, zygote] = await first_print(executor, text)
        workers = {*children_of(int(zygote))}
        await running
        await eventually(lambda: {*children_of(int(zygote))} - workers, "there is a sweeper")
        for sweeper in {*children_of(int(zygote))} - workers:
            os.kill(sweeper, signal.SIGKILL)
        folder = Path("/", place.strip("'"))
        assert folder.exists()
        while folder.exists():  # until one of them ends after the sweeper has
            assert await run(executor, "return _items") == ITEMS


def test_a_sweep_leaves_nothing_however_deep_or_closed(tmp_path: Path) -> None:
    folder = tmp_path / "task"
    folder.mkdir()
    (folder / "swept-1-1").mkdir()
    (folder / "link").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    (folder / "closed").mkdir(0)
    here = os.open(folder, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deeper-and-deeper", dir_fd=here)
        below = os.open("deeper-and-deeper", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    sweep(str(folder))
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os
from runner.execution.sandbox.folders import Folder
folder = Folder()
(folder.tasks / "left").mkdir()
print(folder.tasks, flush=True)
os.kill(os.getpid(), 9)
"""


async def test_folders_of_killed_runners_are_removed_and_those_of_living_ones_are_not() -> None:
    done = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True, cwd=ROOT)
    left = Path(done.stdout.strip())
    assert left.exists()
    living = Folder()
    assert remove_abandoned() >= 1
    assert not left.parent.exists()
    assert living.tasks.exists()
    living.remove()
    await eventually(lambda: not living.tasks.parent.exists())
