"""What n8n does on behalf of the code: `_helpers`. Each call waits for its answer. Runs in the child."""

from __future__ import annotations

from typing import Any

from runner.execution.sandbox.child.given.asking import Asking
from runner.execution.sandbox.child.given.buffers import Bytes, loaded


class Helpers:
    """Functions of n8n's, by the names that they have in JavaScript. All of them raise `N8nError` when n8n refuses."""

    __slots__ = ("_asking",)

    def __init__(self, asking: Asking) -> None:
        """The functions, called by asking."""
        self._asking = asking

    def httpRequest(self, options: dict[str, Any] | None = None, /, **more: Any) -> Any:  # noqa: N802 - n8n's names
        """Make an HTTP request, and return the body of the answer, or all of the answer with `returnFullResponse`.

        Parameters:
            options: n8n's options for a request, such as `url`, `method`, `headers`, `qs`, `body`, `json`.
            more: the same as keywords.
        """
        request = {**(options or {}), **more}
        body = request.get("body")
        if isinstance(body, Bytes):
            request["body"] = _text_of(bytes(body))
        return self._call("httpRequest", request)

    def getBinaryDataBuffer(self, itemIndex: int, propertyName: str) -> bytes:  # noqa: N802, N803
        """The contents of a file of an input item."""
        return _bytes_in(self._call("getBinaryDataBuffer", itemIndex, propertyName))

    def prepareBinaryData(  # noqa: N802
        self,
        content: bytes | str,
        fileName: str | None = None,  # noqa: N803
        mimeType: str | None = None,  # noqa: N803
    ) -> Any:
        """A file with these contents, for the `binary` of an item. n8n finds its type out, unless it is given."""
        return self._call("prepareBinaryData", _bytes_of(content), fileName, mimeType)

    def setBinaryDataBuffer(self, binaryData: dict[str, Any], content: bytes | str) -> Any:  # noqa: N802, N803
        """The same file with other contents."""
        return self._call("setBinaryDataBuffer", binaryData, _bytes_of(content))

    def binaryToString(self, content: bytes, encoding: str | None = None) -> str:  # noqa: N802
        """Bytes as text."""
        return str(self._call("binaryToString", _bytes_of(content), encoding))

    def assertBinaryData(self, itemIndex: int, propertyName: str) -> Any:  # noqa: N802, N803
        """What is known of a file of an input item."""
        return self._call("assertBinaryData", itemIndex, propertyName)

    def _call(self, function: str, *arguments: Any) -> Any:
        """Call a function; arguments at the end that are None are left out, as JavaScript has `undefined` there."""
        given = list(arguments)
        while given and given[-1] is None:
            given.pop()
        return loaded(self._asking.call(function, given))


def _bytes_of(content: Any) -> bytes:
    """Contents as bytes: text is UTF-8.

    Raises:
        TypeError: they are neither.
    """
    if isinstance(content, str):
        return content.encode()
    if not isinstance(content, Bytes):
        raise TypeError(f"the contents of a file are bytes or text, not {type(content).__name__}")
    return bytes(content)


def _bytes_in(answer: Any) -> bytes:
    return answer.encode() if isinstance(answer, str) else bytes(answer)


def _text_of(body: bytes) -> str:
    """A body of bytes as text, since n8n takes no other from a task: it sends it as UTF-8, and so as these bytes.

    Raises:
        ValueError: it is no UTF-8.
    """
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("n8n takes no bytes but UTF-8 text as the body of a request from code") from None
