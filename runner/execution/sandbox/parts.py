"""The parts in which a task's process sends its result: each is small, and is checked on its own.

The runner writes every bracket, comma and quotation mark between them itself. So what they make up is one JSON value
whatever the process sends, and it is never nested more deeply than n8n can bear.
"""

from __future__ import annotations

VALUES = 16
LIST = 17
OBJECT = 18
KEY = 19
MEMBERS = 20
TEXT = 21
PIECE = 22
CLOSE = 23
DROP = 24
END = 25

MEANINGS = {
    VALUES: "JSON values with commas between them; exactly one unless it is inside a list",
    LIST: "opens a list; no payload",
    OBJECT: "opens an object; no payload",
    KEY: "a JSON string, the key of the value that the next parts are",
    MEMBERS: 'members of an object with commas between them, such as "a":1,"b":2',
    TEXT: "opens a long string, which is a value, or a key where a key belongs; no payload",
    PIECE: "a piece of the content of that string: escaped, and with no escape sequence cut in two",
    CLOSE: "closes what was opened last; no payload",
    DROP: "takes back what was opened last, with all that is in it; no payload",
    END: "the result is complete; no payload",
}
"""Each kind of part, as it stands in the header of its frame: what its payload is."""

PART_LIMIT = 64 * 1024
"""The longest payload of a part, in bytes: as much as is checked in a fraction of a millisecond."""

MOST_BRACKETS = 512
"""How many `[` and `{` the payload of one part may have, those in its strings included.

Nobody has to look for the deepest place of a payload when this bounds it, and whatever reads it has stack enough: in
Python 3.11 a reader of JSON has about a thousand levels, less the calls that it was made from.
"""

MOST_LEVELS = 1000
"""How deeply lists and objects of a result may be nested. n8n reads several times as many, but cannot write them."""


def brackets_in(payload: bytes) -> int:
    """How many `[` and `{` a payload has; if there are more than a part may have, perhaps not all of them.

    To leave them out and see what is left takes a third of the time of counting them, as long as they are few.
    """
    most = MOST_BRACKETS + 1
    return 2 * len(payload) - len(payload.replace(b"[", b"", most)) - len(payload.replace(b"{", b"", most))
