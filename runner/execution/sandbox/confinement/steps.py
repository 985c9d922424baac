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


def take(steps: Iterable[Step], last_error: Callable[[], int]) -> Refused:
    """Make the calls of all `steps`, in their order, whatever becomes of each.

    Parameters:
        last_error: tells the errno of a call that has returned something true.
    """
    refused: Refused = {}
    for layer, make in steps:
        try:
            answer = make()
            if answer:
                number = last_error() if answer == -1 else errno.EBUSY  # the number of a thread that has other filters
                refused[layer] = OSError(number, os.strerror(number))
        except (OSError, ValueError) as error:
            refused[layer] = error
    return refused


def said(error: Exception) -> str:
    """Why, in the kernel's words."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
