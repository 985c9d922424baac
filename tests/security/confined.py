"""Runs one attack or one harmless program in a process of its own, confined or not: started as a file.

Takes JSON on its standard input, and answers with JSON on its standard output: what was brought back, and the report.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

ROOT = str(Path(__file__).resolve().parents[2])


def main() -> None:
    sys.path.insert(0, ROOT)
    from runner.execution.sandbox.confinement.confine import Confinement
    from runner.execution.sandbox.confinement.readable import readable_paths
    from runner.execution.sandbox.confinement.spec import Spec
    from tests.security import attacks, harmless

    sys.path.remove(ROOT)
    order = json.load(sys.stdin)
    world = SimpleNamespace(**order["world"])
    report: list[object] = []
    own = Path(world.own)
    if order["confined"]:
        paths = tuple(readable_paths(network=order["network"]))
        confinement = Confinement(Spec(world.folders, paths, network=order["network"], **order["limits"]))
        confinement.confine_zygote()
        if order["forked"] and (worker := os.fork()):
            os._exit(os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) & 0xFF)
        own.mkdir(0o700)
        place = confinement.prepare(world.own, os.environ)
        report = list(confinement.report(confinement.confine_worker(place)))
    else:
        own.mkdir()
    programs = {**attacks.ATTACKS, **harmless.PROGRAMS}
    try:
        answer = {"loot": repr(programs[order["program"]](world) or ""), "error": ""}
    except BaseException as error:  # noqa: BLE001 - whatever comes is the answer
        answer = {"loot": "''", "error": f"{type(error).__name__}: {error}"}
    os.write(1, json.dumps({**answer, "report": report, "user": os.getuid()}).encode())
    os._exit(0)


if __name__ == "__main__":
    main()
