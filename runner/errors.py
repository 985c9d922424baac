"""Every error that the public API raises on purpose. Any other exception that comes out is a bug.

RunnerError
  ConfigurationError          the configuration cannot be used; says all that is wrong with it
  NoIdleTimeoutHandlerError   auto shutdown is on and on_idle_timeout is not set
  AlreadyStarted              start() was called on a runner that runs
  AuthenticationFailed        the task broker refused the credential
  UnsupportedPlatform         this operating system cannot run tasks
  SandboxFailed               tasks cannot be run here as the configuration asks for
  ExtraMissing                what was asked for needs an extra that is not installed
  CannotListen                the status server's address cannot be had
  TaskFailed                  a task's own failure, as an executor reports it
  N8nRefused                  n8n did not do what it was asked to do on behalf of a task
  TransportFailed             what a transport says of a connection; start() deals with these itself
    Refused                     the credential is no good
    Unreachable                 no connection came about this time
    ConnectionLost              an open connection is gone

Each has fields for programs beside its text for people. Those about connections are in `runner.connection.failures`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class RunnerError(Exception):
    """The root of all errors of n8n-runner."""


class ConfigurationError(RunnerError):
    """The configuration cannot be used. `problems` has one line for each thing that is wrong."""

    def __init__(self, problems: Sequence[str]) -> None:
        """An error that reports all `problems` at once."""
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class NoIdleTimeoutHandlerError(RunnerError):
    """Auto shutdown is enabled, but nobody would hear of it."""

    def __init__(self, timeout: float) -> None:
        """An error about an auto shutdown after `timeout` seconds."""
        self.timeout = timeout
        super().__init__(
            f"Auto shutdown is enabled (after {timeout:g} s without a task), but no handler is set: "
            "assign a coroutine function to `on_idle_timeout` before start()"
        )


class AlreadyStarted(RunnerError):
    """`start()` was called on a runner that is running. `state` is where its connection stands."""

    def __init__(self, state: str) -> None:
        """An error about a runner whose connection is in `state`; it says what to do instead."""
        self.state = state
        super().__init__("This runner is already started: await stop() before starting it again, or make another one")


class AuthenticationFailed(RunnerError):
    """The task broker refused the credential: trying again with the same one is pointless.

    `status` is the HTTP status of the refusal (401 or 403), and `why` what that means. The HTTP client's own error is
    its `__cause__`.
    """

    def __init__(self, status: int, why: str) -> None:
        """A refusal with its HTTP `status`, and `why` for people."""
        self.status = status
        self.why = why
        super().__init__(f"Authentication failed with status {status}: {why}")


class UnsupportedPlatform(RunnerError):
    """The operating system cannot run tasks in the way that this runner does."""

    def __init__(self, platform: str) -> None:
        """An error that names the `platform` and the ways round it."""
        self.platform = platform
        super().__init__(
            f"n8n-runner does not run on {platform}: it needs POSIX processes and sockets. "
            "On Windows, run it in WSL or in a container"
        )


class SandboxFailed(RunnerError):
    """Tasks cannot be run here, or not as the configuration asks for.

    `variable` is the setting that asks for more than there is, None when there is nothing at all; `lacking` names the
    layers of the confinement that are not there, each with the reason.
    """

    def __init__(self, why: str, *, variable: str | None = None, lacking: Mapping[str, str] | None = None) -> None:
        """An error that says `why`, for people."""
        self.why = why
        self.variable = variable
        self.lacking = dict(lacking or {})
        layers = "; ".join(f"{layer}: {reason}" for layer, reason in self.lacking.items())
        super().__init__(f"{why} ({layers})" if layers else why)


class ExtraMissing(RunnerError):
    """`what` was asked for, and the `extra` of n8n-runner that it needs is not installed."""

    def __init__(self, extra: str, what: str) -> None:
        """An error that says which `extra` is to be installed for `what`."""
        self.extra = extra
        self.what = what
        super().__init__(f"{what} needs more than is installed: pip install n8n-runner[{extra}]")


class CannotListen(RunnerError):
    """The address of the status server cannot be had: in use, not this machine's, or not allowed."""

    def __init__(self, host: str, port: int, why: str) -> None:
        """An error about `host` and `port`; `why` is what the operating system said."""
        self.host = host
        self.port = port
        self.why = why
        super().__init__(
            f"The health check server cannot listen on {host}, port {port}: {why}. Choose another address with "
            "N8N_RUNNERS_HEALTH_CHECK_SERVER_HOST and N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT, or end what uses this one"
        )


class TaskFailed(RunnerError):
    """A task has failed. What n8n shows of it is in the fields.

    Parameters:
        message: one line for the user.
        description: more lines, such as the traceback through the user's code; None when there is nothing to say.
        details: further members of the error object, such as `lineNumber` and `itemIndex`.
    """

    def __init__(self, message: str, description: str | None = None, **details: Any) -> None:
        """A failure with what n8n shows of it."""
        self.message = message
        self.description = description
        self.details = details
        super().__init__(message)

    def as_error_object(self) -> dict[str, Any]:
        """The failure as the `error` of a `runner:taskerror`."""
        error: dict[str, Any] = {"message": self.message, **self.details}
        if self.description is not None:
            error["description"] = self.description
        return error


class N8nRefused(RunnerError):
    """n8n did not do what it was asked to do on behalf of a task. It is the task's affair what comes of that.

    Parameters:
        message: what n8n says.
        description: more of it; None when there is no more.
    """

    def __init__(self, message: str, description: str | None = None) -> None:
        """A refusal in n8n's words."""
        self.message = message
        self.description = description
        super().__init__(message)


class TransportFailed(RunnerError):
    """What a transport says of a connection. `why` is a line for people, without secrets."""

    def __init__(self, why: str) -> None:
        """A failure, and `why` for people."""
        self.why = why
        super().__init__(why)
