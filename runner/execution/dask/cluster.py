"""The cluster: which workers there are, and the lines to them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from distributed import Client, Security
from distributed.comm.core import connect

from runner.config import TaskRunnerConfig
from runner.execution.dask.line import Line
from runner.execution.dask.plugin import name_of, plugin_of, settings_of
from runner.execution.dask.talk import Kind
from runner.protocol.codec import payload_limit
from runner.scope import Scope

log = logging.getLogger(__name__)

PATIENCE = 10.0
"""How long the scheduler, or a worker, may take to answer, in seconds."""

_client: Any = Client  # Dask has no types for these
_connect: Any = connect
_security: Any = Security

NO_DOOR = "it cannot import n8n-runner: install the same version there, in the environment of the worker"


class Cluster:
    """The cluster of one scheduler."""

    def __init__(self, config: TaskRunnerConfig, scheduler: str, serve: Callable[[Line], Awaitable[None]]) -> None:
        """A cluster that nobody is on. `serve` is called with each line that has come about, and lasts as long."""
        self._scheduler = scheduler
        self._serve = serve
        self._settings = settings_of(config)
        self._name = name_of(self._settings)
        self._limit = payload_limit(config.max_payload_size)
        self._known: set[str] = set()

    async def visit(self) -> None:
        """Have lines to all workers, those that come later included, until the scheduler is gone.

        Raises:
            OSError, TimeoutError, ValueError, RuntimeError: there is no such cluster.
        """
        self._known = set()
        # first, because a client of a scheduler that is not there warns of itself
        pulse = await _connect(
            self._scheduler, timeout=PATIENCE, deserialize=False, **_security().get_connection_args("client")
        )
        scope = Scope(_crashed)
        try:
            async with _client(self._scheduler, asynchronous=True, timeout=PATIENCE, set_as_default=False) as client:
                await self._open(client, scope)
                await _until_gone(pulse)
        finally:
            pulse.abort()
            await scope.cancel()

    async def _open(self, client: Any, scope: Scope) -> None:
        def meet(address: str) -> None:
            if address not in self._known:
                self._known.add(address)
                scope.spawn(self._meet(address, client.connection_args, scope), name=f"meeting {address}")

        def hear(event: tuple[float, Any]) -> None:
            _, said = event
            if said.get("action") == "add-worker":
                meet(said["worker"])

        client.subscribe_topic("all", hear)
        try:
            await client.register_plugin(plugin_of(self._settings), name=self._name)
        except Exception as error:  # noqa: BLE001 - whatever a worker has raised: it is that worker's affair
            log.warning("Not all Dask workers can be used: %s", error)
        identity = await client.scheduler.identity(n_workers=-1)
        log.info("Connected to the Dask cluster at %s, with %d workers", self._scheduler, len(identity["workers"]))
        for address in identity["workers"]:
            meet(address)

    async def _meet(self, address: str, arguments: dict[str, Any], scope: Scope) -> None:
        """Open a line for each slot of a worker: the first says how many there are."""
        try:
            line, slots = await self._line(address, arguments)
        except (OSError, TimeoutError, ValueError) as error:
            log.warning("The Dask worker %s cannot be used: %s", address, error)
            return
        log.info("The Dask worker %s takes %d tasks at a time", address, slots)
        for _ in range(slots - 1):
            scope.spawn(self._join(address, arguments), name=f"line to {address}")
        await self._serve(line)
        log.info("The Dask worker %s is gone", address)
        self._known.discard(address)

    async def _join(self, address: str, arguments: dict[str, Any]) -> None:
        try:
            line, _ = await self._line(address, arguments)
        except (OSError, TimeoutError, ValueError) as error:
            log.warning("A slot of the Dask worker %s cannot be used: %s", address, error)
            return
        await self._serve(line)

    async def _line(self, address: str, arguments: dict[str, Any]) -> tuple[Line, int]:
        """A line to a worker, and how many it may have.

        Raises:
            OSError, TimeoutError: it cannot be reached.
            ValueError: it takes no tasks; says why.
        """
        comm = await _connect(address, timeout=PATIENCE, deserialize=False, **arguments)
        try:
            await comm.write({"op": self._name, "reply": True})
            answer = await comm.read()
            match answer:
                case (Kind.READY.value, int(slots), b""):
                    return Line(address, comm, self._limit), slots
                case (Kind.NOT_READY.value, str(why), b""):
                    raise ValueError(why)
                case _:
                    raise ValueError(NO_DOOR)
        except BaseException:
            comm.abort()
            raise


async def _until_gone(pulse: Any) -> None:
    """Wait until the scheduler has hung up: it says nothing on this connection."""
    try:
        await pulse.read()
    except OSError:
        return


def _crashed(name: str, error: Exception) -> None:
    log.error("%s failed, which is a bug", name, exc_info=error)
