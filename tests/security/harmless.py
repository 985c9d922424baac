"""What a task may well do: each program returns something, and raises nothing, in a confined process."""

# ruff: noqa: BLE001, PTH111, PTH123 - what programs call is the point of them

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

World = SimpleNamespace
PROGRAMS: dict[str, Callable[[World], Any]] = {}


def program(function: Callable[[World], Any]) -> Callable[[World], Any]:
    PROGRAMS[function.__name__] = function
    return function


@program
def imports_json_and_friends(world: World) -> Any:
    import csv
    import decimal
    import json
    import re
    import statistics
    import uuid

    return json.dumps(
        [
            csv.__name__,
            statistics.mean([1, 2]),
            str(decimal.Decimal("1.1") + 1),
            re.sub("a", "b", "a"),
            str(uuid.uuid4()),
            str(uuid.uuid1()),
        ]
    )


@program
def knows_time_zones(world: World) -> Any:
    import datetime
    import time
    import zoneinfo

    time.tzset()
    return len(zoneinfo.available_timezones()), datetime.datetime.now().astimezone().isoformat()


@program
def has_sqlite_in_memory(world: World) -> Any:
    import sqlite3

    return sqlite3.connect(":memory:").execute("select 1 + 1").fetchone()


@program
def has_sqlite_in_its_folder(world: World) -> Any:
    import sqlite3

    with sqlite3.connect(f"{world.own}/a.db") as connection:
        connection.execute("create table t (a)")
        connection.execute("insert into t values (1)")
    return sqlite3.connect(f"{world.own}/a.db").execute("select a from t").fetchone()


@program
def makes_a_tls_context(world: World) -> Any:
    import ssl

    return ssl.create_default_context().verify_mode


@program
def hashes(world: World) -> Any:
    import hashlib
    import secrets

    return hashlib.sha256(secrets.token_bytes()).hexdigest(), hashlib.scrypt(b"a", salt=b"b", n=2, r=1, p=1)


@program
def starts_threads(world: World) -> Any:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        return sum(pool.map(abs, range(100)))


@program
def uses_temporary_files(world: World) -> Any:
    import tempfile

    assert tempfile.gettempdir() == world.own
    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile(dir=folder) as file:
        file.write(b"x")
    with tempfile.TemporaryFile() as file:
        return file.write(b"x")


@program
def copies_moves_and_packs_files(world: World) -> Any:
    import shutil
    import zipfile

    a = Path(world.own, "a")
    a.write_text("x" * 100)
    a.touch()
    shutil.copy(a, f"{a}2")
    shutil.copy2(a, f"{a}3")
    Path(world.own, "b").mkdir()
    shutil.move(f"{a}2", f"{world.own}/b/c")
    os.truncate(a, 5)
    with zipfile.ZipFile(f"{world.own}/z.zip", "w") as archive:
        archive.write(a)
    shutil.unpack_archive(f"{world.own}/z.zip", f"{world.own}/unpacked")
    shutil.make_archive(f"{world.own}/t", "gztar", f"{world.own}/b")
    shutil.rmtree(f"{world.own}/b")
    return a.read_text()


@program
def runs_coroutines(world: World) -> Any:
    import asyncio

    async def main() -> Any:
        await asyncio.sleep(0.001)
        return await asyncio.to_thread(sum, [1, 2])

    return asyncio.run(main())


@program
def guesses_types(world: World) -> Any:
    import email.message
    import mimetypes

    email.message.EmailMessage().add_attachment(b"", maintype="a", subtype="b")
    return mimetypes.guess_type("a.png")


@program
def knows_its_platform(world: World) -> Any:
    import locale
    import logging
    import platform

    logging.getLogger().debug("x")
    return platform.platform(), locale.getlocale(), os.cpu_count(), os.path.expanduser("~"), os.getpid()


@program
def is_told_when_it_starts_a_program(world: World) -> Any:
    import subprocess

    try:
        subprocess.run(["/bin/true"], check=True)
    except PermissionError as error:
        return str(error)
    raise AssertionError("it was started")


@program
def writes_to_devices(world: World) -> Any:
    with open("/dev/null", "w") as null:
        null.write("x")
    return os.urandom(4), open("/dev/urandom", "rb").read(4), os.isatty(0)


@program
def prints_warns_and_traces(world: World) -> Any:
    import traceback
    import warnings

    warnings.warn("w", stacklevel=1)
    try:
        raise ValueError
    except ValueError:
        return traceback.format_exc()


@program
def imports_all_there_is(world: World) -> Any:
    import importlib
    import warnings

    warnings.simplefilter("ignore")
    failed = []
    for name in sorted(sys.stdlib_module_names - {"antigravity", "this", "_ios_support", "idlelib", "turtledemo"}):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            continue  # another system's
        except ImportError as error:
            if "cannot open shared" not in str(error):
                failed.append(f"{name}: {error}")
        except Exception as error:
            failed.append(f"{name}: {error!r}")
    assert not failed, failed
    return "all"


@program
def uses_half_of_its_memory(world: World) -> Any:
    return len(b"x" * (60 * 1024**2)), len([bytearray(1024) for _ in range(1000)])


@program
def aborts_itself_alone(world: World) -> Any:
    import signal

    caught: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, _: caught.append(number))
    signal.raise_signal(signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGUSR1)
    return caught
