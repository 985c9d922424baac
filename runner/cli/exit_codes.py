"""What the exit code of a command says."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of all commands."""

    OK = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    INTERRUPTED = 130


MEANINGS = {
    ExitCode.OK: "all went well; for `start`, the runner was told to stop and did",
    ExitCode.FAILED: "the code that `run` ran has failed, or `check` or `doctor` has found something",
    ExitCode.USAGE: "bad arguments, bad configuration, or a file or an address that cannot be used",
    ExitCode.REFUSED: "the task broker refused the credential",
    ExitCode.INTERRUPTED: "interrupted a second time, without waiting for tasks",
}
"""What each exit code says, for `--help` and for the documentation."""

SIGNALS = (
    ("SIGTERM", "lingers for N8N_RUNNERS_LINGER, then lets tasks end within N8N_RUNNERS_GRACEFUL_SHUTDOWN_TIMEOUT"),
    ("SIGINT", "lets tasks end within N8N_RUNNERS_GRACEFUL_SHUTDOWN_TIMEOUT"),
    ("either again", f"ends at once, with exit code {ExitCode.INTERRUPTED:d}; tasks are killed"),
    ("SIGKILL", "cannot be heard; the processes of tasks end with it, by the kernel"),
)
"""What signals do to a runner, for the documentation."""
