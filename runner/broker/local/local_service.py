"""The service of a task that has no n8n behind it: an execution, its binary data, and HTTP."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from runner.broker.local.binaries import Binaries
from runner.broker.local.execution import Execution
from runner.broker.local.http_client import DirectHttp, Http
from runner.broker.service import CallFailed, NodeTypeWanted


class LocalService:
    """Serves one task from memory, files and the network; used as a context manager, which ends its connections."""

    def __init__(
        self, execution: Execution | None = None, binaries: Binaries | None = None, http: Http | None = None
    ) -> None:
        """A service of these parts; by default a node with one empty item, no files, and HTTP without limits."""
        self.execution = execution or Execution()
        self.binaries = binaries or Binaries()
        self._http = http or DirectHttp()
        self._functions: dict[str, Callable[..., Any]] = {
            "helpers.assertBinaryData": self._assert_binary_data,
            "helpers.getBinaryDataBuffer": self._get_binary_data_buffer,
            "helpers.prepareBinaryData": self._prepare_binary_data,
            "helpers.setBinaryDataBuffer": self._set_binary_data_buffer,
            "helpers.binaryToString": self._binary_to_string,
            "helpers.httpRequest": self._http.http_request,
            "helpers.request": self._http.request,
        }

    async def __aenter__(self) -> Self:
        """Be ready."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End what is open."""
        await self._http.close()

    async def data(self) -> Mapping[str, Any]:
        """The execution."""
        return self.execution.data()

    async def node_types(self, wanted: Sequence[NodeTypeWanted]) -> Sequence[Mapping[str, Any]]:
        """Nothing: the nodes of a made-up workflow have no types that anything could be said about."""
        return ()

    async def call(self, name: str, arguments: Sequence[Any]) -> Any:
        """Call a function; see `TaskService.call`."""
        function = self._functions[name]
        try:
            inspect.signature(function).bind(*arguments)
        except TypeError as error:
            raise CallFailed(f"{name}: {error}") from error
        answer = function(*arguments)
        return await answer if inspect.isawaitable(answer) else answer

    # Binary data

    def _assert_binary_data(self, item_index: Any, wanted: Any) -> Mapping[str, Any]:
        """The binary data of an item, under a name; binary data itself is passed through."""
        if isinstance(wanted, Mapping):
            return wanted
        items = self.execution.items
        if not isinstance(item_index, int) or not 0 <= item_index < len(items):
            raise CallFailed(f"There is no item {item_index!r}: the node was given {len(items)}")
        binary = items[item_index].get("binary")
        if not binary:
            raise CallFailed(
                f"This operation expects the node's input data to contain a binary file {wanted!r}, "
                f"but none was found [item {item_index}]",
                description="Make sure that the node before this one puts out a file",
                context={"itemIndex": item_index},
            )
        if not isinstance(wanted, str) or wanted not in binary:
            raise CallFailed(
                f"The item has no binary field {wanted!r} [item {item_index}]",
                description=f"It has: {', '.join(binary)}",
                context={"itemIndex": item_index},
            )
        found: Mapping[str, Any] = binary[wanted]
        return found

    def _get_binary_data_buffer(self, item_index: Any, wanted: Any) -> bytes:
        return self.binaries.content(self._assert_binary_data(item_index, wanted))

    def _prepare_binary_data(self, content: Any, file_path: Any = None, mime_type: Any = None) -> dict[str, Any]:
        for what, text in (("name of the file", file_path), ("MIME type", mime_type)):
            if not isinstance(text, str | None):
                raise CallFailed(f"helpers.prepareBinaryData: the {what} is not a text, but {type(text).__name__}")
        return self.binaries.prepare(_bytes("helpers.prepareBinaryData", content), file_path, mime_type)

    def _set_binary_data_buffer(self, binary: Any, content: Any) -> dict[str, Any]:
        if not isinstance(binary, Mapping):
            raise CallFailed("helpers.setBinaryDataBuffer: the first argument is not binary data of an item")
        return self.binaries.replace(binary, _bytes("helpers.setBinaryDataBuffer", content))

    def _binary_to_string(self, content: Any, encoding: str = "utf-8") -> str:
        try:
            return _bytes("helpers.binaryToString", content).decode(encoding, "replace")
        except (LookupError, TypeError) as error:
            raise CallFailed(f"helpers.binaryToString: there is no encoding {encoding!r}") from error


def _bytes(function: str, content: Any) -> bytes:
    """The bytes of an argument that may also be text."""
    if isinstance(content, str):
        return content.encode("utf-8", "replace")
    if isinstance(content, bytes):
        return content
    raise CallFailed(f"{function}: bytes or text are needed, not {type(content).__name__}")
