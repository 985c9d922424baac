"""System calls that are prepared, to be made later in as little time as can be.

Each page of memory that a process writes to for the first time after its fork has to be copied, and Python writes to
each object that it uses, since it counts who does. So a worker confines itself by going through a list of calls whose
arguments are there, and does not work anything out.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from typing import NamedTuple


class Step(NamedTuple):
    """One call, for one layer of confinement."""

    layer: str
    make: Callable[[], object]
    """Makes the call. It returns something true, or raises OSError or ValueError, if the kernel refuses."""


Refused = dict[str, OSError | ValueError]
"""For the layers that could not be, why."""


class Steps:
    """Steps in their order."""

    def __init__(self, steps: Iterable[Step], last_error: Callable[[], int]) -> None:
        """These steps; none is taken yet.

        Parameters:
            last_error: tells the errno of a call that has returned something true.
        """
        self._steps = [*steps]
        self._calls = [step.make for step in self._steps]
        self._last_error = last_error

    def take(self) -> Refused:
        """Make all calls, whatever becomes of each."""
        refused: Refused = {}
        for call in self._calls:
            try:
                answer = call()
                if answer:
                    refused[self._layer_of(call)] = self._error(answer)
            except (OSError, ValueError) as error:
                refused[self._layer_of(call)] = error
        return refused

    def _layer_of(self, call: Callable[[], object]) -> str:
        return self._steps[self._calls.index(call)].layer

    def _error(self, answer: object) -> OSError:
        """The error of a call: the only answer that is neither 0 nor -1 is a thread that has other filters."""
        number = self._last_error() if answer == -1 else errno.EBUSY
        return OSError(number, os.strerror(number))


def said(error: Exception) -> str:
    """Why, in the kernel's words."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
