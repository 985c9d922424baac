"""What a fork shares by accident is made anew in the child: whatever is random. Standard library only.

`random` and `ssl` see to that themselves, `secrets` and `uuid4` ask the kernel each time. What stays shared are the
seed of the hashes of texts and where things lie in memory: those belong to the zygote, whose code nobody chooses.
"""

from __future__ import annotations

import os
import sys

NUMPY = "numpy.random"


def shares_random() -> bool:
    """Whether there is anything that `renew` would make new."""
    return NUMPY in sys.modules


def renew() -> None:
    """Make new what must not be the same in two tasks."""
    sys.modules[NUMPY].seed(int.from_bytes(os.urandom(4), "big"))
