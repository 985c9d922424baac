"""Hostile and harmless code as real tasks of a real pool, under four configurations; judged by what it gets done."""

# ruff: noqa: E501 - the code of Code nodes

from __future__ import annotations

import inspect
import json
import os
import re
import textwrap
import time
from typing import Any

import pytest

from runner import TaskFailed, TaskRequest
from runner.execution.sandbox.confinement.spec import OWN_USER
from runner.execution.sandbox.confinement.syscalls import ARCHITECTURES, NUMBERS
from runner.execution.sandbox.executor import SandboxExecutor
from tests.sandbox import EVERYTHING, interpreter, started
from tests.security import attacks
from tests.security.world import SETTLED, Setting, World, world_for
from tests.support import children_of, code_settings
from tests.unit.test_language_runtime import HARMLESS_LOOKING
from tests.unit.test_language_runtime import PROGRAMS as LANGUAGE_PROGRAMS

pytestmark = [pytest.mark.needs("proc"), pytest.mark.needs("landlock")]

SMALL = {
    "task_memory_limit": 128,
    "task_cpu_limit": 2,
    "task_open_files": 64,
    "task_file_size": 16,
    "task_threads": 64,
}
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "25 modules": {"stdlib_allow": HARMLESS_LOOKING},
    "all of the standard library": {"stdlib_allow": {"*"}},
    "the kernel alone": EVERYTHING,
}

HEADER = f"""
import ctypes, fcntl, mmap, os, resource, signal, socket, struct, time
from pathlib import Path
from types import SimpleNamespace
ARCHITECTURES, NUMBERS = {ARCHITECTURES!r}, {NUMBERS!r}
LIBC = ctypes.CDLL(None, use_errno=True)
class World: pass
Any = None
world = SimpleNamespace(**{{**_items[0]['json'], 'own': os.environ['TMPDIR']}})
"""


def text_of(name: str) -> str:
    """An attack as the code of a Code node: all that it needs, and itself."""
    helpers = [inspect.getsource(helper) for helper in (attacks.call, attacks.raw, attacks.secret_in)]
    function = re.sub(r"^@\w+\n", "", inspect.getsource(attacks.ATTACKS[name]), flags=re.MULTILINE)
    body = HEADER + "".join(helpers) + function
    return f"{body}\nreturn {{'loot': repr({name}(world) or '')}}\n"


async def outcome(executor: SandboxExecutor, text: str, items: Any) -> tuple[str, Any]:
    """What a task came to: its error, or its result."""
    try:
        request = TaskRequest("t", code_settings(textwrap.dedent(text), items), lambda _: None)
        return "", json.loads(bytes((await executor.execute(request)).result))
    except TaskFailed as failed:
        return f"{failed.message} {failed.description}", None


async def spoils(executor: SandboxExecutor, world: World, name: str) -> Any:
    """What an attack got, and did; nothing if it failed."""
    error, result = await outcome(executor, text_of(name), [{"json": world.facts()}])
    if name.startswith(("kills", "stops")):
        time.sleep(SETTLED)  # until a signal that was sent is seen to have been
    loot = "" if result is None else result[0]["json"]["loot"]
    got = "" if loot in {"", "''", "False", "0", "[]"} else loot
    return [*filter(None, [got]), *world.damage()], error


@pytest.mark.timeout(300)
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
async def test_no_attack_succeeds(configuration: str) -> None:
    won = {}
    async with started(**CONFIGURATIONS[configuration], **SMALL) as executor:
        assert executor.report.is_complete, str(executor.report)
        for name in attacks.ATTACKS:
            with world_for(
                Setting("pool", interpreter(), None, OWN_USER if os.getuid() == 0 else os.getuid())
            ) as world:
                got, _ = await spoils(executor, world, name)
                if got:
                    won[name] = got
        assert (await outcome(executor, "return {'well': True}", []))[1] == [{"json": {"well": True}}]
    assert won == {}
    assert children_of(os.getpid()) == []


def test_there_are_attacks_enough() -> None:
    assert len(attacks.ATTACKS) >= 120


async def test_the_attacks_get_as_far_as_the_kernel() -> None:
    """Or else the kernel would not have been tried: with everything allowed, what stops them is an error of a call."""
    stopped = []
    async with started(**EVERYTHING, **SMALL) as executor:
        for name in sorted(attacks.PROVEN)[:40]:
            with world_for(
                Setting("pool", interpreter(), None, OWN_USER if os.getuid() == 0 else os.getuid())
            ) as world:
                _, error = await spoils(executor, world, name)
                stopped.append(any(word in error for word in ("not permitted", "denied", "Errno", "Out of memory")))
    assert sum(stopped) > 20, stopped


@pytest.mark.parametrize("configuration", ["default", "all of the standard library", "the kernel alone"])
async def test_harmless_code_works(configuration: str) -> None:
    failed = {}
    async with started(**CONFIGURATIONS[configuration]) as executor:
        for name, (text, expected) in LANGUAGE_PROGRAMS.items():
            body = textwrap.indent(text, "    ")
            error, result = await outcome(executor, f"def program():\n{body}\nreturn {{'v': program()}}", [])
            if error or json.loads(json.dumps(result)) != [{"json": {"v": json.loads(json.dumps(expected))}}]:
                failed[name] = error or result
    assert len(LANGUAGE_PROGRAMS) >= 40
    assert failed == {}


TABLES: dict[str, tuple[str, Any]] = {
    "numpy": ("import numpy as np\nreturn {'v': np.linspace(0, 1, 3) @ np.eye(3), 'm': np.mean([1, 2])}", {"v": [0, 0.5, 1], "m": 1.5}),
    "numpy linear algebra": ("import numpy as np\nreturn {'v': np.linalg.solve([[2, 0], [0, 4]], [2, 4])}", {"v": [1, 1]}),
    "pandas read_csv": ("import pandas as pd, io\nreturn pd.read_csv(io.StringIO('a,b\\n1,x'))", {"a": 1, "b": "x"}),
    "pandas groupby": ("import pandas as pd\nreturn pd.DataFrame({'k': ['a', 'a'], 'v': [1, 2]}).groupby('k').sum().reset_index()", {"k": "a", "v": 3}),
    "pandas to_datetime": ("import pandas as pd\nreturn {'v': pd.to_datetime('2024-05-06 07:08')}", {"v": "2024-05-06T07:08:00"}),
    "pandas merge": ("import pandas as pd\na = pd.DataFrame({'k': [1], 'x': [2]})\nreturn a.merge(pd.DataFrame({'k': [1], 'y': [3]}))", {"k": 1, "x": 2, "y": 3}),
    "pandas with dates": ("import pandas as pd\nreturn pd.DataFrame({'d': pd.date_range('2024-01-01', periods=1, tz='Europe/Berlin')})", {"d": "2024-01-01T00:00:00+01:00"}),
}  # fmt: skip


@pytest.mark.needs("pandas")
@pytest.mark.parametrize("configuration", ["default", "the kernel alone"])
async def test_tables_work_and_are_there_before_the_task(configuration: str) -> None:
    config = {**CONFIGURATIONS[configuration], "external_allow": {"numpy", "pandas"}}
    async with started(**config) as executor:
        assert executor.report.is_complete
        for name, (text, expected) in TABLES.items():
            error, result = await outcome(executor, text, [])
            assert (error, result) == ("", [{"json": expected}]), name


async def test_tasks_draw_random_numbers_of_their_own() -> None:
    text = "import random, numpy\nreturn {'v': [random.random(), float(numpy.random.rand())]}"
    config = {"stdlib_allow": {"random"}, "external_allow": {"numpy"}, "preload": {"numpy.random"}}
    async with started(**config) as executor:
        drawn = [(await outcome(executor, text, []))[1][0]["json"]["v"] for _ in range(4)]
    assert len({number for pair in drawn for number in pair}) == 8


async def test_nothing_is_left_for_the_next_task() -> None:
    leave = "import os\nd = os.environ['TMPDIR']\nfor n in range(5): os.makedirs(f'{d}/{n}/a/b'); open(f'{d}/{n}/f', 'w').close()\nos.mkdir(f'{d}/closed', 0)\nreturn {'v': d}"
    look = "import os\nd = os.environ['TMPDIR']\nreturn {'v': os.listdir(d), 'd': d}"
    async with started(**EVERYTHING, max_concurrency=1) as executor:
        used = {(await outcome(executor, leave, []))[1][0]["json"]["v"] for _ in range(3)}
        for _ in range(12):
            [item] = (await outcome(executor, look, []))[1]
            assert item["json"]["v"] == []
            assert item["json"]["d"] not in used
