"""Which system calls are refused, and when: the rules of the filter, as data.

A list of what is denied, not of what is allowed: lists of what is allowed break json, numpy and pandas with every new
release, and people then allow everything. The answer is an error, never death, so that libraries fail readably. What
was unknown when this was written is answered as by an older kernel. Where a call has very many meanings (ioctl, fcntl,
prctl), it is the other way round: the few that programs use are allowed.

A filter sees numbers, not paths and not what pointers point to. Paths are Landlock's.
"""

from __future__ import annotations

import errno
from typing import NamedTuple

OWN = -1
"""In place of a value: the number of the process that the filter is for."""

IGNORED = 0
"""As an answer: nothing was done, and no error is told."""

ALL = 0xFFFFFFFF


class Test(NamedTuple):
    """Whether an argument, of which only the bits of `mask` count, is one of some values.

    Of the 64 bits of an argument the lower 32 are looked at: the kernel itself looks at no others where these rules do.
    """

    argument: int
    values: tuple[int, ...]
    mask: int = ALL


class Rule(NamedTuple):
    """Some system calls, refused always, or `unless` all tests hold, or `when` all tests hold."""

    meaning: str
    calls: tuple[str, ...]
    unless: tuple[Test, ...] = ()
    when: tuple[Test, ...] = ()
    answer: int = errno.EPERM


NAMESPACES = 0x7E02_0000
"""The flags of clone that make namespaces."""
CLONE_THREAD = 0x0001_0000

SELF = Test(0, (0,))
"""The first argument is whoever calls. To know them by their number as well, each would need a filter of its own."""

READING_PRCTL = (2, 3, 7, 16, 21, 23, 25, 27, 30, 39, 42, 51, 52, 56, 64, 0x41555856)
HARMLESS_PRCTL = (15, 29, 41, 50, 55, 63, 0x53564D41)
"""A thread's name, its timers' slack, huge pages, vectors, tags of addresses, names of memory."""
CONFINING_PRCTL = (1, 22)
"""To be killed with the zygote, and the filter of system calls: how a worker is confined."""

ZYGOTE: tuple[Rule, ...] = (
    Rule("no programs are started", ("execve", "execveat")),
    Rule(
        "other processes are not looked into",
        (
            *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "kcmp"),
            *("pidfd_open", "pidfd_getfd", "pidfd_send_signal", "perf_event_open", "move_pages", "migrate_pages"),
        ),
    ),
    Rule("mounts stay as they are", ("mount", "umount2", "move_mount", "open_tree", "open_tree_attr", "mount_setattr")),
    Rule("and are not made", ("fsopen", "fsconfig", "fsmount", "fspick", "pivot_root", "chroot")),
    Rule("nor looked at", ("statmount", "listmount", "listns")),
    Rule("no namespaces", ("unshare", "setns")),
    Rule("none by clone either", ("clone",), unless=(Test(0, (0,), NAMESPACES),)),
    Rule("clone3 hides its flags in memory; without it clone is used", ("clone3",), answer=errno.ENOSYS),
    Rule("no keys", ("keyctl", "add_key", "request_key")),
    Rule("none of the doors that the kernel's errors are found behind", ("bpf", "userfaultfd", "modify_ldt")),
    Rule("nor input and output past this filter", ("io_uring_setup", "io_uring_enter", "io_uring_register")),
    Rule("nor by the older way", ("io_setup", "io_submit", "io_destroy", "io_getevents", "io_cancel", "io_pgetevents")),
    Rule("nor other rarely used parts", ("personality", "remap_file_pages", "vmsplice", "uselib", "sysfs", "_sysctl")),
    Rule("files are opened by their paths", ("name_to_handle_at", "open_by_handle_at", "lookup_dcookie")),
    Rule("files are not watched: each user has few watches", ("inotify_init", "inotify_init1", "inotify_add_watch")),
    Rule("nor by the newer way", ("fanotify_init", "fanotify_mark")),
    Rule("modules", ("init_module", "finit_module", "delete_module", "create_module", "query_module")),
    Rule("another kernel", ("kexec_load", "kexec_file_load", "reboot", "get_kernel_syms", "nfsservctl")),
    Rule("the machine's settings", ("swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "sethostname")),
    Rule("its log, its ports, its terminals", ("setdomainname", "syslog", "iopl", "ioperm", "vhangup")),
    Rule("its clock", ("clock_settime", "settimeofday", "adjtimex", "clock_adjtime")),
    Rule("its security modules", ("lsm_set_self_attr", "lsm_get_self_attr", "lsm_list_modules")),
    Rule("its disks, made to write everything at once", ("sync", "syncfs", "cachestat")),
    Rule("shared memory outlives its process", ("shmget", "shmat", "shmctl")),
    Rule("so do semaphores", ("semget", "semop", "semctl", "semtimedop")),
    Rule("and queues", ("msgget", "msgsnd", "msgrcv", "msgctl", "mq_open", "mq_unlink")),
    Rule("files in memory are in no limit", ("memfd_create", "memfd_secret")),
    Rule("nothing is served", ("listen", "accept", "accept4")),
    Rule(
        "pairs of sockets, but no datagrams, which can be sent anywhere",
        ("socketpair",),
        unless=(
            Test(0, (1,)),
            Test(1, (1,), 0xF),
        ),
    ),
    # A socket that lingers holds up whoever closes it last, and any process may be sent one: the runner, for instance.
    Rule(
        "no programs in sockets, and none that lingers",
        ("setsockopt",),
        when=(Test(1, (1,)), Test(2, (13, 26, 50, 51))),
    ),
    Rule("clone is how processes are forked", ("fork", "vfork")),
    Rule("no signals with something in them", ("rt_sigqueueinfo", "rt_tgsigqueueinfo")),
    Rule("a process stays where it is found", ("setsid", "setpgid")),
    Rule("limits of its own", ("prlimit64",), unless=(SELF,)),
    Rule(
        "its own turn", ("sched_setaffinity", "sched_setscheduler", "sched_setparam", "sched_setattr"), unless=(SELF,)
    ),
    Rule("its own rank", ("setpriority",), unless=(Test(0, (0,)), Test(1, (0,)))),
    Rule("its own rank at the disk", ("ioprio_set",), unless=(Test(0, (1,)), Test(1, (0,)))),
    Rule(
        "what confines cannot be lifted",
        ("prctl",),
        unless=(Test(0, (*READING_PRCTL, *HARMLESS_PRCTL, *CONFINING_PRCTL)),),
    ),
    # Duplicates, flags and locks. Not owners (they get signals), leases (others have to wait) and the size of pipes.
    Rule("descriptors", ("fcntl",), unless=(Test(1, (*range(8), 36, 37, 38, 1027, 1030, 1032, 1034)),)),
    # Is it a terminal, how wide, how much is there to read, blocking or not, closed on exec or not.
    Rule(
        "devices", ("ioctl",), unless=(Test(1, (0x5401, 0x5411, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451, 0x802C542A)),)
    ),
    # Anonymous and shared, growing downwards, or from the pool of huge pages: in no limit.
    Rule("memory that is counted", ("mmap",), unless=(Test(3, (0, 0x01, 0x20), 0x21 | 0x100 | 0x40000),)),
    Rule("Landlock does not know of times", ("utime", "utimes", "futimesat"), answer=IGNORED),
    Rule("nor of owners", ("chown", "fchown", "lchown", "fchownat")),
    Rule("nor of attributes", ("setxattr", "lsetxattr", "fsetxattr", "setxattrat", "file_setattr")),
    Rule("that can be removed", ("removexattr", "lremovexattr", "fremovexattr", "removexattrat")),
)
"""From the zygote on. It forks, and passes sockets on over the one that it has."""

NO_NETWORK = (Rule("no sockets", ("socket",)),)

NETWORK = (
    Rule(
        "sockets for TCP and UDP alone",
        ("socket",),
        unless=(
            Test(0, (2, 10)),
            Test(1, (1, 2), 0xF),
            Test(2, (0, 6, 17)),
        ),
    ),
)

WORKER: tuple[Rule, ...] = (
    Rule("threads, but no processes", ("clone",), unless=(Test(0, (CLONE_THREAD,), NAMESPACES | CLONE_THREAD),)),
    Rule("signals to nobody else", ("kill", "tkill", "tgkill"), unless=(Test(0, (OWN,)),)),
    Rule("what it is tied to stays", ("prctl",), when=(Test(0, CONFINING_PRCTL),)),
    Rule("filters are complete", ("seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self")),
    Rule("Landlock does not know of modes", ("chmod", "fchmod", "fchmodat", "fchmodat2"), answer=IGNORED),
    Rule("nor of times", ("utimensat",), answer=IGNORED),
)
"""In a worker, on top: what has to name the process, and what the zygote and its sweeper do themselves.

Each worker takes this one anew, and the kernel goes through it for each call that there is: a microsecond for each
instruction. So what can be refused from the zygote on belongs there.
Modes and times: asking is no error, or `shutil.copy` would not work in the temporary folder, where neither matters.
"""

WRONLY, RDWR, TRUNC = 0x001, 0x002, 0x200
_TRUNCATED = (0, WRONLY, RDWR, WRONLY | RDWR, TRUNC | WRONLY, TRUNC | RDWR)

OLD_LANDLOCK = (
    Rule("a Landlock before ABI 3 does not know of truncation", ("truncate",)),
    Rule("nor when a file is opened for reading", ("open",), unless=(Test(1, _TRUNCATED, 0x203),)),
    Rule("nor so", ("openat",), unless=(Test(2, _TRUNCATED, 0x203),)),
    Rule("openat2 hides its flags in memory", ("openat2",), answer=errno.ENOSYS),
)
"""In a worker, where Landlock is that old."""
