"""The execution that the examples of the documentation run in, with an n8n that answers what they ask."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from typing import Any

from runner import TaskRunner
from runner.broker import EmbeddedBroker, EndOfTask
from runner.broker.service import CallFailed, NodeTypeWanted
from runner.execution.sandbox.executor import SandboxExecutor
from statemachine import ConnectionState
from tests.sandbox import interpreter
from tests.support import ROOT, code_settings, config_for

EXECUTION: dict[str, Any] = json.loads((ROOT / "docs/examples/execution.json").read_text(encoding="utf-8"))
ALL, EACH = "runOnceForAllItems", "runOnceForEachItem"


class Shop:
    """An n8n whose answers are known. It notes what it is asked."""

    def __init__(self, **changes: Any) -> None:
        self.execution = {**deepcopy(EXECUTION), **changes}
        self.data_requests = 0
        self.calls: list[tuple[str, Sequence[Any]]] = []

    @property
    def items(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.execution["inputData"]["main"][0]
        return items

    async def data(self) -> Mapping[str, Any]:
        self.data_requests += 1
        return self.execution

    async def node_types(self, wanted: Sequence[NodeTypeWanted]) -> Sequence[Mapping[str, Any]]:
        return []

    async def call(self, name: str, arguments: Sequence[Any]) -> Any:
        self.calls.append((name, arguments))
        match name, *arguments:
            case "helpers.httpRequest", {"url": "http://shop.example/rates"}:
                return {"rate": 1.25}
            case "helpers.httpRequest", {"url": "http://shop.example/file"}:
                return bytes(range(256))
            case "helpers.httpRequest", {"url": "http://shop.example/full"}:
                return {"statusCode": 200, "body": {"type": "Buffer", "data": [1, 2]}, "headers": {"a": "b"}}
            case "helpers.httpRequest", {"body": body}:
                return {"echo": body}
            case "helpers.getBinaryDataBuffer", int(index), str(name) if name in self.items[index].get("binary", {}):
                return b"Total: 30"
            case "helpers.prepareBinaryData", bytes(content), *more:
                return {"fileName": [*more, None][0], "fileSize": f"{len(content)} B", "data": "…"}
            case "helpers.setBinaryDataBuffer", {"fileName": str()} as file, bytes(content):
                return {**file, "fileSize": f"{len(content)} B"}
            case "helpers.binaryToString", bytes(content), *more:
                return content.decode([*more, "utf-8"][0])
            case "helpers.assertBinaryData", int(index), str(name) if name in self.items[index].get("binary", {}):
                return self.items[index]["binary"][name]
        raise CallFailed("This shop does not do that", description="It is only an example.")


class Runs:
    """Runs code in that execution, through broker, runner and pool."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        self._broker = broker

    async def end(self, code: str, mode: str = ALL, shop: Shop | None = None, **settings: Any) -> EndOfTask:
        """Run code to its end."""
        service = shop or Shop()
        items = settings.pop("items", service.items)
        return await self._broker.request(code_settings(code, items, mode, **settings), service=service).end()

    async def result(self, code: str, mode: str = ALL, shop: Shop | None = None, **settings: Any) -> list[Any]:
        """The items that code returns."""
        end = await self.end(code, mode, shop, **settings)
        assert end.result is not None, end.error
        items: list[Any] = json.loads(bytes(end.result))
        return items

    async def json(self, code: str, mode: str = ALL, shop: Shop | None = None, **settings: Any) -> Any:
        """The `json` of the first item that code returns."""
        return (await self.result(code, mode, shop, **settings))[0]["json"]

    async def error(self, code: str, mode: str = ALL, shop: Shop | None = None, **settings: Any) -> dict[str, Any]:
        """What n8n is told of code that fails."""
        end = await self.end(code, mode, shop, **settings)
        assert end.error is not None, end.result
        return end.error


@asynccontextmanager
async def running(broker: EmbeddedBroker, **config: Any) -> AsyncIterator[Runs]:
    """A runner beside a broker, for as long as the block lasts."""
    settings = config_for(broker, **config)
    async with TaskRunner(settings, executor=SandboxExecutor(settings, python=interpreter())) as runner:
        await runner.reached(ConnectionState.LISTENING)
        yield Runs(broker)
