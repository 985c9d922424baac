"""A bare loop of fork, exit and wait: run as a file, its input are seconds; its output what `measure` returns.

It loads what a zygote has to load before it can serve tasks, and nothing of this project, so that the yardstick stays
the same when the project changes.
"""

import ast
import contextlib
import fcntl
import json
import linecache
import os
import re
import resource
import signal
import socket
import struct
import sys
import time
import typing

LOADED = (ast, contextlib, fcntl, json, linecache, re, signal, socket, struct, typing)


def measure(seconds: float) -> tuple[float, float, float]:
    """Fork children one after the other and see each end.

    Returns how many there are in a second, and what one costs this process and itself: processor time in seconds, and
    page faults.
    """
    began, before = time.perf_counter(), spent()
    count = 0
    while time.perf_counter() - began < seconds:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        count += 1
    took = time.perf_counter() - began
    processor, faults = (after - earlier for after, earlier in zip(spent(), before, strict=True))
    return count / took, processor / count, faults / count


def spent() -> tuple[float, float]:
    """Processor time and page faults of this process and of its children that have ended."""
    own, theirs = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    processor = own.ru_utime + own.ru_stime + theirs.ru_utime + theirs.ru_stime
    return processor, own.ru_minflt + theirs.ru_minflt


if __name__ == "__main__":
    for line in sys.stdin:
        print(*measure(float(line)), flush=True)
