"""The executor of the sandbox, driven directly: what tasks get and give. After every test, nothing may be left."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from runner import TaskFailed, TaskRequest, TaskRunnerConfig
from runner.execution.sandbox import parts, wire
from runner.execution.sandbox.executor import SandboxExecutor
from runner.execution.sandbox.orders import task_environment
from tests.sandbox import EVERYTHING, interpreter, started
from tests.support import ROOT, children_of, code_settings, eventually

EACH = "runOnceForEachItem"
THREE = [{"json": {"n": 1}}, {"json": {"n": 2}}, {"json": {"n": 3}}]
PRELUDE = """
import os, struct, time
line = 3
def frame(kind, payload): os.write(line, struct.pack("!BI", kind, len(payload)) + payload)
"""
"""Code that says on its line to the runner what it likes."""


def open_descriptors() -> list[str]:
    return [entry.name for entry in Path("/proc/self/fd").iterdir()] if Path("/proc/self").exists() else []


def our_children() -> list[int]:
    return children_of(os.getpid()) if Path("/proc/self").exists() else []


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    """No process, no zombie and no descriptor, at once and without waiting."""
    before = len(open_descriptors()), our_children()
    yield
    assert (len(open_descriptors()), our_children()) == before


class Task:
    """A task, what it prints, and how it ends. It has an executor of its own unless one is given."""

    def __init__(self, settings: Raw, executor: SandboxExecutor | None = None, **config: Any) -> None:
        self.printed: list[Any] = []
        self.first_print = asyncio.Event()
        self._executor = executor
        self._config = {**EVERYTHING, **config}
        self._request = TaskRequest("t1", settings, self._print)

    def _print(self, arguments: Raw) -> None:
        self.printed.append(msgspec.json.decode(arguments, type=list[Any]))  # as the rest of the runner reads them
        self.first_print.set()

    async def raw(self) -> bytes:
        """The result as it is sent on."""
        if self._executor is not None:
            return bytes((await self._executor.execute(self._request)).result)
        async with started(**self._config) as executor:
            return bytes((await executor.execute(self._request)).result)

    async def ending(self) -> tuple[bytes, str]:
        """The result as it is sent on, or the message of the failure."""
        try:
            return await self.raw(), ""
        except TaskFailed as failure:
            return b"", failure.message

    async def result(self) -> Any:
        return json.loads(await self.raw())

    async def error(self) -> dict[str, Any]:
        with pytest.raises(TaskFailed) as caught:
            await self.raw()
        return caught.value.as_error_object()


def code(text: str, items: Any = None, mode: str = "runOnceForAllItems", **more: Any) -> Task:
    return Task(code_settings(textwrap.dedent(text), items, mode, **more))


async def cancel(running: asyncio.Task[Any]) -> None:
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


# What code is given, and what it returns


async def test_code_for_all_items_gets_them_and_returns_the_result() -> None:
    doubled = "return [{'json': {'n': item['json']['n'] * 2}} for item in _items]"
    assert await code(doubled, THREE).result() == [{"json": {"n": 2}}, {"json": {"n": 4}}, {"json": {"n": 6}}]


async def test_code_for_each_item_gets_one_at_a_time_and_drops_those_it_returns_none_for() -> None:
    text = "return None if _item['json']['n'] == 2 else {'n': _item['json']['n'], 'index': 0}"
    assert await code(text, THREE, EACH).result() == [
        {"json": {"n": 1, "index": 0}, "pairedItem": {"item": 0}},
        {"json": {"n": 3, "index": 0}, "pairedItem": {"item": 2}},
    ]


async def test_code_for_each_item_shares_no_globals_between_items() -> None:
    text = "global seen\nseen = globals().get('seen', 0) + 1\nreturn {'seen': seen}"
    assert [item["json"] for item in await code(text, THREE, EACH).result()] == [{"seen": 1}] * 3


@pytest.mark.parametrize("query", ["how much?", {"n": 1}, None])
async def test_a_tool_gets_its_query_and_answers_with_text(query: Any) -> None:
    assert json.loads(await code("return {'asked': _query}", [], query=query).result()) == {"asked": query}


async def test_a_tool_that_continues_on_failure_answers_with_the_error() -> None:
    assert await code("raise ValueError('no')", [], query="x", continueOnFail=True).result() == "no"


async def test_the_query_is_none_when_there_is_none() -> None:
    assert await code("return {'query': _query}").result() == [{"json": {"query": None}}]


@pytest.mark.parametrize("mode", ["runOnceForAllItems", EACH])
@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n  # at all", "'''text'''", "pass", "\ufeff", "[1, 2]"])
async def test_code_that_returns_nothing_gives_no_items_and_no_error(text: str, mode: str) -> None:
    assert await Task(code_settings(text, None, mode)).result() == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from __future__ import annotations\ndef f(x: Nowhere): return 1\nreturn {'v': f(0)}", 1),
        ("'doc'\nfrom __future__ import annotations\ndef f(x: Nowhere): return 1\nreturn {'v': f(0)}", 1),
        ("_items = [item['json']['n'] for item in _items]\nreturn {'v': _items}", [21]),
        ("def f():\n  global _items\n  _items = 5\nf()\n_items += 1\nreturn {'v': _items}", 6),
        ("total = 0\ndef add(n):\n  global total\n  total += n\nadd(4)\nadd(5)\nreturn {'v': total}", 9),
        ("n: int = 1\ndef f():\n  global n\n  n = 2\nf()\nreturn {'v': n}", 1),
        ("def outer():\n  n = 1\n  def f():\n    nonlocal n\n    n += 1\n  f()\n  return n\nreturn {'v': outer()}", 2),
        ("n = 1\ndef f():\n  nonlocal n\n  n = 2\ndef g():\n  global n\n  n = 3\nf()\ng()\nreturn {'v': n}", 2),
        ("class A:\n  n = 3\n  def f(self): return self.n + len(_items)\nreturn {'v': A().f()}", 4),
        ("def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)\nreturn {'v': fib(10)}", 55),
        ("code = 1\nreturn {'v': code}", 1),
        ("text = '''a\n    b\n'''\nreturn {'v': text}", "a\n    b\n"),
        ("if True:\r\n\treturn {'v': 'crlf\\ttab'}\r\n", "crlf\ttab"),
        ("\x0cif True:\n  x = 1\n\x0creturn {'v': x}", 1),
        ("\ufeffreturn {'v': 'bom'}", "bom"),
        ("return {'v': 'ü\\ud83d'}", "ü\ud83d"),
        ("import asyncio\nawait asyncio.sleep(0)\nreturn {'v': 1}", 1),
        ("async def g():\n  yield 1\n  yield 2\nreturn {'v': [x async for x in g()]}", [1, 2]),
        ("async def g():\n  yield 7\nasync for x in g():\n  return {'v': x}", 7),
        ("async def g(): return 8\ndef f(x=await g()): return x\nreturn {'v': f()}", 8),
        ("def g():\n  yield 1\nreturn {'v': list(g())}", [1]),
        ("return {'v': __name__}", "__main__"),
        ("import sys\nreturn {'v': sys.argv[1:]}", []),
        ("import signal\ndef late(*_): raise TimeoutError\nsignal.signal(signal.SIGALRM, late)\n"
         "signal.setitimer(signal.ITIMER_REAL, 0.01)\ntry:\n  while True: print(1)\nexcept TimeoutError:\n"
         "  return {'v': 'late'}", "late"),
        ("import signal, os\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
         "os.kill(os.getpid(), signal.SIGUSR1)\nreturn {'v': signal.sigwait([signal.SIGUSR1])}", signal.SIGUSR1),
        ("import threading\nreturn {'v': threading.active_count()}", 1),
        ("try:\n  input()\nexcept EOFError:\n  return {'v': 'no input'}", "no input"),
    ],
)  # fmt: skip
async def test_ordinary_python_works_at_the_top(text: str, expected: Any) -> None:
    task = Task(code_settings(text))
    assert await task.result() == [{"json": {"v": expected}}]


async def test_a_payload_of_20_mb_goes_both_ways_unchanged() -> None:
    big = "ü" * 10_000_000
    assert await code("return _items", [{"json": {"v": big}}]).result() == [{"json": {"v": big}}]


async def test_a_result_that_is_too_large_is_refused_without_being_read() -> None:
    task = Task(code_settings("return {'v': 'x' * 5000}"), max_payload_size=4096)
    error = await task.error()
    assert error["message"].startswith("The result is too large: it has more than the 3072 bytes")
    assert "N8N_RUNNERS_MAX_PAYLOAD" in error["description"]


async def test_a_result_of_any_depth_is_sent_or_refused_in_clear_words() -> None:
    deep = "v = []\nfor _ in range({}): v = [v]\nreturn {{'v': v}}"
    for depth in (300, 940, 980, 1000, 9_000, 9_990, 200_000):
        sent, message = await code(deep.format(depth)).ending()
        assert (sent.count(b"["), message) in [(depth + 2, ""), (0, "The result is nested too deeply")]
        assert sent or depth > 900


# print


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("print('a', 1, 2.5, True, None)", ["'a'", "1", "2.5", "True", "None"]),
        ("print()", []),
        ("print('it''s', \"it's\")", ["'its'", "'it's'"]),
        ("print({'a': [1, 'ü']}, (1, 2))", ['{"a": [1, "ü"]}', "[1, 2]"]),
        ("import datetime\nprint({'d': datetime.date(2024, 1, 2)})", ['{"d": "2024-01-02"}']),
        ("d = {}\nd['d'] = d\nprint(d)", ["[Circular dict]"]),
        ("l = []\nfor _ in range(10**6): l = [l]\nprint(l)", ["[Too deep list]"]),
        ("print({(1, 2): 3})", ["{(1, 2): 3}"]),
        ("print('a', 'b', sep='-')", ["a-b"]),
        ("print('a', 1, end='')", ["a 1"]),
        ("print('a', end='!')", ["a!"]),
        ("print('a', sep=None, end=None, flush=True)", ["'a'"]),
        ("import sys\nprint('a', file=sys.stdout)", ["'a'"]),
        ("print('half \\ud83d')", ["'half ?'"]),
        ("print(float('nan'), {'x': float('inf')})", ["nan", '{"x": Infinity}']),
    ],
)
async def test_a_print_has_the_form_of_n8ns_own_runner(call: str, expected: list[str]) -> None:
    task = code(call)
    await task.result()
    assert task.printed == [expected]


async def test_prints_to_files_and_redirected_prints_are_not_for_n8n() -> None:
    task = code("""
        import contextlib, io, sys
        text = io.StringIO()
        print('to a file', 1, file=text, sep='-', end='.')
        print('to the standard error', file=sys.stderr)
        with contextlib.redirect_stdout(text):
            print('redirected')
        return {'v': text.getvalue()}
    """)
    assert await task.result() == [{"json": {"v": "to a file-1.redirected\n"}}]
    assert task.printed == []


@pytest.mark.parametrize("keyword", ["sep", "end"])
async def test_print_refuses_what_the_builtin_refuses(keyword: str) -> None:
    assert (await code(f"print('a', {keyword}=1)").error())["message"] == f"{keyword} must be None or a string, not int"


async def test_a_print_arrives_while_the_code_still_runs_and_is_kept_when_it_fails() -> None:
    task = code("print('first')\nimport time\ntime.sleep(1000)")
    running = asyncio.create_task(task.result())
    await task.first_print.wait()
    assert not running.done()
    await cancel(running)
    failing = code("print('before')\n1/0")
    await failing.error()
    assert failing.printed == [["'before'"]]


async def test_of_a_flood_of_prints_the_rest_is_counted() -> None:
    task = Task(code_settings("for n in range(5000): print(n)\nreturn []"), max_prints=7)
    assert await task.result() == []
    assert task.printed == [[str(n)] for n in range(7)] + [["[Output truncated - 4993 more print statements]"]]


async def test_prints_can_be_switched_off() -> None:
    task = Task(code_settings("print(1)"), max_prints=0)
    await task.result()
    assert task.printed == [["[Output truncated - 1 more print statements]"]]


async def test_of_a_huge_print_the_rest_is_counted() -> None:
    task = code("print('x' * 50_000_000)\nprint(*range(1_000_000))\nprint('\\x00' * 99_000)\nreturn []")
    assert await task.result() == []
    assert task.printed[0] == ["'" + "x" * 99_999, "[Output truncated - 49900002 more characters]"]
    assert task.printed[1][-1].startswith("[Output truncated - ")
    assert task.printed[2] == ["'" + "\0" * 99_000 + "'"]


async def test_prints_of_many_threads_stay_whole() -> None:
    task = code("""
        import threading
        def work(k):
            for n in range(50): print(k, n, 'x' * 5000)
        threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        return []
    """)
    assert await task.result() == []
    expected = sorted([str(k), str(n), "'" + "x" * 5000 + "'"] for k in range(8) for n in range(50))
    assert sorted(task.printed) == expected


async def test_a_thread_that_goes_on_printing_does_not_disturb_the_end() -> None:
    for _ in range(10):
        task = code("""
            import threading
            def work():
                while True: print('x' * 5000)
            threading.Thread(target=work, daemon=True).start()
            return [{'json': {'n': n, 'text': 'y' * 1000}} for n in range(1000)]
        """)
        result = await task.result()
        assert [item["json"]["n"] for item in result] == [*range(1000)]


async def test_a_signal_handler_that_raises_does_not_cut_a_frame() -> None:
    class Interrupted(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    def read(ours: socket.socket, main: int) -> bytes:
        ours.settimeout(5)
        frame = ours.recv(1000)
        signal.pthread_kill(main, signal.SIGUSR1)
        while len(frame) < 5 + 3_000_000:
            frame += ours.recv(2**20)
        return frame

    before = signal.signal(signal.SIGUSR1, interrupt)
    ours, theirs = socket.socketpair()
    with ours, theirs, ThreadPoolExecutor(1) as threads:
        frame = threads.submit(read, ours, threading.get_ident())
        with pytest.raises(Interrupted):
            wire.Line(theirs.fileno()).send(wire.PRINT, b"x" * 3_000_000)
        assert frame.result() == wire.HEADER.pack(wire.PRINT, 3_000_000) + b"x" * 3_000_000
    signal.signal(signal.SIGUSR1, before)


POSTED = [(parts.VALUES, b"1"), (parts.LIST, b""), (parts.VALUES, b"x" * 3_000_000), (parts.END, b"")]


async def test_what_is_posted_comes_whole_and_in_order_however_much_is_taken_at_once() -> None:
    frames = [*POSTED, *[(parts.VALUES, b"%d" % number) for number in range(3000)]]
    expected = b"".join(wire.HEADER.pack(kind, len(payload)) + payload for kind, payload in frames)
    ours, theirs = socket.socketpair()
    with ours, theirs, ThreadPoolExecutor(1) as threads:
        received = threads.submit(ours.makefile("rb").read, len(expected))
        line = wire.Line(theirs.fileno())
        for kind, payload in frames[:-1]:
            line.post(kind, payload)
        conclude(line, frames[-1:])
        assert received.result() == expected


async def test_what_is_posted_waits_for_more_but_is_let_pass_by_what_is_sent() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        line = wire.Line(theirs.fileno())
        line.post(parts.VALUES, b"1")
        with pytest.raises(BlockingIOError):
            ours.recv(1)
        line.send(wire.PRINT, b"[]")
        assert ours.recv(100) == wire.HEADER.pack(wire.PRINT, 2) + b"[]"
        conclude(line, [(parts.END, b"")])
        assert ours.recv(100) == wire.HEADER.pack(parts.VALUES, 1) + b"1" + wire.HEADER.pack(parts.END, 0)
        with pytest.raises(BlockingIOError):
            ours.recv(1)


def conclude(line: wire.Line, frames: list[tuple[int, bytes]]) -> None:
    """Write the last frames of a line in a process that goes on."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        line.conclude(frames)
        assert signal.SIGUSR1 in signal.pthread_sigmask(signal.SIG_BLOCK, ()), "no handler gets a turn"
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


async def test_the_settings_are_let_go_of_once_a_worker_has_them() -> None:
    settings = bytearray(bytes(code_settings("print('has them')\nreturn _items", [{"json": {"v": "x" * 1_000_000}}])))

    def show(_: Raw) -> None:
        settings.clear()  # which can be done only if nobody looks at them

    async with started(**EVERYTHING) as executor:
        outcome = await executor.execute(TaskRequest("t", Raw(memoryview(settings)), show))
    assert len(bytes(outcome.result)) > 1_000_000
    assert not settings


# Errors


async def test_an_error_says_what_where_and_with_which_item() -> None:
    text = "def f(n):\n    return 1 / (n - 2)\n\nreturn {'v': f(_item['json']['n'])}"
    assert await code(text, THREE, EACH).error() == {
        "message": "division by zero",
        "description": "Line 4: return {'v': f(_item['json']['n'])}\nLine 2, in f: return 1 / (n - 2)\n"
        "ZeroDivisionError: division by zero",
        "lineNumber": 2,
        "itemIndex": 1,
    }


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("raise ValueError('no')", "no", 1),
        ("raise ValueError", "ValueError", 1),
        ("\n\nraise KeyboardInterrupt", "KeyboardInterrupt", 3),
        ("def f(): f()\nf()", "maximum recursion depth exceeded", 1),
        ("raise MemoryError", "Out of memory: a task may take 1024 MiB", 1),
        ("x = 1\nraise ValueError('half \\ud83d')", "half ?", 2),
        ("import sys\nsys.exit(3)", "Process exited with code 3", 2),
        ("import sys\nsys.exit()", "Process exited with code None", 2),
        ("import sys\nsys.exit('so it goes')", "Process exited with code so it goes", 2),
        ("raise SystemExit", "Process exited with code None", 1),
        ("exit(1)", "Process exited with code 1", 1),
        ("await nothing()", "name 'nothing' is not defined", 1),
        ("class E(Exception):\n  def __str__(self): 1/0\nraise E", "E has no text: its __str__ raised", 3),
        ("class E(Exception):\n  def __str__(self): raise SystemExit\nraise E", "its __str__ raised SystemExit", 3),
        ("class E(Exception):\n  def __str__(self): return str(self)\nraise E", "its __str__ raised RecursionError", 3),
        ("class E(Exception):\n  description = property(lambda self: 1/0)\nraise E('x')", "x", 3),
        ("class V:\n  def __str__(self): raise ValueError('late')\nreturn {'v': V()}", "late", 2),
        ("class V:\n  def __str__(self): raise SystemExit(5)\nreturn {'v': V()}", "Process exited with code 5", 2),
        ("return (x for x in _items)", "Code doesn't return items properly", None),
        ("return {'v': 10 ** 5000}", "A number of the result has too many digits", None),
    ],
)
async def test_whatever_code_raises_is_told_with_the_users_own_line(text: str, message: str, line: int | None) -> None:
    error = await code(text).error()
    assert message in error["message"]
    assert error.get("lineNumber") == line


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("x = = 1\ny = 2", "invalid syntax (<unknown>, line 1)", 1),
        ("x = 1\nif x\n  pass\ny = 2", "expected ':' (<unknown>, line 2)", 2),
        ("x = 1\ny = (", "'(' was never closed (<unknown>, line 2)", 2),
        ("x = 1\n  y = 2", "unexpected indent (<unknown>, line 2)", 2),
        ("x = 1\nyield x", "'yield' outside function (<unknown>, line 2)", 2),
        ("x = 1\nbreak", "'break' outside loop (<unknown>, line 2)", 2),
        ("x = 1\nfrom json import *", "import * only allowed at module level (<unknown>, line 2)", 2),
        ("x = 1\nfrom __future__ import annotations", "from __future__ imports must occur at the beginning", 2),
        ("x = 1\ny = '\0'", "source code string cannot contain null bytes (<unknown>, line 2)", 2),
        ("'\ud83d'", "The code cannot be compiled: 'utf-8' codec can't encode", None),
        ("(" * 5000 + ")" * 5000, "too many nested parentheses", 1),
    ],
)
async def test_a_syntax_error_is_told_with_the_users_own_line_even_when_continuing(
    text: str, message: str, line: int | None
) -> None:
    error = await Task(code_settings(text, continueOnFail=True)).error()
    assert error["message"].startswith(message)
    assert error.get("lineNumber") == line


async def test_the_description_is_the_exceptions_own_or_else_the_standard_error_and_then_the_frames() -> None:
    own = "class E(Exception): description = 'see the manual'\nimport sys\nsys.stderr.write('noise')\nraise E('no')"
    assert (await code(own).error())["description"] == "see the manual\nLine 4: raise E('no')\nE: no"
    none = "import os\nos.write(2, b'heard before')\nraise ValueError('no')"
    assert (await code(none).error())["description"] == "heard before\nLine 3: raise ValueError('no')\nValueError: no"


async def test_no_part_of_an_error_is_unbounded() -> None:
    text = "class E(Exception): description = 'd' * 30_000_000\nimport sys\nsys.stderr.write('x' * 10_000_000)\n"
    error = await code(text + "raise E('m' * 30_000_000)").error()
    assert error["message"].startswith("mmm")
    assert len(error["message"]) < 11_000
    assert len(error["description"]) < 50_000


async def test_continuing_on_failure_gives_one_error_item_for_all_items() -> None:
    assert await code("raise ValueError('no')", THREE, continueOnFail=True).result() == [{"json": {"error": "no"}}]
    bad = await code("return 5", THREE, continueOnFail=True).result()
    assert bad == [{"json": {"error": "Code doesn't return items properly"}}]


async def test_continuing_on_failure_gives_an_error_item_for_each_item_that_failed() -> None:
    text = """
        class Bad:
            def __str__(self): raise ValueError('late')
        n = _item['json']['n']
        return {'v': n} if n == 1 else {'v': Bad()} if n == 2 else 5
    """
    assert await code(text, THREE, EACH, continueOnFail=True).result() == [
        {"json": {"v": 1}, "pairedItem": {"item": 0}},
        {"json": {"error": "late"}, "pairedItem": {"item": 1}},
        {"json": {"error": "Code doesn't return an object"}, "pairedItem": {"item": 2}},
    ]


async def test_a_result_that_n8n_would_refuse_names_the_item() -> None:
    error = await code("return [{'json': {}}, {'json': {}, 'extra': 1}]").error()
    assert (error["message"], error["itemIndex"]) == ("Invalid output format", 1)
    assert "extra" in error["description"]


@pytest.mark.parametrize(
    "settings",
    [
        "",
        "{",
        "null",
        "5",
        "[]",
        "{}",
        '{"code": 1}',
        '{"code": ""}',
        '{"code": "", "nodeMode": "x", "items": []}',
        '{"code": "", "nodeMode": ["runOnceForAllItems"], "items": []}',
        '{"code": "", "nodeMode": "runOnceForAllItems"}',
        '{"code": "", "nodeMode": "runOnceForAllItems", "items": {}}',
        "[" * 100_000,
        '{"code": "", "nodeMode": "runOnceForAllItems", "items": [' + "1" * 5000 + "]}",
        b"\xff\xfe{\x00}\x00",
    ],
)
async def test_settings_that_are_not_a_code_nodes_fail_the_task(settings: str | bytes) -> None:
    raw = Raw(settings.encode() if isinstance(settings, str) else settings)
    assert (await Task(raw).error())["message"].startswith("The settings of the task cannot be used: ")


# Processes that die or say what they should not


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("os._exit(0)", "Failed to read result from child process"),
        ("os._exit(7)", "Task subprocess exited with code 7"),
        ("os.kill(os.getpid(), 15)", "Task subprocess exited with code -15"),
        ("os.kill(os.getpid(), 9)", "Process was forcefully killed (SIGKILL)"),
        ("import ctypes\nctypes.string_at(0)", "Task subprocess exited with code -11"),
        ("os.abort()", "Task subprocess exited with code -6"),
        ("os.closerange(3, 256)\nreturn []", "Failed to read result from child process"),
        ("os.closerange(3, 256)\nimport time\ntime.sleep(1000)", "Failed to read result from child process"),
        ("os._exit(70)", "The task's process could not be confined, so the code was not run"),
    ],
)
async def test_a_process_that_ends_without_an_answer_is_explained(text: str, message: str) -> None:
    assert (await code(f"import os\n{text}").error())["message"] == message


async def test_what_a_dying_process_wrote_last_is_its_description() -> None:
    error = await code("import os\nos.write(1, b'x' * 100_000)\nos.write(2, b'the last words')\nos._exit(3)").error()
    assert error["description"].endswith("xxxthe last words")
    assert len(error["description"]) == 8192


@pytest.mark.needs("proc")
@pytest.mark.parametrize(
    ("speech", "message"),
    [
        ("os.write(line, b'GET / HTTP/1.1\\r\\n\\r\\n' * 1000)", "does not keep to the protocol"),
        ("os.write(line, b'\\0' * 5)", "does not keep to the protocol"),
        ("frame(1, b'{}')", "does not keep to the protocol"),
        ("frame(9, b'{}')", "does not keep to the protocol"),
        ("frame(81, b'{}')", "does not keep to the protocol"),
        ("frame(5, b'late')", "does not keep to the protocol"),
        ("os.write(line, struct.pack('!BI', 16, 2**32 - 1))", "does not keep to the protocol"),
        ("os.write(line, struct.pack('!BI', 2, 2**21))", "does not keep to the protocol"),
        ("os.write(line, struct.pack('!BI', 4, 2**21))", "does not keep to the protocol"),
        ("os.write(line, struct.pack('!BI', 16, 1000))\nos._exit(0)", "Failed to read result from child process"),
        ("os.write(line, b'\\3')\nos._exit(1)", "Task subprocess exited with code 1"),
        ("frame(16, b'')", "a result that cannot be sent on"),
        ("frame(16, b'[] []')", "a result that cannot be sent on"),
        ("frame(16, b'[]}, {\"type\": 1')", "a result that cannot be sent on"),
        ("frame(16, b'[NaN]')", "a result that cannot be sent on"),
        ("frame(16, b'[\"\\xff\"]')", "a result that cannot be sent on"),
        ("frame(25, b'')", "a result that cannot be sent on"),
        ("frame(23, b'')", "a result that cannot be sent on"),
        ("for _ in range(1001): frame(17, b'')", "The result is nested too deeply"),
        ("frame(2, b'{}')", "a print that cannot be sent on"),
        ("frame(2, b'[1]')", "a print that cannot be sent on"),
        ("frame(2, b'[\"\\xff\"]')", "a print that cannot be sent on"),
        ('frame(2, b\'["a"], ["b"]\')', "a print that cannot be sent on"),
        ("frame(4, b'[]')", "an error that cannot be sent on"),
        ("frame(4, b'{')", "an error that cannot be sent on"),
        ("frame(4, b'{\"message\": 5}')", "an error that cannot be sent on"),
        ('frame(4, b\'{"message": "x", "line": -1}\')', "an error that cannot be sent on"),
        ('frame(4, b\'{"message": "\\xff"}\')', "an error that cannot be sent on"),
        ("while True: frame(2, b'[]')", "prints more than it may"),
    ],
)
async def test_a_forged_frame_fails_its_own_task_alone(speech: str, message: str) -> None:
    assert message in (await code(f"{PRELUDE}\n{speech}\nimport time\ntime.sleep(1000)").error())["message"]


@pytest.mark.needs("proc")
async def test_only_the_first_of_two_results_counts() -> None:
    task = code(PRELUDE + "\nframe(16, b'[1]')\nframe(25, b'')\nframe(16, b'[2]')\nframe(2, b'[\"late\"]')\nreturn []")
    assert await task.result() == [1]
    assert task.printed == []


async def test_a_flood_on_the_standard_error_blocks_nothing() -> None:
    text = "import os\nfor _ in range(300): os.write(2, b'e' * 65536); os.write(1, b'o' * 65536)\nreturn []"
    assert await code(text).result() == []


# The environment


async def test_nothing_of_the_runners_environment_reaches_the_code() -> None:
    environment = {"PATH": "/bin", "SECRET": "s", "N8N_RUNNERS_AUTH_TOKEN": "s"}
    config = TaskRunnerConfig(auth_token="s", timezone="Europe/Rome", **EVERYTHING)
    executor = SandboxExecutor(config, environment, python=interpreter())
    try:
        await executor.start()
        [item] = await Task(code_settings("import os\nreturn dict(os.environ)"), executor).result()
    finally:
        await executor.close()
    folders = item["json"].pop("TMPDIR"), item["json"].pop("HOME")
    assert folders[0] == folders[1]
    assert item["json"] == {"TZ": "Europe/Rome"}


def test_an_allowed_environment_is_passed_without_what_is_the_runners_own() -> None:
    own = {"N8N_RUNNERS_AUTH_TOKEN": "s", "N8N_RUNNERS_GRANT_TOKEN_FILE": "f", "N8N_RUNNERS_NEW": "x"}
    config = TaskRunnerConfig(auth_token="s", block_env_access=False)
    assert task_environment(config, {"PATH": "/bin", **own}).items() >= {"PATH": "/bin"}.items()
    assert not task_environment(config, own).keys() & own.keys()


@pytest.mark.needs("proc")
async def test_code_has_only_its_own_descriptors() -> None:
    text = """
        import os
        def is_open(number):
            try: os.fstat(number)
            except OSError: return False
            return True
        return {'open': [number for number in range(1000) if is_open(number)]}
    """
    assert await code(text).result() == [{"json": {"open": [0, 1, 2, 3]}}]


# Many at once, and the end of everything


async def test_twenty_tasks_at_once_do_not_mix() -> None:
    async with started() as executor:
        tasks = [Task(code_settings(f"print({n})\nreturn {{'n': {n}}}"), executor) for n in range(20)]
        assert await asyncio.gather(*(task.result() for task in tasks)) == [[{"json": {"n": n}}] for n in range(20)]
    assert [task.printed for task in tasks] == [[[str(n)]] for n in range(20)]


async def test_executors_that_start_at_once_do_not_remove_each_others_folders() -> None:
    for _ in range(3):
        tasks = [code(f"return {{'n': {n}}}") for n in range(6)]
        assert await asyncio.gather(*(task.result() for task in tasks)) == [[{"json": {"n": n}}] for n in range(6)]


@pytest.mark.needs("proc")
@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4, 6, 8, 12, 20, 40])
@pytest.mark.parametrize("size", [10, 3_000_000], ids=["small", "large"])
async def test_a_task_can_be_cancelled_at_any_step(steps: int, size: int) -> None:
    """Before its process exists, while its settings are written, while it starts."""
    running = asyncio.create_task(code("return _items", [{"json": {"v": "x" * size}}]).result())
    for _ in range(steps):
        await asyncio.sleep(0)
    await cancel(running)


@pytest.mark.needs("proc")
@pytest.mark.parametrize("obstinacy", ["", "import signal\nfor s in (15, 2, 1): signal.signal(s, signal.SIG_IGN)\n"])
async def test_a_running_task_can_be_cancelled_twice_and_is_gone(obstinacy: str) -> None:
    task = code(f"{obstinacy}import os\nprint(os.getpid())\nwhile True: pass")
    running = asyncio.create_task(task.result())
    await task.first_print.wait()
    [[pid]] = task.printed
    running.cancel()
    await asyncio.sleep(0)
    await cancel(running)
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.needs("proc")
async def test_a_task_cancelled_right_after_its_result_is_gone_too() -> None:
    task = code("print('now')\nreturn []")
    for moment in range(0, 40, 4):
        task.first_print.clear()
        running = asyncio.create_task(task.result())
        await task.first_print.wait()
        for _ in range(moment):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running])
        assert our_children() == []


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in {b"Z", b"X"}
    except OSError:
        return False


RUNNER = """
import asyncio, sys
from runner import TaskRequest
from tests.sandbox import EVERYTHING, started
from tests.support import code_settings

def show(arguments): print(bytes(arguments).decode(), flush=True)

async def main():
    async with started(**EVERYTHING) as executor:
        await executor.execute(TaskRequest("t", code_settings(sys.argv[1]), show))

asyncio.run(main())
"""


@pytest.mark.needs("proc")
@pytest.mark.parametrize(
    "busy",
    [
        "time.sleep(1000)",
        "while True: pass",
        "re.match('(a+)+$', 'a' * 64 + 'b')",
        "os.closerange(0, 3); time.sleep(1000)",
    ],
)
async def test_a_task_does_not_outlive_a_runner_that_was_killed(busy: str) -> None:
    """Not even code that never lets go of the interpreter, nor the zygote."""
    text = f"import os, re, time\nprint(os.getpid(), os.getppid())\n{busy}"
    with subprocess.Popen(
        [sys.executable, "-c", RUNNER, text], stdout=subprocess.PIPE, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}
    ) as runner:
        assert runner.stdout is not None
        pids = [int(pid) for pid in json.loads(runner.stdout.readline())]
        assert all(map(is_alive, pids))
        runner.send_signal(signal.SIGKILL)
    await eventually(lambda: not any(map(is_alive, pids)), "the task ends with its runner")


async def test_what_the_zygote_has_rehearsed_leaves_nothing_in_a_task() -> None:
    text = """
        import builtins, linecache, sys
        def depth(p):
            return 1 + depth(p._builtin) if hasattr(p, "_builtin") else 0
        frames = [name for name in linecache.cache if name == "<code>"]
        return {"printers": depth(builtins.print), "source": len(frames)}
        """
    config = {"stdlib_allow": {"*"}, "builtins_deny": (), "language": "full"}
    async with started(**config) as executor:
        request = TaskRequest("t", code_settings(textwrap.dedent(text), []), lambda _: None)
        [item] = json.loads(bytes((await executor.execute(request)).result))
    assert item["json"] == {"printers": 1, "source": 1}
