"""Everything that keeps a task in: one table, from which reports, checks and the documentation are made."""

from __future__ import annotations

from typing import Literal, NamedTuple

Moment = Literal["zygote", "worker", "both"]


class Layer(NamedTuple):
    """One thing that a task cannot do, how that is achieved, and what sets it."""

    name: str
    meaning: str
    how: str
    moment: Moment
    """Where it is applied: once in the zygote, in each worker, or in both, tighter the second time."""
    variable: str | None = None
    """The variable that sets it, if there is one."""


LAYERS: tuple[Layer, ...] = (
    Layer(
        "user",
        "not root, and when the runner is root, another user than the runner",
        "setgroups, setresgid, setresuid",
        "zygote",
        "N8N_RUNNERS_TASK_USER",
    ),
    Layer(
        "capabilities", "no rights of root's, not even some", "capset, and each dropped from the bounding set", "zygote"
    ),
    Layer("privileges", "none can be gained by starting a program", "PR_SET_NO_NEW_PRIVS", "zygote"),
    Layer(
        "memory privacy",
        "no process of the same user reads or debugs this one, and it leaves no core dump",
        "PR_SET_DUMPABLE; Landlock keeps tasks from each other and from the runner as well",
        "zygote",
    ),
    Layer("parent", "none outlives the process that forked it", "PR_SET_PDEATHSIG, and not to be undone", "both"),
    Layer("victim", "when the machine runs out of memory, tasks go first", "oom_score_adj, raised by 500", "zygote"),
    Layer(
        "files",
        "what is not listed can be neither read nor written",
        "Landlock; and seccomp for modes, owners, attributes, and for what an old Landlock leaves out",
        "both",
        "N8N_RUNNERS_FS_READ, N8N_RUNNERS_FS_WRITE",
    ),
    Layer(
        "system calls",
        "no processes, programs, signals to others, mounts, namespaces, keys, tracing, shared memory; see `rules`",
        "seccomp, answering with errors",
        "both",
    ),
    Layer(
        "network",
        "no sockets but pairs; where the network is allowed, outgoing TCP and UDP alone",
        "seccomp; Landlock for TCP from ABI 4 on",
        "zygote",
        "N8N_RUNNERS_NETWORK",
    ),
    Layer("folder", "a temporary folder of its own, and of nobody else's", "Landlock, TMPDIR, umask", "worker"),
    Layer(
        "memory",
        "so much memory and no more: MemoryError beyond it",
        "RLIMIT_DATA, and seccomp for memory that it does not count; RLIMIT_AS far above it",
        "worker",
        "N8N_RUNNERS_TASK_MEMORY_LIMIT",
    ),
    Layer("processor", "so many seconds of processor time", "RLIMIT_CPU", "worker", "N8N_RUNNERS_TASK_CPU_LIMIT"),
    Layer("open files", "so many open files", "RLIMIT_NOFILE", "worker", "N8N_RUNNERS_TASK_OPEN_FILES"),
    Layer("file size", "no larger file than this", "RLIMIT_FSIZE", "worker", "N8N_RUNNERS_TASK_FILE_SIZE"),
    Layer("threads", "so many threads of all tasks", "RLIMIT_NPROC", "worker", "N8N_RUNNERS_TASK_THREADS"),
    Layer(
        "remains",
        "no core dumps, queues, locked memory, real-time turns, and few timers and signals in waiting",
        "RLIMIT_CORE, RLIMIT_MSGQUEUE, RLIMIT_MEMLOCK, RLIMIT_RTPRIO, RLIMIT_NICE, RLIMIT_SIGPENDING, RLIMIT_STACK",
        "zygote",
    ),
)
