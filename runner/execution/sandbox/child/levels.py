"""Looks through values as JSON has them, a level at a time and at the speed of C. Runs in the child."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

ATOMS = frozenset({int, float, bool, type(None)})
"""The types of values that become short, and have nothing in them."""

CONTAINERS = frozenset({dict, list, tuple})
"""Those that have other values in them."""

PLAIN = ATOMS | CONTAINERS | {str}
"""All that become in JSON what they are, and as long as they and what is in them are."""

KEYS = frozenset({str})
"""The types of keys that are as long as they are written."""

MOST_LEVELS = 50
"""How many levels are looked through one by one."""


def keys_in(level: list[Any], kinds: AbstractSet[type]) -> set[Any] | None:
    """The keys of all dicts among values of these `kinds`; None unless all values and all keys are plain."""
    if not kinds <= PLAIN:
        return None
    if dict not in kinds:
        return set()
    dicts = level if len(kinds) == 1 else [each for each in level if type(each) is dict]
    try:
        keys = set().union(*dicts)
    except Exception:  # noqa: BLE001 - what comparing keys of the user's own classes raises
        return None
    return keys if KEYS.issuperset(map(type, keys)) else None
