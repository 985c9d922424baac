"""What joins the runner and a worker: made by the runner, which keeps one end of each and passes the others on.

Not made by the zygote: whatever that does, it does with memory that it shares with the workers, and has to copy.
"""

from __future__ import annotations

import os
import socket

import attrs


@attrs.define
class Ends:
    """The runner's ends of a worker's line and output; and the worker's, until they are passed on."""

    line: socket.socket
    output: int
    theirs: list[int]
    """What the worker is to have as its standard input and output, and as its line."""

    @classmethod
    def make(cls) -> Ends:
        """New ones.

        Raises:
            OSError: there are no descriptors left.
        """
        opened: list[int] = []  # an exit stack would take longer than what it stands for
        try:
            opened += os.pipe()
            opened.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))  # one for each, or all would share its flags
            line, workers_line = socket.socketpair()
        except BaseException:
            for descriptor in opened:
                os.close(descriptor)
            raise
        output, written, nothing = opened
        return cls(line, output, [nothing, written, workers_line.detach()])

    def pass_on(self, control_line: socket.socket, frame: bytes) -> None:
        """Send the worker's ends along with a frame, and let go of them.

        Raises:
            OSError: nobody takes them.
        """
        try:
            socket.send_fds(control_line, [frame], self.theirs)
        finally:
            for descriptor in self.theirs:
                os.close(descriptor)
            self.theirs = []

    def close(self) -> None:
        """Let go of the runner's ends: there is no worker."""
        self.line.close()
        os.close(self.output)
