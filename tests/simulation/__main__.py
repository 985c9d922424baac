"""`make simulate`: one seed again, with its story; or fresh seeds, until so many simulated hours have passed."""

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.simulation.fleet import show_fleets
from tests.simulation.run import Report, simulate
from tests.simulation.summary import Summary

LAST_LINES = 60
"""How much of the story of a broken rule is shown unless all is asked for."""


def main(arguments: list[str]) -> int:
    """Run what the command line asks for; 1 if a rule was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="the seed to run again; unless given, fresh ones")
    parser.add_argument(
        "--hours", type=float, help="how long: the seed's run, or all fresh ones together (default 100)"
    )
    parser.add_argument("--each", type=float, help="the length of each fresh seed's run in hours; drawn unless given")
    parser.add_argument("--story", action="store_true", help="show the whole story of the seed")
    parser.add_argument("--fleet", action="store_true", help="let fleets come back after a restart of their broker")
    options = parser.parse_args(arguments)
    if options.fleet:
        print(show_fleets())
        return 0
    if options.seed is not None:
        return replay(options.seed, options.hours, whole=options.story)
    return explore(options.hours or 100, options.each)


def replay(seed: int, hours: float | None, *, whole: bool) -> int:
    """Run one seed again, and tell its story if it is asked for or a rule is broken."""
    report = simulate(seed, hours, keep=None)
    if whole or report.broken is not None:
        print(report.plan)
        for line in list(report.story)[0 if whole else -LAST_LINES :]:
            print(line)
    summary = Summary()
    summary.add(report)
    print(f"\n{summary}" if report.broken is None else f"\n{report.broken}")
    return 0 if report.broken is None else 1


def explore(hours: float, each: float | None) -> int:
    """Run fresh seeds, until so many hours have passed or a rule is broken."""
    summary, started = Summary(), time.monotonic()
    while summary.hours < hours:
        seed = random.SystemRandom().randrange(2**32)
        report = simulate(seed, each)
        summary.add(report)
        if report.broken is not None:
            return tell(report, each)
    took = time.monotonic() - started
    print(f"{summary}\n\n{took:.1f} s of real time: {summary.hours / took * 60:,.0f} simulated hours a minute")
    for name in summary.missing():
        print(f"never seen: {name}")
    return 0


def tell(report: Report, hours: float | None) -> int:
    """Tell how a fresh seed broke a rule, and how to see it again."""
    replay(report.seed, hours, whole=False)
    length = "" if hours is None else f" HOURS={hours}"
    print(f"\nmake simulate SEED={report.seed}{length}")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
