"""What a fork shares by accident is made anew in the child: whatever is random. Standard library only.

`random` and `ssl` see to that themselves, `secrets` and `uuid4` ask the kernel each time. What stays shared are the
seed of the hashes of texts and where things lie in memory: those belong to the zygote, whose code nobody chooses.
"""

from __future__ import annotations

import os
import sys


def renew() -> None:
    """Make new what must not be the same in two tasks."""
    generators = sys.modules.get("numpy.random")
    if generators is not None:
        generators.seed(int.from_bytes(os.urandom(4), "big"))
