"""`make simulate`: one seed again, with its story; or fresh seeds, until so many simulated hours have passed."""

from __future__ import annotations

import argparse
import random
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.fleet import show_fleets
from tests.simulation.run import simulate
from tests.simulation.summary import Summary

LAST_LINES = 60
"""How much of the story of a broken rule is shown unless all is asked for."""

HANDFUL = 20
"""How many fresh seeds a process runs before it says what it has seen."""


def main(arguments: list[str]) -> int:
    """Run what the command line asks for; 1 if a rule was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="the seed to run again; unless given, fresh ones")
    parser.add_argument(
        "--hours", type=float, help="how long: the seed's run, or all fresh ones together (default 100)"
    )
    parser.add_argument("--each", type=float, help="the length of each fresh seed's run in hours; drawn unless given")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes run fresh seeds")
    parser.add_argument("--story", action="store_true", help="show the whole story of the seed")
    parser.add_argument("--fleet", action="store_true", help="let fleets come back after a restart of their broker")
    options = parser.parse_args(arguments)
    if options.fleet:
        print(show_fleets())
        return 0
    if options.seed is not None:
        return replay(options.seed, options.hours, whole=options.story)
    return explore(options.hours or 100, options.each, options.jobs)


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


def explore(hours: float, each: float | None, jobs: int) -> int:
    """Run fresh seeds, until so many hours have passed or a rule is broken."""
    summary, started = Summary(), time.monotonic()
    with ProcessPoolExecutor(jobs) as pool:
        while summary.hours < hours:
            handfuls = [[random.SystemRandom().randrange(2**32) for _ in range(HANDFUL)] for _ in range(jobs)]
            for part, broken in pool.map(run_all, handfuls, [each] * jobs):
                summary += part
                if broken is not None:
                    return tell(broken, each)
    took = time.monotonic() - started
    print(f"{summary}\n\n{took:.1f} s of real time: {summary.hours / took * 60:,.0f} simulated hours a minute")
    for name in summary.missing():
        print(f"never seen: {name}")
    return 0


def run_all(seeds: list[int], hours: float | None) -> tuple[Summary, int | None]:
    """Run some seeds. Returns what was seen, and the first seed that broke a rule."""
    summary = Summary()
    for seed in seeds:
        report = simulate(seed, hours)
        summary.add(report)
        if report.broken is not None:
            return summary, seed
    return summary, None


def tell(seed: int, hours: float | None) -> int:
    """Tell how a fresh seed broke a rule, and how to see it again."""
    replay(seed, hours, whole=False)
    length = "" if hours is None else f" HOURS={hours}"
    print(f"\nmake simulate SEED={seed}{length}")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
