"""What a zygote does to its memory before it forks, on every version of Python that this machine has."""

from __future__ import annotations

import os
import subprocess
import textwrap
from pathlib import Path

import pytest

from tests.pythons import interpreters
from tests.support import ROOT

PYTHONS = dict(interpreters())
WITH_MARKS = [version for version in PYTHONS if version != "3.11"]

EVERY_PYTHON = pytest.mark.parametrize("version", PYTHONS)
EVERY_PYTHON_WITH_MARKS = pytest.mark.parametrize("version", WITH_MARKS)


def run(version: str, code: str, **environment: str) -> str:
    """What a code prints, in a process of its own; it has to end well."""
    done = subprocess.run(
        [PYTHONS[version], "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_more_than_one_python_is_looked_at() -> None:
    if len(PYTHONS) < 2:
        pytest.skip(f"of Python there is only {', '.join(PYTHONS)} here")


# Immortal objects

MARKED = """\
import gc, json, sys
from runner.execution.sandbox.child.immortal import make_immortal

class Own:
    def method(self): return self

there, function = Own(), Own.method
counted = sys.getrefcount(there)
gc.collect()
marked = make_immortal()
gc.freeze()
"""


@EVERY_PYTHON_WITH_MARKS
def test_users_of_what_was_there_are_no_longer_counted(version: str) -> None:
    code = """
    for each in (there, function, function.__code__, Own, json.loads, json, "a text", sys.modules):
        before = sys.getrefcount(each)
        users = [each] * 1000
        assert sys.getrefcount(each) == before > 2**31, each
    print(marked > 10_000)
    """
    assert run(version, MARKED + textwrap.dedent(code)) == "True"


@EVERY_PYTHON_WITH_MARKS
def test_what_is_made_later_is_counted_and_let_go_of_as_ever(version: str) -> None:
    code = """
    import weakref
    class Later(Own): pass
    new = Later()
    assert sys.getrefcount(new) == counted
    seen = weakref.ref(new)
    del new
    assert seen() is None
    circle = Later()
    circle.itself = circle
    seen = weakref.ref(circle)
    del circle
    gc.collect()
    assert seen() is None
    print("ok")
    """
    assert run(version, MARKED + textwrap.dedent(code)) == "ok"


@EVERY_PYTHON_WITH_MARKS
def test_what_bears_the_mark_can_be_used_and_changed_as_before(version: str) -> None:
    code = """
    value = {"a": [1, 2.5, None, True, "text", {"b": []}], "big": 2**70}
    for _ in range(1000):
        assert json.loads(json.dumps(value)) == value
    there.attribute = value
    del there.attribute
    sys.modules["another"] = json
    del sys.modules["another"]
    Own.method = lambda self: 1
    assert there.method() == 1
    for generation in range(3):
        gc.collect(generation)
    gc.unfreeze()
    gc.collect()
    assert json.loads('{"a": 1}') == {"a": 1}
    import decimal, dataclasses, enum, typing, statistics
    assert statistics.mean([1, 2]) == 1.5
    print("ok")
    """
    assert run(version, MARKED + textwrap.dedent(code)) == "ok"


@EVERY_PYTHON_WITH_MARKS
def test_a_process_that_bears_marks_ends_as_any_other(version: str) -> None:
    assert run(version, MARKED + "import atexit; atexit.register(print, 'bye')") == "bye"


@EVERY_PYTHON
def test_a_python_without_marks_is_left_alone(version: str) -> None:
    if version in WITH_MARKS:
        without = "import ctypes; del ctypes.c_uint32"
        assert run(version, f"{without}\n{MARKED}\nprint(marked, sys.getrefcount(there) == counted)") == "0 True"
    else:
        assert run(version, f"{MARKED}\nprint(marked, sys.getrefcount(there) == counted)") == "0 True"


# Gaps

GAPPY = """\
import ctypes, gc
from runner.execution.sandbox.child.gaps import use_up_gaps

gappy = [[bytes(size) for _ in range(500)] for size in (20, 100, 300, 400)]
gappy += [ctypes.create_string_buffer(size) for size in range(600, 3000, 10) for _ in range(5)]
for each in gappy[:4]:
    del each[::3]
del gappy[4::3]
gc.collect()

def pages(size):
    made = [bytes(size) for _ in range(6)]
    return len({id(each) // 4096 for each in made})

def pages_of_the_c_librarys():
    made = [ctypes.create_string_buffer(size) for size in range(600, 1000, 50)]
    return len({ctypes.addressof(each) // 4096 for each in made})
"""


@EVERY_PYTHON
def test_what_is_made_after_gaps_were_used_up_lies_together(version: str) -> None:
    code = """
    scattered = pages_of_the_c_librarys()
    use_up_gaps()
    print([pages(size) for size in (20, 100, 300, 400)], pages_of_the_c_librarys(), scattered)
    """
    by_size, together, scattered = run(version, GAPPY + textwrap.dedent(code)).rsplit(" ", 2)
    assert by_size == "[1, 1, 1, 1]"
    assert int(together) <= 3 < int(scattered)


@EVERY_PYTHON
@pytest.mark.parametrize("allocator", ["malloc", "debug", "pymalloc_debug"])
def test_another_allocator_does_not_make_it_take_all_memory(version: str, allocator: str) -> None:
    code = """
    import resource
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    use_up_gaps()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    kilobytes = int(run(version, GAPPY + textwrap.dedent(code), PYTHONMALLOC=allocator))
    assert kilobytes < 20_000


# Large pages

LARGE_PAGES = """\
from runner.execution.sandbox.child.arenas import Arenas
arenas = Arenas()

import os, sys
from runner.execution.sandbox.child.large_pages import LargePages

def large(permissions):
    counted, counts = 0, False
    for line in open("/proc/self/smaps"):
        first, second, *_ = line.split()
        if "-" in first and not first.endswith(":"):
            counts = second == permissions
        elif first == "AnonHugePages:" and counts:
            counted += int(second)
    return counted // 2048

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
"""

needs_large_pages = pytest.mark.needs("large pages")


@EVERY_PYTHON
@needs_large_pages
def test_the_code_of_the_interpreter_runs_on_in_large_pages(version: str) -> None:
    code = """
    import json, math
    files = {line.split()[5] for line in open("/proc/self/maps") if "r-xp" in line and "/" in line}
    mappings = sum(1 for _ in open("/proc/self/maps"))
    assert LargePages().keep_code() == len(files)
    assert large("r-xp") > 0
    assert not any("r-xp" in line and line.split()[5:] for line in open("/proc/self/maps") if "[" not in line)
    assert sum(1 for _ in open("/proc/self/maps")) < mappings - 2 * len(files)
    import decimal, hashlib, re, traceback
    assert json.loads(json.dumps({"a": [1.5, None]})) == {"a": [1.5, None]}
    assert re.sub("[aeiou]", "", "large pages") == "lrg pgs"
    assert str(decimal.Decimal(1) / 7) == "0.1428571428571428571428571429"
    assert hashlib.sha256(b"").hexdigest().startswith("e3b0c442")
    try:
        eval("1 / 0")
    except ZeroDivisionError as error:
        assert "division" in traceback.format_exc()
    if not os.fork():
        exec("class A: pass")
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 7
    print("ok")
    """
    assert run(version, LARGE_PAGES + textwrap.dedent(code)) == "ok"


@EVERY_PYTHON
@needs_large_pages
def test_of_a_large_file_only_what_is_in_use_is_copied(version: str, tmp_path: Path) -> None:
    code = f"""
    import mmap
    path, megabyte = {str(tmp_path / "code")!r}, 2**20
    content = os.urandom(megabyte) * 16
    with open(path, "w+b") as file:
        file.write(content)
        file.flush()
        memory = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC)

    def mapped():
        ranges = [line.split()[0].split("-") for line in open("/proc/self/maps") if path in line]
        return sum(int(end, 16) - int(start, 16) for start, end in ranges) / megabyte

    assert mapped() == 16
    assert memory[: 5 * megabyte] == content[: 5 * megabyte]
    assert LargePages().keep_code() > 0
    assert 9 <= mapped() <= 13, mapped()
    assert memory[:] == content
    print("ok")
    """
    assert run(version, LARGE_PAGES + textwrap.dedent(code)) == "ok"


@EVERY_PYTHON
@needs_large_pages
def test_objects_are_as_they_were_in_large_pages_here_and_in_a_child_that_changes_them(version: str) -> None:
    code = """
    pages = LargePages()
    things = [{"n": n, "text": str(n) * 10, "list": [n, float(n)]} for n in range(20_000)]
    kept = pages.keep_objects()
    assert 3 < kept - 2 <= large("rw-p") <= kept, (kept, large("rw-p"))  # those at the ends are in parts again
    arenas.as_before()

    def are_as_made():
        return all(t == {"n": n, "text": str(n) * 10, "list": [n, float(n)]} for n, t in enumerate(things))

    assert are_as_made()
    if not os.fork():
        for each in things:
            each["list"].append("more")
            each["n"] = None
        del things[::2]
        os._exit(0 if things[0]["list"] == [1, 1.0, "more"] else 1)
    assert os.wait()[1] == 0
    assert are_as_made()
    assert pages.keep_objects() == 0, "they are shared as they are"
    assert are_as_made()
    print("ok")
    """
    assert run(version, LARGE_PAGES + textwrap.dedent(code)) == "ok"


@EVERY_PYTHON
def test_python_takes_arenas_from_the_c_library_until_it_does_as_before(version: str) -> None:
    code = """
    import ctypes
    sbrk = ctypes.CDLL(None).sbrk
    sbrk.restype = ctypes.c_void_p
    began = sbrk(0)
    things = [[str(n)] for n in range(100_000)]
    end = sbrk(0)
    assert end - began > 8 * 2**20, end - began
    arenas.as_before()
    before = resident()
    more = [[str(n)] for n in range(100_000)]
    assert sbrk(0) - end < 2**20, sbrk(0) - end
    assert resident() - before > 8 * 2**20
    del more
    del things
    freed = before - resident()
    assert freed > 6 * 2**20, freed
    assert [[str(n)] for n in range(100_000)][-1] == ["99999"]
    print("ok")
    """
    assert run(version, LARGE_PAGES + textwrap.dedent(code)) == "ok"


@EVERY_PYTHON
def test_a_python_that_cannot_call_c_is_left_alone(version: str) -> None:
    code = "import sys; sys.modules['ctypes'] = None\n" + LARGE_PAGES
    code += "arenas.as_before(); print(LargePages().keep_code(), LargePages().keep_objects(), large('rw-p'))"
    assert run(version, code) == "0 0 0"
