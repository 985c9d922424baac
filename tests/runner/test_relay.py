"""What a task's process asks, honest or not: a real process, and an n8n that the test plays."""

from __future__ import annotations

import asyncio
import json
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from msgspec import Raw

from runner import N8nRefused, Outcome, TaskFailed, TaskRequest
from runner.execution.sandbox import parts, wire
from runner.execution.sandbox.executor import SandboxExecutor
from tests.sandbox import EVERYTHING, started
from tests.support import code_settings, eventually, settle

HTTP = "helpers.httpRequest"
PRELUDE = """
import os, struct, time
def frame(kind, payload=b""): return struct.pack("!BI", kind, len(payload)) + payload
def send(*frames):
    data = b"".join(frames)
    while data: data = data[os.write(3, data):]
def part(kind, payload=b""): return frame(PART, bytes([kind]) + payload)
def question(number, name=b"helpers.httpRequest", what=b"[]"):
    return part(VALUES, what) + part(END) + frame(QUESTION, struct.pack("!I", number) + name)
"""
for word in ("PART", "QUESTION", "LEAVES", "ANSWER"):
    PRELUDE = f"{word} = {getattr(wire, word)}\n{PRELUDE}"
for word in ("VALUES", "LIST", "END", "DROP"):
    PRELUDE = f"{word} = {getattr(parts, word)}\n{PRELUDE}"


class Played:
    """An n8n that answers as it is told to, and notes what it was asked."""

    def __init__(self, answer: Callable[[str, Raw], Awaitable[Raw]]) -> None:
        self._answer = answer
        self.asked: list[tuple[str, bytes]] = []
        self.waiting = 0

    async def call(self, name: str, params: Raw) -> Raw:
        self.asked.append((name, bytes(params)))
        self.waiting += 1
        try:
            return await self._answer(name, params)
        finally:
            self.waiting -= 1

    async def data(self, wanted: Raw) -> Raw:
        return await self.call(wire.DATA, wanted)


async def never(_: str, __: Raw) -> Raw:
    return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]


async def at_once(_: str, params: Raw) -> Raw:
    return Raw(json.dumps({"echo": json.loads(bytes(params))}).encode())


async def large(_: str, __: Raw) -> Raw:
    return Raw(b'"' + b"x" * 8 * 1024**2 + b'"')


def request(code: str, n8n: Played) -> TaskRequest:
    """A task whose code may say what it likes on its line."""
    return TaskRequest("t", code_settings(PRELUDE + textwrap.dedent(code)), lambda _: None, n8n)


def value_in(outcome: Outcome) -> object:
    return json.loads(bytes(outcome.result))[0]["json"]["v"]


@pytest.fixture
async def executor() -> AsyncIterator[SandboxExecutor]:
    async with started(**EVERYTHING) as executor:
        yield executor


async def unharmed(executor: SandboxExecutor) -> None:
    """Another task runs as ever, and has its question answered."""
    code = 'return {"v": _helpers.httpRequest(url="u").echo}'
    async with asyncio.timeout(5):
        assert value_in(await executor.execute(request(code, Played(at_once)))) == [{"url": "u"}]


async def cancelled(running: asyncio.Task[Outcome]) -> None:
    running.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await running


@pytest.mark.parametrize("answer", [never, large])
async def test_who_asks_without_end_or_never_reads_is_heard_no_more(
    executor: SandboxExecutor, answer: Callable[[str, Raw], Awaitable[Raw]]
) -> None:
    n8n = Played(answer)
    code = "for number in range(1, 100_000): send(question(number))\nreturn []"
    running = asyncio.create_task(executor.execute(request(code, n8n)))
    await eventually(lambda: len(n8n.asked) == wire.MOST_OPEN)
    await unharmed(executor)
    assert len(n8n.asked) == wire.MOST_OPEN
    await cancelled(running)
    assert n8n.waiting == 0


async def test_who_was_heard_no_more_is_heard_again_when_there_are_answers(executor: SandboxExecutor) -> None:
    gate = asyncio.Event()

    async def later(name: str, params: Raw) -> Raw:
        await gate.wait()
        return await at_once(name, params)

    n8n = Played(later)
    code = """
    import threading
    asking = threading.Thread(target=send, args=[question(number) for number in range(1, 501)])
    asking.start()
    left = 500 * len(frame(ANSWER, b'12345{"echo": []}'))
    while left: left -= len(os.read(3, left))
    return {"v": "done"}
    """
    running = asyncio.create_task(executor.execute(request(code, n8n)))
    await eventually(lambda: len(n8n.asked) == wire.MOST_OPEN)
    gate.set()
    assert value_in(await running) == "done"
    assert len(n8n.asked) == 500


async def test_large_questions_are_few_at_a_time(executor: SandboxExecutor) -> None:
    n8n = Played(never)
    code = """
    text = part(VALUES, b'"' + b"x" * 60_000 + b'"')
    http = b"helpers.httpRequest"
    for number in range(1, 20):
        send(part(LIST), *[text] * 600, part(23), part(END), frame(QUESTION, struct.pack("!I", number) + http))
    return []
    """
    running = asyncio.create_task(executor.execute(request(code, n8n)))
    await eventually(lambda: len(n8n.asked) == 2)
    await unharmed(executor)
    assert len(n8n.asked) == 2
    await cancelled(running)


WANTED = '{"dataOfNodes": %s, "prevNode": false, "input": {"include": false}, "env": false}'
NO_NODES, SOME_NODES = WANTED % 5, WANTED % '"some"'
MORE_WANTED = WANTED[:-1] % "[]" + ', "__proto__": {}}'
PROTOCOL = "The task's process does not keep to the protocol"
RESULT = "The task's process sent a result that cannot be sent on"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ('send(question(1, b"helpers.getSSHClient"))', PROTOCOL),
        ('send(question(1, b"logNodeOutput"))', PROTOCOL),
        ('send(question(1, b""))', PROTOCOL),
        ('send(question(1, b"helpers.httpRequest\\n"))', PROTOCOL),
        ('send(question(1, what=b"{\\"length\\": 1e300}"))', PROTOCOL),
        ('send(question(1, what=b"null"))', PROTOCOL),
        ('send(question(1, b"data", b"null"))', PROTOCOL),
        ('send(question(1, b"data", b"{}"))', PROTOCOL),
        ('send(question(1, b"data", b"[" + b"1," * 9 + b"1]"))', PROTOCOL),
        (f"send(question(1, b'data', b'{NO_NODES}'))", PROTOCOL),
        (f"send(question(1, b'data', b'{SOME_NODES}'))", PROTOCOL),
        (f"send(question(1, b'data', b'{MORE_WANTED}'))", PROTOCOL),
        ('send(part(VALUES, b"{\\"a\\": 1}"), part(END), frame(LEAVES, b"customData"))', PROTOCOL),
        ('send(part(VALUES, b"{\\"a\\": {\\"b\\": 1}}"), part(END), frame(LEAVES, b"customData"))', PROTOCOL),
        (
            "text = part(VALUES, b'\"' + b\"x\" * 60_000 + b'\"')\n"
            "key = [part(19, b'\"%d\"' % n) + text for n in range(3)]\n"
            'send(part(18), *key, part(23), part(END), frame(LEAVES, b"customData"))',
            PROTOCOL,
        ),
        ('send(question(1, b"\\xff"))', PROTOCOL),
        ("send(question(1), question(1))", PROTOCOL),
        ('send(part(VALUES, b"[]"), part(END), frame(QUESTION))', PROTOCOL),
        ('send(frame(QUESTION, b"x" * 65))', PROTOCOL),
        ('send(frame(PART, b""))', PROTOCOL),
        ('send(frame(PART, b"x" * 70_000))', PROTOCOL),
        ('send(frame(ANSWER, b"\\0\\0\\0\\1\\0[]"))', PROTOCOL),
        ('send(part(VALUES, b"{}"), part(END), frame(LEAVES, b"result"))', PROTOCOL),
        ('send(part(VALUES, b"[]"), part(END), frame(LEAVES, b"staticData"))', PROTOCOL),
        ('send(part(VALUES, b"5"), part(END), frame(LEAVES, b"customData"))', PROTOCOL),
        ('send(frame(QUESTION, b"\\0\\0\\0\\1data"))', f"{RESULT}: its end is missing"),
        ('send(part(VALUES, b"[]"), frame(QUESTION, b"\\0\\0\\0\\1data"))', f"{RESULT}: its end is missing"),
        ('send(frame(LEAVES, b"staticData"))', f"{RESULT}: its end is missing"),
        ('send(part(VALUES, b"[]],[[]"))', f"{RESULT}: a part is not JSON"),
        ('send(part(VALUES, b"\\xff"))', f"{RESULT}: a part is not UTF-8 text"),
        ("send(part(DROP))", f"{RESULT}: part 24 does not belong at the start"),
        ("send(part(99))", f"{RESULT}: part 99 does not belong at the start"),
    ],
)
async def test_what_no_honest_process_says_ends_the_task(executor: SandboxExecutor, code: str, message: str) -> None:
    n8n = Played(never)
    with pytest.raises(TaskFailed) as failure:
        async with asyncio.timeout(5):
            await executor.execute(request(f"{code}\ntime.sleep(60)", n8n))
    assert failure.value.message.startswith(message)
    assert n8n.waiting == 0
    await unharmed(executor)


async def test_what_is_too_large_to_be_sent_fails_the_task_and_nothing_of_it_is_sent() -> None:
    n8n = Played(at_once)
    async with started(**EVERYTHING, max_payload_size=100_000) as executor:
        with pytest.raises(TaskFailed) as failure:
            await executor.execute(request('_helpers.httpRequest(body="x" * 200_000)', n8n))
        assert failure.value.message.startswith("What the code asks n8n is too large: it has more than the 98976 bytes")
        assert n8n.asked == []


async def test_a_question_ends_with_the_process_that_asked(executor: SandboxExecutor) -> None:
    n8n = Played(never)
    code = "send(question(1))\ntime.sleep(0.2)\nos._exit(3)"
    with pytest.raises(TaskFailed, match="Task subprocess exited with code 3"):
        await executor.execute(request(code, n8n))
    assert (len(n8n.asked), n8n.waiting) == (1, 0)


async def test_a_process_that_ends_without_reading_its_answer_has_run_all_the_same(executor: SandboxExecutor) -> None:
    n8n = Played(at_once)
    code = "send(question(1))\ntime.sleep(0.2)\nos._exit(3)"
    with pytest.raises(TaskFailed, match="Task subprocess exited with code 3"):
        await executor.execute(request(code, n8n))
    assert len(n8n.asked) == 1


async def test_nobody_waits_for_what_a_task_has_left_open_when_it_returned(executor: SandboxExecutor) -> None:
    n8n = Played(never)
    code = "send(question(1))\ntime.sleep(0.2)\nreturn {'v': 1}"
    assert value_in(await executor.execute(request(code, n8n))) == 1
    assert (len(n8n.asked), n8n.waiting) == (1, 0)


async def test_a_bug_on_our_side_is_no_fault_of_the_task(executor: SandboxExecutor) -> None:
    async def broken(_: str, __: Raw) -> Raw:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await executor.execute(request('return {"v": _workflow.name}', Played(broken)))


async def test_n8n_that_has_no_data_is_an_error_in_the_code(executor: SandboxExecutor) -> None:
    async def nothing(_: str, __: Raw) -> Raw:
        return Raw(b"null")

    with pytest.raises(TaskFailed, match="n8n has no data of this execution"):
        await executor.execute(request('return {"v": _workflow.name}', Played(nothing)))


async def test_data_is_asked_for_by_what_the_code_names(executor: SandboxExecutor) -> None:
    async def refused(_: str, __: Raw) -> Raw:
        raise N8nRefused("no")

    plain = {"prevNode": False, "input": {"include": False}}
    for code, nodes, env in (
        ('_("A").all(), _("B").params, _("A").first()', ["A", "B"], False),
        ('_("A").item', "all", False),
        ('_("A" + "B").all()', "all", False),
        ('[_][0]("A").all()', "all", False),
        ("_node['A']", "all", False),
        ("_env", [], True),
        ("_now", [], False),
    ):
        n8n = Played(refused)
        with pytest.raises(TaskFailed, match="no"):
            await executor.execute(request(f"x = {code}\nreturn []", n8n))
        assert [(name, json.loads(what)) for name, what in n8n.asked] == [
            (wire.DATA, {**plain, "dataOfNodes": nodes, "env": env})
        ]


async def test_a_signal_handler_that_raises_while_an_answer_is_awaited_loses_nothing(executor: SandboxExecutor) -> None:
    gates = [asyncio.Event()]

    async def slow_at_first(name: str, params: Raw) -> Raw:
        if gates:
            await gates.pop().wait()
        return await at_once(name, params)

    n8n = Played(slow_at_first)
    gate = gates[0]
    code = """
    import signal
    class Enough(Exception): pass
    def enough(*_): raise Enough
    signal.signal(signal.SIGALRM, enough)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        _helpers.httpRequest(url="slow")
    except Enough:
        said = "enough"
    print("go on")
    return {"v": [said, _helpers.httpRequest(url="fast").echo]}
    """
    asked = request(code, n8n)
    asked = TaskRequest(asked.task_id, asked.settings, lambda _: gate.set(), n8n)
    assert value_in(await executor.execute(asked)) == ["enough", [{"url": "fast"}]]


async def test_a_process_that_the_code_has_forked_cannot_ask(executor: SandboxExecutor) -> None:
    code = """
    reading, writing = os.pipe()
    if not os.fork():
        try:
            _helpers.httpRequest(url="u")
        except Exception as error:
            os.write(writing, str(error).encode())
        os._exit(0)
    return {"v": os.read(reading, 1000).decode()}
    """
    n8n = Played(at_once)
    try:
        outcome = await executor.execute(request(code, n8n))
    except TaskFailed as failure:
        assert "Operation not permitted" in failure.message  # noqa: PT017 - the kernel lets no task fork, which is best
    else:
        assert str(value_in(outcome)).startswith("Only the process of the task itself")
    assert n8n.asked == []


async def test_an_answer_that_is_larger_than_the_memory_of_the_task_is_an_error_and_the_next_works() -> None:
    async def answer(name: str, params: Raw) -> Raw:
        return Raw(b'"' + b"x" * 400 * 1024**2 + b'"') if b"huge" in bytes(params) else await at_once(name, params)

    code = """
    try:
        _helpers.httpRequest(url="huge")
    except MemoryError:
        return {"v": _helpers.httpRequest(url="small").echo}
    """
    async with started(**EVERYTHING, task_memory_limit=256) as executor:
        assert value_in(await executor.execute(request(code, Played(answer)))) == [{"url": "small"}]


async def test_what_is_asked_by_two_tasks_with_the_same_number_goes_to_each_its_own(executor: SandboxExecutor) -> None:
    both = asyncio.Barrier(2)

    async def together(name: str, params: Raw) -> Raw:
        await both.wait()
        return await at_once(name, params)

    code = 'return {{"v": _helpers.httpRequest(url="{}").echo[0].url}}'
    outcomes = await asyncio.gather(
        *(executor.execute(request(code.format(url), Played(together))) for url in ("one", "two"))
    )
    assert list(map(value_in, outcomes)) == ["one", "two"]


async def test_a_task_that_is_cancelled_while_it_waits_lets_go_of_its_question(executor: SandboxExecutor) -> None:
    n8n = Played(never)
    running = asyncio.create_task(executor.execute(request('_helpers.httpRequest(url="u")', n8n)))
    await eventually(lambda: n8n.waiting == 1)
    await cancelled(running)
    await settle()
    assert n8n.waiting == 0
