"""What a hostile task tries. Each attack returns what it got, or does its damage, which is looked for outside."""

# ruff: noqa: PTH101, PTH104, PTH108, PTH115, PTH116, PTH123, PTH208 - what attacks call is the point of them

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import resource
import signal
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from runner.execution.sandbox.confinement.syscalls import ARCHITECTURES, NUMBERS

World = SimpleNamespace
ATTACKS: dict[str, Callable[[World], Any]] = {}
PROVEN: set[str] = set()
"""Attacks that succeed wherever nothing is confined, and are shown to: otherwise they would prove nothing."""

LIBC = ctypes.CDLL(None, use_errno=True)


def attack(function: Callable[[World], Any]) -> Callable[[World], Any]:
    ATTACKS[function.__name__] = function
    return function


def proven(function: Callable[[World], Any]) -> Callable[[World], Any]:
    PROVEN.add(function.__name__)
    return attack(function)


def call(name: str, *arguments: Any) -> str:
    """Make a system call, and return what shows that it was answered."""
    number = NUMBERS[name][ARCHITECTURES.index(os.uname().machine)]
    return raw(number, *arguments)


def raw(number: Any, *arguments: Any) -> str:
    words = [argument if isinstance(argument, bytes) else ctypes.c_long(argument) for argument in arguments]
    result = LIBC.syscall(ctypes.c_long(number), *words)
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return f"answered with {result}"


def secret_in(text: str | bytes, world: World) -> Any:
    data = text if isinstance(text, bytes) else text.encode()
    return world.secret.encode() in data


# Files: to be read.


@proven
def reads_the_canary(world: World) -> Any:
    return secret_in(Path(world.canary).read_bytes(), world)


@proven
def reads_through_a_symlink_in_its_folder(world: World) -> Any:
    Path(world.own, "link").symlink_to(world.canary)
    return secret_in(Path(world.own, "link").read_bytes(), world)


@proven
def reads_through_a_symlinked_folder(world: World) -> Any:
    Path(world.own, "up").symlink_to("../../outside")
    return secret_in(Path(world.own, "up", Path(world.canary).name).read_bytes(), world)


@proven
def reads_through_a_hard_link(world: World) -> Any:
    os.link(world.canary, f"{world.own}/hard")
    return secret_in(Path(world.own, "hard").read_bytes(), world)


@proven
def moves_the_canary_in(world: World) -> Any:
    os.rename(world.canary, f"{world.own}/moved")
    return secret_in(Path(world.own, "moved").read_bytes(), world)


@proven
def swaps_the_canary_in(world: World) -> Any:
    Path(world.own, "mine").write_text("mine")
    number = {"x86_64": 316, "aarch64": 276}[os.uname().machine]
    raw(number, -100, f"{world.own}/mine".encode(), -100, world.canary.encode(), 2)
    return secret_in(Path(world.own, "mine").read_bytes(), world)


@proven
def reads_from_below_another_folder(world: World) -> Any:
    os.chdir(world.outside)
    return secret_in(Path("canary").read_bytes(), world)


@proven
def reads_by_a_path_handle(world: World) -> Any:
    handle = os.open(world.canary, os.O_PATH)
    return secret_in(Path(f"/proc/self/fd/{handle}").read_bytes(), world)


@proven
def reads_a_neighbours_folder(world: World) -> Any:
    return secret_in(Path(world.neighbours, "items").read_bytes(), world)


@proven
def lists_the_folders_of_tasks(world: World) -> Any:
    return os.listdir(world.folders)


@proven
def lists_tmp(world: World) -> Any:
    return os.listdir("/tmp")


@proven
def lists_shared_memory(world: World) -> Any:
    return [os.listdir("/dev/shm"), "listed"]


@proven
def reads_the_users(world: World) -> Any:
    return Path("/etc/passwd").read_text()


@proven
def reads_this_project(world: World) -> Any:
    return Path(__file__).read_text()


@proven
def reads_a_neighbours_environment(world: World) -> Any:
    return secret_in(Path(f"/proc/{world.neighbour}/environ").read_bytes(), world)


@proven
def reads_a_neighbours_arguments(world: World) -> Any:
    return Path(f"/proc/{world.neighbour}/cmdline").read_bytes()


@proven
def reads_its_parents_environment(world: World) -> Any:
    return Path(f"/proc/{world.runner}/environ").read_bytes()


@proven
def reads_its_own_environment_from_proc(world: World) -> Any:
    return Path("/proc/self/environ").read_bytes() + b"."


@proven
def opens_its_parents_memory(world: World) -> Any:
    return os.open(f"/proc/{world.runner}/mem", os.O_RDONLY)


@proven
def follows_a_neighbours_links(world: World) -> Any:
    return os.readlink(f"/proc/{world.neighbour}/cwd")


@proven
def lists_processes(world: World) -> Any:
    return [name for name in os.listdir("/proc") if name.isdigit()]


@proven
def reads_the_machines_routes(world: World) -> Any:
    return Path("/proc/net/tcp").read_text()


@attack
def reads_the_kernels_log(world: World) -> Any:
    return call("syslog", 3, bytes(4096), 4096)


@attack
def opens_by_handle(world: World) -> Any:
    handle = bytearray(struct.pack("=Ii", 128, 0) + bytes(128))
    buffer = (ctypes.c_char * len(handle)).from_buffer(handle)
    mount = ctypes.c_int()
    number = NUMBERS["name_to_handle_at"][ARCHITECTURES.index(os.uname().machine)]
    result = LIBC.syscall(number, -100, world.canary.encode(), buffer, ctypes.byref(mount), 0)
    return result == 0


# Files: to be written.


@proven
def writes_to_the_canary(world: World) -> Any:
    Path(world.canary).write_text("hacked")


@proven
def truncates_the_canary(world: World) -> Any:
    os.truncate(world.canary, 0)


@proven
def truncates_by_opening(world: World) -> Any:
    os.open(world.canary, os.O_RDONLY | os.O_TRUNC)


@proven
def truncates_by_opening_for_nothing(world: World) -> Any:
    os.open(world.canary, 3 | os.O_TRUNC)


@proven
def deletes_the_canary(world: World) -> Any:
    os.unlink(world.canary)


@proven
def overwrites_the_canary_by_moving(world: World) -> Any:
    Path(world.own, "mine").write_text("mine")
    os.rename(f"{world.own}/mine", world.canary)


@proven
def leaves_a_file_outside(world: World) -> Any:
    Path(world.outside, "left").write_text("left")


@proven
def leaves_a_folder_outside(world: World) -> Any:
    Path(world.outside, "left").mkdir()


@proven
def leaves_a_symlink_outside(world: World) -> Any:
    Path(world.outside, "left").symlink_to("/")


@proven
def leaves_a_pipe_outside(world: World) -> Any:
    os.mkfifo(f"{world.outside}/left")


@proven
def leaves_its_own_file_outside_by_a_link(world: World) -> Any:
    Path(world.own, "mine").write_text("mine")
    os.link(f"{world.own}/mine", f"{world.outside}/left")


@proven
def leaves_a_file_in_shared_memory(world: World) -> Any:
    name = f"/dev/shm/n8n-runner-test-{os.getpid()}"
    Path(name).write_text("left")
    os.unlink(name)
    return "left"


@proven
def leaves_a_file_among_the_folders(world: World) -> Any:
    Path(world.folders, "left").write_text("left")
    return "left"


@proven
def spoils_a_neighbours_folder(world: World) -> Any:
    Path(world.neighbours, "items").write_text("forged")


@proven
def opens_the_canary_to_everybody(world: World) -> Any:
    os.chmod(world.canary, 0o777)


@proven
def closes_the_folder_of_the_canary(world: World) -> Any:
    os.chmod(world.outside, 0o000)


@proven
def makes_the_canary_old(world: World) -> Any:
    os.utime(world.canary, (1, 1))


@attack
def gives_the_canary_an_attribute(world: World) -> Any:
    os.setxattr(world.canary, "user.hacked", b"1")
    return "set"


@proven
def spoils_the_interpreter(world: World) -> Any:
    with open(os.__file__, "a"):
        return "opened"


@proven
def writes_to_the_system(world: World) -> Any:
    with open("/proc/self/oom_score_adj", "w") as file:
        return file.write("0")


@attack
def makes_a_device(world: World) -> Any:
    import stat

    os.mknod(f"{world.own}/device", stat.S_IFCHR | 0o666, os.makedev(1, 1))
    return "made"


# Processes.


@proven
def runs_a_program(world: World) -> Any:
    import subprocess

    return subprocess.check_output(["/bin/echo", "ran"])


@proven
def runs_a_program_by_posix_spawn(world: World) -> Any:
    return os.posix_spawn("/bin/echo", ["echo", "ran"], {}, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])


@proven
def runs_a_shell(world: World) -> Any:
    return os.system("exit 7") == 7 << 8


@proven
def becomes_a_program(world: World) -> Any:
    Path(world.own, "x").write_text("")
    os.execv("/bin/sh", ["sh", "-c", f"echo left > {world.outside}/left"])


@attack
def becomes_a_program_by_descriptor(world: World) -> Any:
    descriptor = os.open("/usr/lib/os-release", os.O_RDONLY)
    return call("execveat", descriptor, b"", 0, 0, 0x1000)


@proven
def forks(world: World) -> Any:
    if os.fork() == 0:
        os._exit(0)
    return "forked"


@proven
def forks_and_leaves_the_session(world: World) -> Any:
    if os.fork() == 0:
        os.setsid()
        Path(world.outside, "left").write_text("left")
        os._exit(0)
    os.wait()
    return "forked"


@proven
def forks_by_clone(world: World) -> Any:
    if call("clone", signal.SIGCHLD, 0, 0, 0, 0).endswith(" 0"):
        os._exit(0)
    return "forked"


@proven
def forks_by_clone3(world: World) -> Any:
    if call("clone3", struct.pack("=8Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0), 64).endswith(" 0"):
        os._exit(0)
    return "forked"


@proven
def kills_a_neighbour(world: World) -> Any:
    os.kill(world.neighbour, signal.SIGKILL)


@proven
def stops_a_neighbour(world: World) -> Any:
    os.kill(world.neighbour, signal.SIGSTOP)


@attack
def kills_everybody(world: World) -> Any:
    os.kill(-1, 0)
    return "could"


@attack
def kills_its_parent(world: World) -> Any:
    os.kill(world.runner, 0)
    return "could"


@attack
def kills_its_group(world: World) -> Any:
    os.killpg(world.group, 0)
    return "could"


@attack
def kills_with_high_bits(world: World) -> Any:
    call("kill", 0x1_0000_0000 | world.neighbour, signal.SIGKILL)


@proven
def kills_a_neighbour_by_thread(world: World) -> Any:
    call("tkill", world.neighbour, signal.SIGKILL)


@proven
def kills_a_neighbour_by_thread_of_a_group(world: World) -> Any:
    call("tgkill", world.neighbour, world.neighbour, signal.SIGKILL)


@proven
def kills_a_neighbour_by_a_queue(world: World) -> Any:
    call("rt_sigqueueinfo", world.neighbour, signal.SIGKILL, struct.pack("=iii", signal.SIGKILL, 0, -1) + bytes(128))


@proven
def kills_a_neighbour_by_descriptor(world: World) -> Any:
    signal.pidfd_send_signal(os.pidfd_open(world.neighbour), signal.SIGKILL)


@proven
def kills_a_neighbour_by_an_owner(world: World) -> Any:
    a, b = socket.socketpair()
    fcntl.fcntl(a, fcntl.F_SETOWN, world.neighbour)
    fcntl.fcntl(a, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(a, fcntl.F_SETFL, os.O_ASYNC)
    b.send(b"x")
    time.sleep(0.1)


@proven
def kills_a_neighbour_by_a_sockets_owner(world: World) -> Any:
    a, b = socket.socketpair()
    fcntl.ioctl(a, 0x8901, struct.pack("i", world.neighbour))
    fcntl.fcntl(a, fcntl.F_SETFL, os.O_ASYNC)
    b.send(b"x")
    time.sleep(0.1)


@proven
def limits_a_neighbour(world: World) -> Any:
    return str(resource.prlimit(world.neighbour, resource.RLIMIT_CPU, (100, 100)))


@proven
def looks_at_its_parents_limits(world: World) -> Any:
    return resource.prlimit(world.runner, resource.RLIMIT_NOFILE)


@proven
def slows_a_neighbour(world: World) -> Any:
    os.setpriority(os.PRIO_PROCESS, world.neighbour, 19)
    return "slowed"


@proven
def slows_everybody(world: World) -> Any:
    os.setpriority(os.PRIO_USER, 0, os.getpriority(os.PRIO_USER, 0))
    return "could"


@proven
def moves_a_neighbour_to_one_processor(world: World) -> Any:
    os.sched_setaffinity(world.neighbour, os.sched_getaffinity(world.neighbour))
    return "could"


@proven
def schedules_a_neighbour(world: World) -> Any:
    os.sched_setscheduler(world.neighbour, os.SCHED_IDLE, os.sched_param(0))
    return "scheduled"


@proven
def traces_a_neighbour(world: World) -> Any:
    return call("ptrace", 0x4206, world.neighbour, 0, 0)


@proven
def reads_a_neighbours_memory(world: World) -> Any:
    return call("process_vm_readv", world.neighbour, 0, 0, 0, 0, 0)


@proven
def takes_a_neighbours_descriptor(world: World) -> Any:
    return call("pidfd_getfd", os.pidfd_open(world.neighbour), 0, 0)


@proven
def becomes_readable_again(world: World) -> Any:
    return raw({"x86_64": 157, "aarch64": 167}[os.uname().machine], 4, 1, 0, 0, 0)


@proven
def outlives_its_parent(world: World) -> Any:
    return call("prctl", 1, 0, 0, 0, 0)


@attack
def leaves_its_session(world: World) -> Any:
    os.setpgid(0, world.group)
    return "left"


# Privileges and the machine.


@attack
def becomes_root_again(world: World) -> Any:
    os.setresuid(0, 0, 0)
    os.chown(world.canary, 1, 1)
    return "root" if os.stat(world.canary).st_uid == 1 else ""


@attack
def has_a_capability(world: World) -> Any:
    sets = ctypes.create_string_buffer(24)
    header = struct.pack("=Ii", 0x2008_0522, 0)
    LIBC.syscall(NUMBERS["capget"][ARCHITECTURES.index(os.uname().machine)], header, sets)
    return any(sets.raw)


@attack
def mounts(world: World) -> Any:
    return call("mount", b"tmpfs", world.own.encode(), b"tmpfs", 0, 0)


@proven
def makes_a_user_namespace(world: World) -> Any:
    return call("unshare", 0x1000_0000)


@proven
def makes_a_user_namespace_by_clone(world: World) -> Any:
    if call("clone", 0x1000_0000 | signal.SIGCHLD, 0, 0, 0, 0).endswith(" 0"):
        os._exit(0)
    return "made"


@attack
def changes_its_root(world: World) -> Any:
    os.chroot(world.own)
    return "changed"


@proven
def keeps_a_key(world: World) -> Any:
    return call("add_key", b"user", b"n8n-runner-test", b"x", 1, -1)


@proven
def looks_for_keys(world: World) -> Any:
    return call("keyctl", 0, -3, 1)


@proven
def sets_up_io_uring(world: World) -> Any:
    return call("io_uring_setup", 1, bytes(120))


@attack
def loads_bpf(world: World) -> Any:
    return call("bpf", 0, struct.pack("=4I", 2, 4, 4, 1) + bytes(112), 128)


@attack
def handles_page_faults(world: World) -> Any:
    return call("userfaultfd", 1)


@attack
def counts_events(world: World) -> Any:
    return call("perf_event_open", struct.pack("=IIQ", 1, 112, 0) + bytes(96), 0, -1, -1, 0)


@proven
def changes_its_personality(world: World) -> Any:
    return call("personality", 0x0040000)


@attack
def types_into_the_terminal(world: World) -> Any:
    fcntl.ioctl(0, 0x5412, b"x")
    return "typed"


@attack
def uses_calls_of_32_bits(world: World) -> Any:
    return raw(0x4000_0000 | 39) if os.uname().machine == "x86_64" else ""


@attack
def uses_a_call_of_the_future(world: World) -> Any:
    return raw(1000)


@proven
def adds_a_filter(world: World) -> Any:
    return call("seccomp", 2, 0, struct.pack("=I", 0x7FFF_0000))


@attack
def sets_the_clock(world: World) -> Any:
    return call("clock_settime", 0, struct.pack("=qq", int(time.time()), 0))


@proven
def watches_files(world: World) -> Any:
    return call("inotify_init1", 0)


@proven
def flushes_all_disks(world: World) -> Any:
    return call("sync")


@proven
def leaves_shared_memory(world: World) -> Any:
    identifier = int(call("shmget", 0, 4096, 0o1600).split()[-1])
    call("shmctl", identifier, 0, 0)
    return "left"


@proven
def leaves_a_queue(world: World) -> Any:
    call("mq_open", b"n8n-runner-test", os.O_CREAT | os.O_RDWR, 0o600, 0)
    call("mq_unlink", b"n8n-runner-test")
    return "left"


# The network.


@proven
def connects_to_a_listener(world: World) -> Any:
    socket.create_connection(("127.0.0.1", world.port), timeout=2).send(b"x")


@attack
def sends_a_datagram(world: World) -> Any:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", world.port))


@proven
def connects_to_a_path(world: World) -> Any:
    socket.socket(socket.AF_UNIX).connect(world.socket)


@proven
def connects_to_an_abstract_name(world: World) -> Any:
    socket.socket(socket.AF_UNIX).connect("\0" + world.abstract)


@proven
def sends_to_a_path_from_a_pair(world: World) -> Any:
    a, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    a.sendto(b"x", world.datagrams)


@proven
def opens_a_netlink_socket(world: World) -> Any:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).fileno()


@attack
def opens_a_raw_socket(world: World) -> Any:
    return socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).fileno()


@attack
def opens_a_packet_socket(world: World) -> Any:
    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).fileno()


@attack
def opens_a_cipher_socket(world: World) -> Any:
    return socket.socket(38, socket.SOCK_SEQPACKET, 0).fileno()


@proven
def listens(world: World) -> Any:
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    return "listens"


@proven
def runs_a_program_in_a_socket(world: World) -> Any:
    a, _ = socket.socketpair()
    program = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0))
    a.setsockopt(socket.SOL_SOCKET, 26, struct.pack("@HP", 1, ctypes.addressof(program)))
    return "runs"


# More than its share. The limits are those of the tests.


@proven
def takes_memory(world: World) -> Any:
    return len(bytearray(400 * 1024**2))


@proven
def takes_memory_in_pieces(world: World) -> Any:
    return len([bytes(1024**2) for _ in range(400)])


@proven
def takes_shared_memory(world: World) -> Any:
    return len(mmap.mmap(-1, 400 * 1024**2))


@proven
def takes_memory_that_grows_downwards(world: World) -> Any:
    return len(mmap.mmap(-1, 400 * 1024**2, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x100))


@attack
def takes_memory_behind_zeros(world: World) -> Any:
    return len(mmap.mmap(os.open("/dev/zero", os.O_RDWR), 400 * 1024**2))


@proven
def takes_memory_in_a_file(world: World) -> Any:
    return call("memfd_create", b"x", 0)


@proven
def makes_reserved_memory_writable(world: World) -> Any:
    LIBC.mmap.restype = ctypes.c_void_p
    where = LIBC.mmap(None, ctypes.c_size_t(400 * 1024**2), 0, 0x22, -1, ctypes.c_long(0))
    if LIBC.mprotect(ctypes.c_void_p(where), ctypes.c_size_t(400 * 1024**2), 3) == 0:
        return "writable"
    return ""


@proven
def writes_a_large_file(world: World) -> Any:
    with open(f"{world.own}/large", "wb") as file:
        file.truncate(100 * 1024**2)
    return "written"


@proven
def opens_many_files(world: World) -> Any:
    return len([os.open("/dev/null", os.O_RDONLY) for _ in range(200)])


@proven
def makes_its_pipes_larger(world: World) -> Any:
    return fcntl.fcntl(os.pipe()[0], 1031, 1024**2)


@attack
def raises_its_own_limits(world: World) -> Any:
    raised = []
    for name in ("DATA", "AS", "NOFILE", "FSIZE", "CPU", "CORE", "STACK"):
        number = getattr(resource, f"RLIMIT_{name}")
        _, hard = resource.getrlimit(number)
        try:
            resource.setrlimit(number, (hard + 1, hard + 1))
            raised.append(name)
        except (ValueError, OSError):
            continue
    return raised


@proven
def burns_time(world: World) -> Any:
    until = time.process_time() + 3.5
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    while time.process_time() < until:
        pass
    return "burned"
