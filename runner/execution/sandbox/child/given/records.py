"""Data of n8n's that is read as `data["key"]` and as `data.key`: dicts that everybody takes for dicts."""

from __future__ import annotations

from typing import Any

MOST_KEYS_NAMED = 10
"""How many keys are named by an error about one that is not there."""


class Record(dict[str, Any]):
    """A dict whose keys can be read, set and deleted as attributes too.

    What dicts have themselves, such as `keys`, comes first: a key of that name is read with brackets. So is one that
    begins with two underscores, which Python has meanings for.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        """The value of a key that is no attribute of dicts."""
        if name in self and name[:2] != "__":
            return self[name]
        names = ", ".join(map(str, list(self)[:MOST_KEYS_NAMED])) or "nothing"
        more = ", …" if len(self) > MOST_KEYS_NAMED else ""
        raise AttributeError(f"there is no {name!r} here, but {names}{more}", name=name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a key."""
        _refuse(name)
        self[name] = value

    def __delattr__(self, name: str) -> None:
        """Delete a key."""
        if name not in self:
            raise AttributeError(f"there is no {name!r} to delete", name=name)
        del self[name]

    def __copy__(self) -> Record:
        """A record with the same values."""
        return Record(self)

    def copy(self) -> Record:
        """A record with the same values."""
        return Record(self)


_OF_DICTS = frozenset(dir(dict))


def _refuse(name: str) -> None:
    """Refuse to set what could not be read again."""
    if name in _OF_DICTS or name[:2] == "__":
        raise AttributeError(f"{name!r} is what every dict has: set it with brackets, [{name!r}]", name=name)


def recorded(items: list[Any]) -> list[Any]:
    """JSON data with records in the place of its dicts; lists stay the lists that they are."""
    todo: list[Any] = [items]
    for each in todo:  # no recursion: data may be nested more deeply than Python's stack
        members = each.items() if type(each) is Record else enumerate(each)
        for key, member in members:
            kind = type(member)
            if kind is dict:
                each[key] = Record(member)
                todo.append(each[key])
            elif kind is list:
                todo.append(member)
    return items
