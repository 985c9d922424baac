"""The cluster: which workers there are, and the lines to them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
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

START_PATIENCE = 120.0
"""How long a worker may take to have its first task processes ready, in seconds."""

RETRY_DELAY = 5.0
"""How long after a cluster, or one of its workers, could not be reached, or was lost, it is tried again, in seconds."""

LONGEST_DELAY = 60.0
"""How long that delay gets as it doubles for a worker that is there and still cannot be used, in seconds."""

_client: Any = Client  # Dask has no types for these
_connect: Any = connect
_security: Any = Security

NO_DOOR = "it cannot import n8n-runner: install the same version there, in the environment of the worker"


@attrs.define(eq=False)
class _Worker:
    """A worker that is on the cluster.

    Parameters:
        arguments: what Dask needs to connect to it.
        slots: for how many of its slots lines are kept.
        complaint: what has last been said of it in the log.
    """

    address: str
    arguments: dict[str, Any]
    slots: int = 1
    complaint: str = ""


class Cluster:
    """The cluster of one scheduler."""

    def __init__(
        self,
        config: TaskRunnerConfig,
        scheduler: str,
        serve: Callable[[Line], Awaitable[None]],
        pause: Callable[[float], Awaitable[None]],
    ) -> None:
        """A cluster that nobody is on.

        Parameters:
            serve: called with each line that has come about; lasts as long.
            pause: lets some seconds pass.
        """
        self._scheduler = scheduler
        self._serve = serve
        self._pause = pause
        self._settings = settings_of(config)
        self._name = name_of(self._settings)
        self._limit = payload_limit(config.max_payload_size)
        self._workers: dict[str, _Worker] = {}

    async def stay(self) -> None:
        """Be on the cluster for as long as it is there, again and again."""
        while True:
            try:
                await self._visit()
                why = "the connection to the scheduler has ended"
            except (OSError, TimeoutError, ValueError, RuntimeError) as error:
                why = str(error) or type(error).__name__
            log.warning("No Dask cluster at %s: %s - retrying...", self._scheduler, why)
            await self._pause(RETRY_DELAY)

    async def _visit(self) -> None:
        """Have lines to all workers, those that come later included, until the scheduler is gone.

        Raises:
            OSError, TimeoutError, ValueError, RuntimeError: there is no such cluster.
        """
        self._workers = {}
        # first, because a client of a scheduler that is not there warns of itself
        pulse = await _connected(self._scheduler, _security().get_connection_args("client"))
        scope = Scope(_crashed)
        try:
            async with _client(self._scheduler, asynchronous=True, timeout=PATIENCE, set_as_default=False) as client:
                await self._open(client, scope)
                await _until_gone(pulse)
        finally:
            pulse.abort()
            await scope.cancel()

    async def _open(self, client: Any, scope: Scope) -> None:
        """Have the door put on all workers, and keep lines to each.

        One that comes before that is done has no door yet, and is not met until it has: it is among those that the
        scheduler names afterwards.
        """
        has_doors = False

        def meet(address: str) -> None:
            if address not in self._workers:
                worker = self._workers[address] = _Worker(address, client.connection_args)
                scope.spawn(self._keep(worker, scope), name=f"line to {address}")

        def hear(event: tuple[float, Any]) -> None:
            match event:
                case (_, {"action": "add-worker", "worker": str(address)}) if has_doors:
                    meet(address)
                case (_, {"action": "remove-worker", "worker": str(address)}):
                    if self._workers.pop(address, None) is not None:
                        log.info("The Dask worker %s is gone", address)

        client.subscribe_topic("all", hear)
        try:
            await client.register_plugin(plugin_of(self._settings), name=self._name)
        except Exception as error:  # noqa: BLE001 - whatever a worker has raised: it is that worker's affair
            log.warning("Not all Dask workers can be used: %s", error)
        has_doors = True
        identity = await client.scheduler.identity(n_workers=-1)
        log.info("Connected to the Dask cluster at %s, with %d workers", self._scheduler, len(identity["workers"]))
        for address in identity["workers"]:
            meet(address)

    async def _keep(self, worker: _Worker, scope: Scope) -> None:
        """Have a slot of a worker for as long as it is on the cluster. What comes between is got over.

        A worker that imports what a task needs for the first time, on a machine that others use, may well be slow to
        answer; and a connection may break off between two processes that live on.
        """
        delay = RETRY_DELAY
        while self._workers.get(worker.address) is worker:
            try:
                line, slots = await self._line(worker)
            except (OSError, TimeoutError, ValueError) as error:
                self._complain(worker, str(error) or type(error).__name__)
                await self._pause(delay)
                delay = min(2 * delay, LONGEST_DELAY)
                continue
            self._keep_others(worker, slots, scope)
            await self._serve(line)
            delay = RETRY_DELAY
            await self._pause(delay)  # a worker that is gone is said to be so meanwhile

    def _keep_others(self, worker: _Worker, slots: int, scope: Scope) -> None:
        """Have all its slots, now that it has said how many there are."""
        if worker.slots == 1 or worker.complaint:
            log.info("The Dask worker %s takes %d tasks at a time", worker.address, slots)
        worker.complaint = ""
        for _ in range(worker.slots, slots):
            scope.spawn(self._keep(worker, scope), name=f"line to {worker.address}")
        worker.slots = max(worker.slots, slots)

    def _complain(self, worker: _Worker, why: str) -> None:
        """Say what is wrong with a worker, once."""
        if worker.complaint != why:
            worker.complaint = why
            log.warning("The Dask worker %s cannot be used: %s - retrying...", worker.address, why)

    async def _line(self, worker: _Worker) -> tuple[Line, int]:
        """A line to a worker, and how many it may have.

        Raises:
            OSError, TimeoutError: it cannot be reached.
            ValueError: it takes no tasks; says why.
        """
        comm = await _connected(worker.address, worker.arguments)
        try:
            async with asyncio.timeout(START_PATIENCE):
                await comm.write({"op": self._name, "reply": True})
                answer = await comm.read()
            match answer:
                case (Kind.READY.value, int(slots), b""):
                    return Line(worker.address, comm, self._limit), slots
                case (Kind.NOT_READY.value, str(why), b""):
                    raise ValueError(why)
                case _:
                    raise ValueError(NO_DOOR)
        except BaseException:
            comm.abort()
            raise


async def _connected(address: str, arguments: dict[str, Any]) -> Any:
    """A connection of Dask's kind, on which the other side has said something: Dask waits for that without end.

    Raises:
        OSError, TimeoutError: there is nobody, or nobody who answers.
    """
    async with asyncio.timeout(PATIENCE):
        return await _connect(address, timeout=PATIENCE, deserialize=False, **arguments)


async def _until_gone(pulse: Any) -> None:
    """Wait until the scheduler has hung up: it says nothing on this connection."""
    try:
        await pulse.read()
    except OSError:
        return


def _crashed(name: str, error: Exception) -> None:
    log.error("%s failed, which is a bug", name, exc_info=error)
