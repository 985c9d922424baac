"""The kernel's confinement, judged by what hostile programs get done, and by what harmless ones still can."""

from __future__ import annotations

import errno
import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from runner.execution.sandbox.confinement import landlock, rules
from runner.execution.sandbox.confinement.confine import Confinement
from runner.execution.sandbox.confinement.kernel import Kernel
from runner.execution.sandbox.confinement.layers import LAYERS
from runner.execution.sandbox.confinement.readable import readable_paths
from runner.execution.sandbox.confinement.report import Report, complete, missing
from runner.execution.sandbox.confinement.rules import OWN, Rule
from runner.execution.sandbox.confinement.spec import Spec
from runner.execution.sandbox.confinement.syscall_filter import Program, assemble
from runner.execution.sandbox.confinement.syscalls import ARCHITECTURES, AUDIT_NAMES, LAST_KNOWN, NUMBERS
from tests.security.attacks import ATTACKS, PROVEN
from tests.security.harmless import PROGRAMS
from tests.security.world import LIMITS, Setting, World, settings, world_for

pytestmark = [pytest.mark.needs("proc"), pytest.mark.needs("landlock")]

SETTINGS = settings()
ROOT_ONLY_KNOWN = {"user", "threads"}
"""The layers that cannot be complete where this runs as root and the interpreter is root's alone."""


@pytest.fixture(params=SETTINGS, ids=lambda setting: setting.name)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    setting: Setting = request.param
    with world_for(setting) as made:
        yield made


def loot(answer: dict[str, Any]) -> str:
    return "" if answer["loot"] in {"''", "False", "0", "[]"} else str(answer["loot"])


# What attacks get done.


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_an_attack_fails(world: World, name: str) -> None:
    end, answer = world.run(name)
    assert (loot(answer), world.damage()) == ("", []), (end, answer)


@pytest.mark.parametrize("name", sorted(PROVEN))
def test_the_attack_would_succeed_without_confinement(name: str) -> None:
    with world_for(SETTINGS[0]) as world:
        end, answer = world.run(name, confined=False)
        assert loot(answer) or world.damage(), (end, answer)


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_a_harmless_program_works(world: World, name: str) -> None:
    end, answer = world.run(name, memory=512 * 1024**2 if name == "imports_all_there_is" else LIMITS["memory"])
    assert loot(answer), (end, answer)
    assert world.damage() == []


def test_the_network_is_there_if_it_is_allowed(world: World) -> None:
    world.run("connects_to_a_listener", network=True)
    assert world.damage() == ["a listener was reached"]


@pytest.mark.parametrize(
    "name",
    ["listens", "opens_a_netlink_socket", "opens_a_raw_socket", "opens_a_packet_socket", "connects_to_a_path"],
)
def test_what_is_not_outgoing_is_denied_all_the_same(world: World, name: str) -> None:
    _, answer = world.run(name, network=True)
    assert (loot(answer), world.damage()) == ("", [])


def test_memory_beyond_the_limit_is_a_memory_error(world: World) -> None:
    _, answer = world.run("takes_memory")
    assert answer["error"].startswith("MemoryError")


def test_every_layer_reports(world: World) -> None:
    _, answer = world.run("hashes")
    report = Report(answer["report"])
    assert {result.layer for result in report} == {layer.name for layer in LAYERS}
    assert {result.layer for result in report.lacking()} <= (set() if answer["user"] else ROOT_ONLY_KNOWN), str(report)
    if os.getuid() == 0 and world.setting.name in {"own user", "never root"}:
        assert report.is_complete
        assert answer["user"] == world.setting.task_user


# The filter as a program.


def simulate(program: Program, machine: str, name: str | int, *arguments: int, own: int = 77) -> int | None:
    """What a filter answers to a call: None if it is allowed."""
    number = NUMBERS[name][ARCHITECTURES.index(machine)] if isinstance(name, str) else name
    assert number is not None
    padded = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("=IIQ6Q", number, AUDIT_NAMES[machine], 0, *padded)
    return execute(program.bytes_for(own), data)


def execute(code: bytes, data: bytes) -> int | None:
    steps = list(struct.iter_unpack("=HBBI", code))
    at, value = 0, 0
    while True:
        operation, if_so, if_not, constant = steps[at]
        at += 1
        if operation == 0x20:
            (value,) = struct.unpack_from("=I", data, constant)
        elif operation == 0x54:
            value &= constant
        elif operation in {0x15, 0x25}:
            at += if_so if (value == constant if operation == 0x15 else value > constant) else if_not
        else:
            assert operation == 0x06
            return None if constant == 0x7FFF_0000 else constant & 0xFFFF


MACHINES = pytest.mark.parametrize("machine", ARCHITECTURES)
ALL_RULES = (
    (*rules.ZYGOTE, *rules.NO_NETWORK),
    (*rules.ZYGOTE, *rules.NETWORK),
    (*rules.WORKER, *rules.OLD_LANDLOCK),
)


def program(machine: str, *which: Rule) -> Program:
    return assemble(Kernel(machine, lambda *_: 0), which)


@MACHINES
@pytest.mark.parametrize("which", ALL_RULES)
def test_every_rule_without_tests_is_followed_and_all_other_calls_are_allowed(
    machine: str, which: tuple[Rule, ...]
) -> None:
    made = program(machine, *which)
    answers = {
        NUMBERS[name][ARCHITECTURES.index(machine)]: rule.answer
        for rule in which
        for name in rule.calls
        if not (rule.unless or rule.when)
    }
    tested = {
        NUMBERS[name][ARCHITECTURES.index(machine)] for rule in which for name in rule.calls if rule.unless or rule.when
    }
    for number in set(range(LAST_KNOWN + 1)) - tested:
        assert simulate(made, machine, number) == answers.get(number), number


@pytest.mark.parametrize("which", ALL_RULES)
def test_no_two_rules_are_about_the_same_call(which: tuple[Rule, ...]) -> None:
    names = [name for rule in which for name in rule.calls]
    assert len(names) == len(set(names))
    assert set(names) <= set(NUMBERS)


@MACHINES
@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        ("kill", (77, 9), None),
        ("kill", (78, 9), errno.EPERM),
        ("kill", (0, 9), errno.EPERM),
        ("kill", (2**32 - 1, 9), errno.EPERM),
        ("kill", (2**32 + 78, 9), errno.EPERM),
        ("tgkill", (77, 99, 6), None),
        ("tgkill", (78, 78, 6), errno.EPERM),
        ("clone", (0x3D0F00,), None),
        ("clone", (17,), errno.EPERM),
        ("clone", (0x4000 | 0x100 | 17,), errno.EPERM),
        ("clone", (0x3D0F00 | 0x1000_0000,), errno.EPERM),
        ("prlimit64", (0, 1), None),
        ("prlimit64", (77, 1), errno.EPERM),
        ("prlimit64", (1, 1), errno.EPERM),
        ("setpriority", (0, 0), None),
        ("setpriority", (2, 0), errno.EPERM),
        ("setpriority", (0, 1), errno.EPERM),
        ("sched_setaffinity", (0, 8), None),
        ("sched_setaffinity", (1, 8), errno.EPERM),
        ("ioprio_set", (1, 0), None),
        ("ioprio_set", (1, 1), errno.EPERM),
        ("fcntl", (3, 1030), None),
        ("fcntl", (3, 8), errno.EPERM),
        ("fcntl", (3, 15), errno.EPERM),
        ("ioctl", (3, 0x5401), None),
        ("ioctl", (3, 0x5412), errno.EPERM),
        ("mmap", (0, 4096, 3, 0x22), None),
        ("mmap", (0, 4096, 3, 0x01), None),
        ("mmap", (0, 4096, 3, 0x21), errno.EPERM),
        ("mmap", (0, 4096, 3, 0x23), errno.EPERM),
        ("mmap", (0, 4096, 3, 0x122), errno.EPERM),
        ("mmap", (0, 4096, 3, 0x40022), errno.EPERM),
        ("prctl", (15,), None),
        ("prctl", (1, 0), errno.EPERM),
        ("setsid", (), errno.EPERM),
        ("rt_sigqueueinfo", (77, 9), errno.EPERM),
        ("fchownat", (), errno.EPERM),
        ("utimensat", (), 0),
        ("prctl", (4, 1), errno.EPERM),
        ("openat", (0, 0, 0x241), None),
        ("openat", (0, 0, 0x200), errno.EPERM),
        ("openat", (0, 0, 0x203), errno.EPERM),
        ("openat2", (), errno.ENOSYS),
        ("fchmodat", (), 0),
    ],
)
def test_the_filters_of_a_worker_look_at_arguments(
    machine: str, name: str, arguments: tuple[int, ...], answer: int | None
) -> None:
    assert answer_in_a_worker(machine, name, *arguments) == answer


def answer_in_a_worker(machine: str, name: str, *arguments: int) -> int | None:
    """What comes of a call that has to pass both filters: of two errors it is the later filter's."""
    from_the_zygote, its_own = (
        simulate(program(machine, *ALL_RULES[which]), machine, name, *arguments) for which in (0, 2)
    )
    return from_the_zygote if its_own is None else its_own


@MACHINES
def test_a_zygote_may_still_do_what_confines_its_workers(machine: str) -> None:
    made = program(machine, *ALL_RULES[0])
    for name, *arguments in CONFINING:
        assert simulate(made, machine, name, *arguments) is None, name
        assert answer_in_a_worker(machine, name, *arguments) == errno.EPERM, name


CONFINING: list[tuple[Any, ...]] = [
    ("prctl", 1, 9),
    ("prctl", 22, 2),
    ("seccomp", 1, 1),
    ("landlock_create_ruleset",),
    ("landlock_add_rule",),
    ("landlock_restrict_self",),
    ("clone", 17),
    ("kill", 1, 9),
]


@MACHINES
def test_the_filter_that_each_worker_takes_anew_is_short(machine: str) -> None:
    its_own = program(machine, *rules.WORKER)
    assert len(its_own.instructions) < 40, "the kernel looks at each of them some three hundred times a task"


@MACHINES
@pytest.mark.parametrize(
    ("network", "arguments", "answer"),
    [
        (rules.NO_NETWORK, (2, 1, 0), errno.EPERM),
        (rules.NO_NETWORK, (1, 1, 0), errno.EPERM),
        (rules.NETWORK, (2, 1 | 0x80000, 6), None),
        (rules.NETWORK, (10, 2, 0), None),
        (rules.NETWORK, (2, 2, 1), errno.EPERM),
        (rules.NETWORK, (2, 3, 0), errno.EPERM),
        (rules.NETWORK, (1, 1, 0), errno.EPERM),
        (rules.NETWORK, (16, 3, 0), errno.EPERM),
    ],
)
def test_sockets(machine: str, network: tuple[Rule, ...], arguments: tuple[int, ...], answer: int | None) -> None:
    made = program(machine, *rules.ZYGOTE, *network)
    assert simulate(made, machine, "socket", *arguments) == answer
    assert simulate(made, machine, "socketpair", 1, 1 | 0x80000) is None
    assert simulate(made, machine, "socketpair", 1, 2) == errno.EPERM
    assert simulate(made, machine, "setsockopt", 3, 1, 26) == errno.EPERM
    assert simulate(made, machine, "setsockopt", 3, 6, 26) is None
    assert simulate(made, machine, "clone", 17) is None, "a zygote forks"
    assert simulate(made, machine, "kill", 1, 9) is None, "and may end what it forked"


@MACHINES
def test_other_numbers_and_other_architectures_are_refused(machine: str) -> None:
    made = program(machine, *ALL_RULES[0])
    assert simulate(made, machine, LAST_KNOWN + 1) == errno.ENOSYS
    assert simulate(made, machine, 0x4000_0000 | 39) == errno.ENOSYS, "x32"
    i386 = struct.pack("=IIQ6Q", 20, 0x4000_0003, 0, *[0] * 6)
    assert execute(made.bytes_for(1), i386) == errno.EPERM


@MACHINES
def test_a_filter_is_well_formed(machine: str) -> None:
    for which in ALL_RULES:
        made = program(machine, *which)
        for place, step in enumerate(made.instructions):
            assert place + 1 + max(step.if_so, step.if_not) < len(made.instructions) or step.code == 0x06
            assert 0 <= step.constant <= 0xFFFFFFFF or step.constant == OWN
        assert len(made.instructions) < 4096


def test_the_numbers_are_those_of_this_machine() -> None:
    if os.uname().machine in ARCHITECTURES:
        assert Kernel().prctl(3) in {0, 1}


# Landlock's table.


@pytest.mark.parametrize(("abi", "expected"), [(0, 0), (1, 0x1FFF), (2, 0x3FFF), (3, 0x7FFF), (4, 0x7FFF), (5, 0xFFFF)])
def test_what_an_abi_knows(abi: int, expected: int) -> None:
    assert landlock.handled(abi) == expected


@pytest.mark.parametrize(("abi", "size"), [(1, 8), (3, 8), (4, 16), (5, 16), (6, 24), (99, 24)])
def test_attributes_are_as_long_as_an_abi_takes_them(abi: int, size: int) -> None:
    made = landlock.Landlock(Kernel("x86_64", lambda *_: abi))
    assert len(made.attributes(network=False)) == size


# What is lacking is said, and nothing is raised. In a process of its own: confinement is for ever.

DEGRADED = """
import errno, json, os, sys, tempfile
sys.path.insert(0, {root!r})
from runner.execution.sandbox.confinement import privileges
from runner.execution.sandbox.confinement.confine import Confinement
from runner.execution.sandbox.confinement.kernel import Kernel
from runner.execution.sandbox.confinement.spec import Spec
real = Kernel()
lacking = [real.number(name) for name in {lacking!r}]
def syscall(number, *arguments):
    if number in lacking:
        raise OSError({code}, os.strerror({code}))
    return real._syscall(number, *arguments)
kernel = Kernel({machine!r}, syscall)
folders = tempfile.mkdtemp(dir={where!r})
confinement = Confinement(Spec(folders, ("/",)), kernel)
confinement.confine_zygote()
folder = folders + "/own"
os.mkdir(folder)
results = confinement.confine_worker(confinement.prepare(folder, os.environ))
print(json.dumps(list(confinement.report(results))))
"""


def degraded(where: str, *lacking: str, code: int = errno.ENOSYS, machine: str | None = None) -> Report:
    root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))  # noqa: PTH120
    text = DEGRADED.format(root=root, lacking=lacking, code=code, machine=machine, where=where)
    done = subprocess.run([sys.executable, "-I", "-c", text], capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return Report(json.loads(done.stdout))


def lacking(report: Report) -> dict[str, str]:
    return {result.layer: result.achieved for result in report.lacking() if result.layer not in ROOT_ONLY_KNOWN}


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM])
def test_without_landlock(tmp_path: Any, code: int) -> None:
    report = degraded(str(tmp_path), "landlock_create_ruleset", code=code)
    assert lacking(report) == {"files": "missing", "folder": "partial"}
    assert report["files"].why
    assert not report.is_complete


@pytest.mark.parametrize("name", ["landlock_add_rule", "landlock_restrict_self"])
def test_with_half_of_landlock(tmp_path: Any, name: str) -> None:
    assert lacking(degraded(str(tmp_path), name)) == {"files": "missing", "folder": "partial"}


def test_without_seccomp(tmp_path: Any) -> None:
    report = degraded(str(tmp_path), "seccomp", "prctl")
    found = lacking(report)
    layers = ("capabilities", "privileges", "memory privacy", "parent", "system calls")
    assert {layer: found.get(layer) for layer in layers} == dict.fromkeys(layers, "missing")


def test_a_kernel_without_the_seccomp_call_takes_the_filter_by_prctl(tmp_path: Any) -> None:
    assert lacking(degraded(str(tmp_path), "seccomp")) == {}


def test_a_kernel_that_takes_no_filter(tmp_path: Any) -> None:
    found = lacking(degraded(str(tmp_path), "seccomp", code=errno.EACCES))
    assert found == {"system calls": "missing", "network": "partial"}


def test_capabilities_that_cannot_be_dropped(tmp_path: Any) -> None:
    assert lacking(degraded(str(tmp_path), "capset")) == {"capabilities": "partial"}


def test_an_architecture_that_is_not_known(tmp_path: Any) -> None:
    found = lacking(degraded(str(tmp_path), machine="riscv64"))
    assert {"files", "system calls", "network", "privileges", "memory privacy"} <= set(found)
    assert found["system calls"] == "missing"


def test_a_worker_needs_a_zygote(tmp_path: Any) -> None:
    with pytest.raises(AssertionError):
        confinement = Confinement(Spec(str(tmp_path)), Kernel(""))
        confinement.confine_worker(confinement.prepare(str(tmp_path), {}))


# Plain values.


def test_a_spec_goes_through_json() -> None:
    spec = Spec("/tmp/x", read=("/usr",), write=("/data",), network=True, user=5)
    assert Spec.of(json.loads(json.dumps(spec._asdict()))) == spec


def test_a_report_says_what_is_lacking() -> None:
    report = Report([complete("a", "fine"), missing("b", "old kernel")])
    assert not report.is_complete
    assert str(report) == "complete: a; b missing: old kernel"
    better = report.and_then([complete("b", "new kernel")])
    assert better.is_complete
    assert list(Report(json.loads(json.dumps(list(better))))) == list(better)
    assert not Report().is_complete


def test_names_of_layers_are_unique() -> None:
    assert len({layer.name for layer in LAYERS}) == len(LAYERS)


def test_what_can_be_read_is_nobodys_secret() -> None:
    paths = readable_paths()
    own = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))  # noqa: PTH120
    assert not {"/", "/etc", "/usr", "/proc", "/home", "/root", "/tmp", own, sys.prefix} & set(paths)
    assert not [path for path in paths if path.startswith(("/proc", "/run", "/var"))]
    assert any(os.__file__.startswith(path) for path in paths)
    assert "/etc/hosts" not in paths
    assert readable_paths(extras=["/proc", "/nowhere"]) == sorted([*paths, "/proc"])
