"""What n8n is made to run: every flow that the tests call."""

from __future__ import annotations

from tests.n8n.workflows import EACH_ITEM, Code, Flow

DOUBLE = "return [{'json': {'doubled': _items[0]['json']['body']['n'] * 2}}]"
SLEEP = "import time\ntime.sleep(_items[0]['json']['body']['s'])\nreturn [{'json': {'slept': True}}]"
LOOP = "while True:\n    pass"
SPIN = """\
import time
end = time.monotonic() + _items[0]["json"]["body"]["s"]
turns = 0
while time.monotonic() < end:
    turns += 1
return [{"json": {"turns": turns > 0}}]"""
MAKE_LARGE = """\
size = _items[0]["json"]["body"]["mb"] * 1000
return [{"json": {"number": number, "text": "x" * 970}} for number in range(size)]"""
SUM_LARGE = """\
return [{"json": {
    "rows": len(_items),
    "characters": sum(len(item["json"]["text"]) for item in _items),
    "numbers": sum(item["json"]["number"] for item in _items),
}}]"""
MAKE_ROWS = "return [{'json': {'n': n}} for n in range(_items[0]['json']['body']['rows'])]"
HALF = """\
n = _item["json"]["n"]
if n % 2:
    raise ValueError(f"{n} is odd")
return {"json": {"half": n // 2}} if n else None"""
HUNGRY = "text = 'x' * (_items[0]['json']['body']['mb'] * 1024 * 1024)\nreturn [{'json': {'length': len(text)}}]"
PRINTS = "print('printed by the code', 42, {'a': [1]})\nreturn [{'json': {'done': True}}]"
ECHO = (
    "return [{'json': {'text': _items[0]['json']['body']['text'], 'length': len(_items[0]['json']['body']['text'])}}]"
)
PRINTS_MUCH = "for number in range(5000):\n    print(number)\nreturn []"
HUGE = "text = 'x' * (_items[0]['json']['body']['mb'] * 1000 * 1000)\nreturn [{'json': {'text': text}}]"
DIG = """\
value = {}
for _ in range(_items[0]["json"]["body"]["levels"]):
    value = {"a": value}
return [{"json": value}]"""

FLOWS = (
    Flow("double", (Code(DOUBLE),)),
    Flow("sleep", (Code(SLEEP),)),
    Flow("loop", (Code(LOOP),)),
    Flow("spin", (Code(SPIN),)),
    Flow("large", (Code(MAKE_LARGE), Code(SUM_LARGE))),
    Flow("rows", (Code(MAKE_ROWS), Code("return _items"))),
    Flow("each", (Code(MAKE_ROWS), Code(HALF, mode=EACH_ITEM))),
    Flow("each-goes-on", (Code(MAKE_ROWS), Code(HALF, mode=EACH_ITEM, goes_on=True))),
    Flow("nan", (Code("return [{'json': {'nan': float('nan'), 'infinity': float('-inf'), 'n': 1}}]"),)),
    Flow("deep", (Code(DIG),)),
    Flow("deep-input", (Code("return [{'json': {'body': _items[0]['json']['body']}}]"),)),
    Flow("number", (Code("return 5"),)),
    Flow("none-in-list", (Code("return [{'json': {}}, None]"),)),
    Flow("mixed", (Code("return [{'json': {'a': 1}}, {'json': {'a': 2}, 'b': 3}]"),)),
    Flow("some-without-json", (Code("return [{'json': {'a': 1}}, {'a': 2}]"),)),
    Flow("nothing", (Code("return None"),)),
    Flow("raises", (Code("a = 1\nraise ValueError('on purpose')"),)),
    Flow("refused", (Code("import subprocess\nreturn []"),)),
    Flow("syntax", (Code("return ["),)),
    Flow("exits", (Code("raise SystemExit(7)"),)),
    Flow("goes-on", (Code("raise ValueError('on purpose')", goes_on=True),)),
    Flow("prints", (Code(PRINTS),)),
    Flow("prints-much", (Code(PRINTS_MUCH),)),
    Flow("huge", (Code(HUGE), Code("return [{'json': {'length': len(_items[0]['json']['text'])}}]"))),
    Flow("raises-surrogate", (Code("raise ValueError('half an emoji: \\ud83d')"),)),
    Flow("surrogate", (Code(ECHO),)),
    Flow("hungry", (Code(HUNGRY),)),
)
