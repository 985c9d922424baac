"""What a soak has to show: a row a minute, and at the end how much of what has grown."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from tests.chaos.health import Reading

MEGABYTE = 1_000_000
HEAD = (
    f"{'minute':>6} {'done':>8} {'failed as expected':>19} {'lost with a fault':>18} {'faults':>7} {'reconnects':>11} "
    f"{'zygotes replaced':>17} {'descriptors':>12} {'processes':>10} {'PSS MB':>8} {'worst s':>8}"
)

GROWING: tuple[tuple[str, Callable[[Reading], float]], ...] = (
    ("descriptors of the runner", lambda reading: reading.descriptors.total()),
    ("descriptors of the zygote", lambda reading: reading.zygote_descriptors),
    ("threads of the runner", lambda reading: reading.threads),
    ("processes", lambda reading: reading.processes),
    ("temporary folders", lambda reading: reading.task_folders),
    ("PSS of the tree, MB", lambda reading: reading.memory / MEGABYTE),
)


@attrs.define
class Tally:
    """What has been counted since the beginning; the worst latency since the last row."""

    done: int = 0
    failed: int = 0
    lost: int = 0
    faults: int = 0
    worst: float = 0.0

    def row(self, minute: float, reconnects: int, zygotes: int, reading: Reading) -> str:
        """A row of the table; begins the next one."""
        worst, self.worst = self.worst, 0.0
        return (
            f"{minute:6.1f} {self.done:8d} {self.failed:19d} {self.lost:18d} {self.faults:7d} {reconnects:11d} "
            f"{zygotes:17d} {reading.descriptors.total():12d} {reading.processes:10d} "
            f"{reading.memory / MEGABYTE:8.1f} {worst:8.3f}"
        )


def growth(readings: list[tuple[float, Reading]]) -> list[str]:
    """By how much each thing grows in an hour: the slope of the line that fits the readings at rest best."""
    return [
        f"{name}: {figure(readings[0][1]):g} at first, {figure(readings[-1][1]):g} at last, "
        f"{3600 * _slope([(when, figure(reading)) for when, reading in readings]):+.2f} an hour"
        for name, figure in GROWING
    ]


def _slope(points: list[tuple[float, float]]) -> float:
    """Of the straight line with the least squares, per second."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
