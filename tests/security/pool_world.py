"""What attacks that come through the pool are judged by: a world around each, and what it did to all that is shared."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import attrs
from msgspec import Raw

from runner import TaskFailed, TaskRequest, TaskRunnerConfig
from runner.execution.sandbox.confinement.spec import OWN_USER
from runner.execution.sandbox.executor import SandboxExecutor
from tests.sandbox import interpreter
from tests.security.pool_attacks.attack import SIGNS, Attack
from tests.security.world import SECRET, SETTLED, Setting, World, world_for
from tests.support import children_of, code_settings

TOKEN = "token-of-the-runner"
OTHERS_ITEM = "item-of-another"
LIMITS = {
    "task_memory_limit": 128,
    "task_cpu_limit": 1,
    "task_open_files": 64,
    "task_file_size": 16,
    "task_threads": 64,
    "max_concurrency": 6,
}
AT_ONCE = 6
PATIENCE = 3.0
"""How long an attack may take until it is cancelled, in seconds."""

STALLED = 1.5
"""How long others may be kept waiting by an attack, in seconds."""

USER = OWN_USER if os.getuid() == 0 else os.getuid()


@attrs.define
class Said:
    """What the runner would send on for a task."""

    prints: list[Raw] = attrs.field(factory=list)
    result: Raw | None = None
    error: str = ""

    @property
    def texts(self) -> Iterator[str]:
        """All of it."""
        yield self.error
        for document in [*self.prints, *filter(None, [self.result])]:
            yield bytes(document).decode("utf-8", "replace")

    def forgeries(self) -> Iterator[str]:
        """What is no JSON value of its own where it is spliced into a message."""
        for document in [*self.prints, *filter(None, [self.result])]:
            try:
                message = json.loads(
                    b'{"type":"x","data":%b,"end":1}' % bytes(document), parse_constant=_no_constant, parse_int=str
                )
            except (ValueError, RecursionError) as error:
                yield f"a message that is no JSON: {error}"
            else:
                if list(message) != ["type", "data", "end"]:
                    yield f"a message with members of its own: {list(message)}"

    @property
    def loot(self) -> str:
        """What the attack returned."""
        with contextlib.suppress(TypeError, ValueError, KeyError, IndexError, AttributeError):
            loot = json.loads(bytes(self.result or b""))[0]["json"]["loot"]
            return "" if loot in {"0", "False", "[]", "''"} else str(loot)
        return ""


def _no_constant(text: str) -> Any:
    raise ValueError(text)


def judged(attack: Attack, said: Said, world: World, *, holds_rules: bool) -> list[str]:
    """What an attack has achieved, as the world and its own words show."""
    found = [*world.damage(), *said.forgeries()]
    loot = said.loot
    if attack.against_rules:
        loot = loot if holds_rules and SIGNS.search(loot) else ""
    if loot:
        found.append(f"loot: {loot[:300]}")
    for text in said.texts:
        found += [f"{secret} in what it said" for secret in (SECRET, TOKEN, OTHERS_ITEM) if secret in text]
    return found


class Pool:
    """A pool under one configuration, with neighbours that run all the time beside the attacks."""

    def __init__(self, executor: SandboxExecutor, *, holds_rules: bool) -> None:
        """A started executor; and a listener that may be reached where the network is allowed."""
        self._executor = executor
        self._holds_rules = holds_rules
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._open = socket.create_server(("127.0.0.1", 0))
        self.disturbed: list[str] = []
        """What happened to neighbours."""

    def close(self) -> None:
        """Listen no longer."""
        self._open.close()

    async def said(self, code: str, items: Any) -> Said:
        """What comes of a task that is cancelled when it takes too long."""
        said = Said()
        request = TaskRequest("t", code_settings(code, items), said.prints.append)
        running = asyncio.ensure_future(self._executor.execute(request))
        try:
            await asyncio.wait([running], timeout=PATIENCE)
        except asyncio.CancelledError:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            raise
        if not running.done():
            running.cancel()
            began = time.monotonic()
            await asyncio.wait([running])
            if time.monotonic() - began > STALLED:
                self.disturbed.append("a task could not be cancelled in time")
        try:
            said.result = (await running).result
        except TaskFailed as failed:
            said.error = f"{failed.message} {failed.description}"
        except asyncio.CancelledError:
            said.error = "cancelled"
        return said

    async def tried(self, attack: Attack) -> list[str]:
        """What an attack achieves."""
        async with self._turn if not attack.alone else contextlib.nullcontext():
            with world_for(Setting("pool", interpreter(), None, USER)) as world:
                facts = {**world.facts(), "open_port": self._open.getsockname()[1]}
                said = await self.said(attack.code, [{"json": {**facts, "again": False}}])
                if attack.twice:
                    said = await self.said(attack.code, [{"json": {**facts, "again": True}}])
                if not said.error.startswith("Security violations detected"):  # or else nothing has run
                    await asyncio.sleep(SETTLED)
                return await asyncio.to_thread(judged, attack, said, world, holds_rules=self._holds_rules)

    async def tried_alone(self, attack: Attack) -> list[str]:
        """The same, with what it did to others."""
        before = len(self.disturbed)
        found = await self.tried(attack)
        found += self.disturbed[before:]
        del self.disturbed[before:]
        return found

    async def is_company(self) -> None:
        """Run a harmless task again and again, and see that it is well."""
        code = "import time\ntime.sleep(0.05)\nreturn [{'json': {'sum': sum(i['json']['n'] for i in _items)}}]"
        while True:
            began = time.monotonic()
            said = await self.said(code, [{"json": {"n": n, "of": OTHERS_ITEM}} for n in range(10)])
            took = time.monotonic() - began
            if bytes(said.result or b"") != b'[{"json":{"sum":45}}]':
                self.disturbed.append(f"a neighbour's task ended with {said.error or said.result!r}")
            if took > STALLED:
                self.disturbed.append(f"a neighbour's task took {took:.1f} s")

    async def is_awake(self) -> None:
        """See that nobody keeps the runner's own loop."""
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.02)
            if (took := time.monotonic() - began) > STALLED:
                self.disturbed.append(f"the runner stood still for {took:.1f} s")


@attrs.frozen
class Outcome:
    """What came of all attacks under one configuration."""

    achieved: dict[str, list[str]]
    disturbed: list[str]
    left: list[int]
    """Processes that are there when the pool is closed."""
    warnings: list[str]


@contextlib.asynccontextmanager
async def pool(config: dict[str, Any], *, holds_rules: bool) -> AsyncIterator[Pool]:
    """A pool with company, for as long as the block lasts."""
    executor = SandboxExecutor(
        TaskRunnerConfig(auth_token=TOKEN, **{**LIMITS, **config}),
        {**os.environ, "N8N_RUNNERS_AUTH_TOKEN": TOKEN, "OTHER": SECRET},
        python=interpreter(),
    )
    try:
        await executor.start()
        assert executor.report.is_complete, str(executor.report)
        running = Pool(executor, holds_rules=holds_rules)
        company = [asyncio.ensure_future(task) for task in (running.is_company(), running.is_awake())]
        try:
            yield running
        finally:
            for task in company:
                task.cancel()
            await asyncio.wait(company)
            running.close()
    finally:
        await executor.close()


async def outcome_of(attacks: list[Attack], config: dict[str, Any], *, holds_rules: bool) -> Outcome:
    """Try attacks: several at a time, then those that have to be alone."""
    records: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: records.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("runner").addHandler(handler)
    try:
        async with pool(config, holds_rules=holds_rules) as running:
            together = [attack for attack in attacks if not attack.alone]
            found = await asyncio.gather(*map(running.tried, together))
            achieved = {attack.name: what for attack, what in zip(together, found, strict=True)}
            disturbed = [*running.disturbed]
            for attack in attacks:
                if attack.alone:
                    achieved[attack.name] = await running.tried_alone(attack)
    finally:
        logging.getLogger("runner").removeHandler(handler)
    return Outcome(achieved, disturbed, children_of(os.getpid()), records)


UNCONFINED = """
import ast, json, os, sys
encode = json.JSONEncoder(default=str).encode
job = json.load(sys.stdin)
os.environ.update(job['environment'])
os.chdir('/')
def run(items):
    tree = ast.parse("def code(_items, _query=None): pass")
    tree.body[0].body = ast.parse(job['code']).body
    space = {'__name__': '__main__', '_items': items}
    exec(compile(ast.fix_missing_locations(tree), '<code>', 'exec'), space)
    return space['code'](items)
error, returned = '', None
try:
    for again in job['again']:
        returned = run([{'json': {**job['facts'], 'again': again}}])
except BaseException as problem:
    error = type(problem).__name__ + ': ' + str(problem)
with os.fdopen(job['answer'], 'w') as file:
    file.write(encode({'result': [{'json': returned}], 'error': error}))
"""
"""Runs an attack as it stands, in an ordinary interpreter."""


def unconfined(attack: Attack) -> list[str]:
    """What an attack achieves where nothing holds it."""
    with world_for(Setting("unconfined", sys.executable, None, USER)) as world:
        own = world.folders / "own"
        own.mkdir()
        reading, writing = os.pipe()
        job = {
            "code": attack.code,
            "facts": world.facts(),
            "again": [False, True] if attack.twice else [False],
            "answer": writing,
            "environment": {"TMPDIR": str(own), "N8N_RUNNERS_AUTH_TOKEN": TOKEN},
        }
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", UNCONFINED],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(writing,),
            start_new_session=True,
        )
        os.close(writing)
        with os.fdopen(reading, "rb") as answer:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(json.dumps(job).encode(), timeout=10)
            process.kill()
            process.wait()
            os.set_blocking(answer.fileno(), False)
            document = answer.read() or b""
        time.sleep(SETTLED)
        said = Said()
        if document:
            answered = json.loads(document)
            said.result, said.error = Raw(json.dumps(answered["result"]).encode()), answered["error"]
        found = judged(attack, said, world, holds_rules=True)
        return found or ([] if not said.error else [f"({said.error})"])
