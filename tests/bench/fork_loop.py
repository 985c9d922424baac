"""A bare loop of fork, exit and wait: run as a file, its input are seconds, its output forks per second.

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
import signal
import socket
import struct
import sys
import time
import typing

LOADED = (ast, contextlib, fcntl, json, linecache, re, signal, socket, struct, typing)


def forks_per_second(seconds: float) -> float:
    """How many children can be forked, and seen to end, one after the other."""
    began = time.perf_counter()
    count = 0
    while time.perf_counter() - began < seconds:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        count += 1
    return count / (time.perf_counter() - began)


if __name__ == "__main__":
    for line in sys.stdin:
        print(forks_per_second(float(line)), flush=True)
