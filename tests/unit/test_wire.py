"""Frames between runner, zygote and workers, however the bytes of them come."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.execution.sandbox import wire

SIZES = st.one_of(
    st.integers(0, 64),
    st.integers(wire.FIRST_PIECE - 8, wire.FIRST_PIECE + 8),
    st.integers(wire.PIECE - 8, wire.PIECE + 8),
)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@given(SIZES, st.lists(st.integers(1, 40_000), max_size=4))
def test_a_frame_is_read_in_whatever_pieces_it_comes(size: int, cuts: list[int]) -> None:
    payload = os.urandom(size)
    frame = b"".join(wire.pack(wire.TASK, payload))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        writer = threading.Thread(target=_send, args=(ours, frame, cuts))
        writer.start()
        assert bytes(wire.FrameReader(theirs.fileno()).read()) == payload
        writer.join()


def _send(line: socket.socket, frame: bytes, cuts: list[int]) -> None:
    for cut in cuts:
        line.sendall(frame[:cut])
        frame = frame[cut:]
    line.sendall(frame)


@pytest.mark.parametrize(
    "sent", [b"", b"\x01", b"\x01\0\0\0\x05", b"\x01\0\0\0\x05four", b"\x01\0\x01\0\0" + b"x" * 20_000]
)
def test_an_end_within_a_frame_is_told(pair: tuple[socket.socket, socket.socket], sent: bytes) -> None:
    ours, theirs = pair
    ours.sendall(sent)
    ours.close()
    with pytest.raises(EOFError):
        wire.FrameReader(theirs.fileno()).read()


@given(st.lists(st.tuples(st.sampled_from([wire.ORDER, wire.FORK]), SIZES), max_size=3))
def test_what_comes_behind_a_frame_is_left_alone(frames: list[tuple[int, int]]) -> None:
    """The zygote's order is followed by frames that have descriptors with them."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sent = [(kind, os.urandom(size)) for kind, size in frames]
        writer = threading.Thread(target=_write, args=(ours, sent))
        writer.start()
        for kind, payload in sent:
            assert wire.read_frame(theirs.fileno()) == (kind, bytearray(payload))
        writer.join()


def _write(line: socket.socket, frames: list[tuple[int, bytes]]) -> None:
    for kind, payload in frames:
        wire.write_frame(line.fileno(), kind, payload)
