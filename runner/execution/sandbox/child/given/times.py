"""The time in the time zone of the workflow: `_now`, `_today`. Runs in the child."""

from __future__ import annotations

import os
from datetime import datetime, tzinfo

OF_THE_INSTANCE = "DEFAULT"
"""What a workflow has for its time zone that goes by the settings of n8n."""


def now(zone: object) -> datetime:
    """The current time, in a time zone by name; in that of the runner (TZ, or the machine's) if there is no such."""
    return datetime.now(_zone(zone)) if _zone(zone) else datetime.now().astimezone()


def today(zone: object) -> datetime:
    """The midnight that was last."""
    return now(zone).replace(hour=0, minute=0, second=0, microsecond=0)


def _zone(zone: object) -> tzinfo | None:
    from zoneinfo import ZoneInfo  # only for code that asks for the time

    for name in (zone, os.environ.get("TZ")):
        if isinstance(name, str) and name and name != OF_THE_INSTANCE:
            try:
                return ZoneInfo(name)
            except (LookupError, OSError, ValueError):  # there is no such zone, or none that can be read
                continue
    return None
