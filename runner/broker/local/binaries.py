"""Binary data without n8n's storage: files are read when they are asked for, what code makes stays in memory."""

from __future__ import annotations

import base64
import binascii
import mimetypes
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from runner.broker.service import CallFailed

STORED = "local"
"""What stands in `data` of binary data that is kept here, where n8n names its kind of storage."""

DEFAULT_TYPE = "text/plain"

SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"%PDF-": "application/pdf",
    b"PK\x03\x04": "application/zip",
    b"\x1f\x8b\x08": "application/gzip",
}
"""How files begin whose type is told by their content, when there is no name to go by."""

LONGEST_SIGNATURE = max(map(len, SIGNATURES))

KINDS = {
    "application/json": "json",
    "text/html": "html",
    "image/": "image",
    "audio/": "audio",
    "video/": "video",
    "text/": "text",
    "application/javascript": "text",
    "application/pdf": "pdf",
}
"""n8n's `fileType` of a type that begins so; the first match counts."""


class Binaries:
    """The binary data of one execution."""

    def __init__(self) -> None:
        """A storage with nothing in it."""
        self._contents: dict[str, bytes | Path] = {}

    def attach(self, path: Path, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Binary data for an item, which is the content of a file. It is read when it is asked for.

        Parameters:
            known: members that are to be as given, such as `mimeType`.

        Raises:
            OSError: it cannot be read.
        """
        with path.open("rb") as file:
            beginning = file.read(LONGEST_SIGNATURE)
        return self._keep({**_described(path.name, None, beginning), **(known or {})}, path, path.stat().st_size)

    def prepare(self, content: bytes, file_path: str | None, mime_type: str | None) -> dict[str, Any]:
        """Binary data for an item, made from bytes; what is not said about it is guessed as n8n does."""
        return self._keep(_described(file_path, mime_type, content), content, len(content))

    def replace(self, binary: Mapping[str, Any], content: bytes) -> dict[str, Any]:
        """The same binary data with another content."""
        return self._keep(binary, content, len(content))

    def content(self, binary: Mapping[str, Any]) -> bytes:
        """The bytes of binary data of an item, whether kept here or written out in it, as base64.

        Raises:
            CallFailed: they are not to be had.
        """
        if "id" not in binary:
            try:
                return base64.b64decode(str(binary.get("data", "")), validate=True)
            except binascii.Error as error:
                raise CallFailed(f"The binary data has no `id`, and its `data` is not base64: {error}") from error
        content = self._contents.get(str(binary["id"]))
        if content is None:
            raise CallFailed(f"There is no binary data with the id {binary['id']!r} here")
        if isinstance(content, bytes):
            return content
        try:
            return content.read_bytes()
        except OSError as error:
            raise CallFailed(f"{content} cannot be read: {error.strerror}") from error

    def _keep(self, binary: Mapping[str, Any], content: bytes | Path, size: int) -> dict[str, Any]:
        name = f"{STORED}:{len(self._contents)}"
        self._contents[name] = content
        return {**binary, "data": STORED, "id": name, "fileSize": _size(size), "bytes": size}


def _described(file_path: str | None, mime_type: str | None, content: bytes) -> dict[str, Any]:
    """What n8n says of binary data, from what is known of it."""
    path = PurePosixPath(file_path or "")
    mime_type = mime_type or mimetypes.guess_type(path.name)[0] or _type_of(content)
    extension = path.suffix[1:] or (mimetypes.guess_extension(mime_type) or "")[1:] if mime_type else ""
    mime_type = mime_type or DEFAULT_TYPE
    kind = next((kind for beginning, kind in KINDS.items() if mime_type.startswith(beginning)), None)
    directory = str(path.parent) if file_path and "/" in file_path else None
    known = {"fileType": kind, "fileExtension": extension, "directory": directory, "fileName": path.name}
    return {"mimeType": mime_type, **{name: value for name, value in known.items() if value}}


def _type_of(content: bytes) -> str | None:
    return next((mime_type for beginning, mime_type in SIGNATURES.items() if content.startswith(beginning)), None)


def _size(size: int) -> str:
    """A size for people, as n8n writes it: `1.23 kB`."""
    value, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.3g} {units[0]}"
