"""`n8n-runner start`: connect to n8n's task broker and run tasks until told to stop."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from runner.cli import complain, uncollected
from runner.cli.exit_codes import ExitCode
from runner.cli.parent import Parent, now
from runner.config import TaskRunnerConfig
from runner.errors import AuthenticationFailed, ConfigurationError, RunnerError

DESCRIPTION = """\
Connect to n8n's task broker and run the tasks of Python Code nodes, until SIGTERM or SIGINT. Everything is configured
by environment variables, the same as n8n's own runner; all that is needed is

    N8N_RUNNERS_AUTH_TOKEN=<n8n's own value of this variable> n8n-runner start

The first signal lets tasks finish within the graceful timeout; a second one ends everything at once."""

READ_BUFFERS = 1024**2
"""More than anything is read into, in bytes."""

PLAIN = frozenset({"http", "ws"})
"""How the URI of a broker begins that is spoken to without TLS."""

CERTIFICATES = "SSL_CERT_FILE"
"""The variable that tells OpenSSL where the certificates of authorities are."""


class _Help(argparse.Action):
    """`--help` with the table of variables, which is made only when somebody reads it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from runner.cli.reference import as_text

        parser.epilog = as_text()
        parser.print_help()
        parser.exit()


def configure(parser: argparse.ArgumentParser) -> None:
    """Where tasks run, and a longer `--help`."""
    parser.add_argument(
        "--executor",
        choices=("sandbox", "dask"),
        default="sandbox",
        help="where tasks run: in processes of this machine (the default), or on a Dask cluster (the extra `dask`)",
    )
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of the Dask cluster, such as tcp://10.0.0.5:8786")
    parser.add_argument("-h", "--help", action=_Help, nargs=0, help="show this, and all environment variables")


def execute(arguments: argparse.Namespace) -> int:
    """Run a task runner that the environment configures."""
    began = now()
    _keep_buffers_at_hand()
    parent = Parent.of(os.environ)
    code = _run(arguments, parent)
    if code is not ExitCode.OK:
        parent.pace(began)
    return code


def _keep_buffers_at_hand() -> None:
    """Have the C library keep what it allocates for a read, rather than ask the kernel for it each time.

    It does so with everything that is smaller than the largest block it has seen freed. asyncio reads into 256 KiB,
    which without this are mapped, and unmapped, for every message of a few bytes.
    """
    bytearray(READ_BUFFERS)


def _run(arguments: argparse.Namespace, parent: Parent) -> ExitCode:
    try:
        config = parent.adapt(TaskRunnerConfig.from_env(os.environ))
        _use_the_time(arguments, config)
        with uncollected():
            with _uncertified(config):
                from runner.cli.serving import executor_of, serve  # most of the program
            executor = executor_of(config, arguments)  # which imports the rest
        return serve(config, executor)
    except ConfigurationError as error:
        complain(*error.problems)
        return ExitCode.USAGE
    except AuthenticationFailed:
        return ExitCode.REFUSED  # the runner has logged it
    except RunnerError as error:
        complain(str(error))
        return ExitCode.USAGE
    finally:
        if arguments.zygote is not None:
            arguments.zygote.give_up()


@contextmanager
def _uncertified(config: TaskRunnerConfig) -> Iterator[None]:
    """No file of certificates read while modules are imported, where the broker has no certificate to be checked.

    aiohttp makes its context for TLS as it is imported, and that reads all authorities that the machine has: a fifth of
    the time of the import. Nothing but the broker is spoken to by aiohttp here. Should anything be after all, that
    context knows fewer authorities than it might, never more.
    """
    if urlsplit(config.task_broker_uri).scheme not in PLAIN:
        yield
        return
    kept = os.environ.get(CERTIFICATES)
    os.environ[CERTIFICATES] = os.devnull
    try:
        yield
    finally:
        if kept is None:
            del os.environ[CERTIFICATES]
        else:
            os.environ[CERTIFICATES] = kept


def _use_the_time(arguments: argparse.Namespace, config: TaskRunnerConfig) -> None:
    """Have the process that tasks are forked from get ready while this one still imports what it needs."""
    if arguments.zygote is not None and not arguments.scheduler:
        from runner.execution.sandbox.ahead import tell_ahead  # not where there are no such processes

        tell_ahead(arguments.zygote, config, os.environ)
