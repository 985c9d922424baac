"""Bytes on n8n's wire: JSON has none, so they travel as `{"type": "Buffer", "data": [104, 105]}`."""

from __future__ import annotations

from typing import Any

from msgspec import Raw

SLICE = 64 * 1024
"""How many bytes are written at a time: as a list, they would take eight times their size."""

_TEXTS = [str(number) for number in range(256)]


def with_buffers(value: Any) -> Any:
    """A value in which bytes, at any depth, are ready to be written as n8n writes them."""
    if isinstance(value, bytes | bytearray | memoryview):
        return {"type": "Buffer", "data": _numbers(bytes(value))}
    if isinstance(value, dict):
        return {key: with_buffers(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [with_buffers(member) for member in value]
    return value


def _numbers(content: bytes) -> Raw:
    """Bytes as a JSON list of numbers."""
    slices = (content[start : start + SLICE] for start in range(0, len(content), SLICE))
    return Raw(b"[" + b",".join(",".join(map(_TEXTS.__getitem__, each)).encode() for each in slices) + b"]")


def from_buffer(value: Any) -> Any:
    """The bytes that a value stands for if it is a buffer, and else the value.

    As in n8n, only an argument itself can be a buffer, not what is inside of it.

    Raises:
        ValueError: it has the form of a buffer, but holds something else than bytes.
    """
    if isinstance(value, dict) and value.get("type") == "Buffer" and isinstance(value.get("data"), list):
        try:
            return bytes(value["data"])
        except (ValueError, TypeError) as error:
            raise ValueError(f"a buffer holds something that is not a byte: {error}") from error
    return value
