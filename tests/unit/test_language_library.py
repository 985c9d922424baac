# ruff: noqa: E501 - the programs stand in tables
"""What the standard library does for the user's code: nothing that the code may not do, and all else as ever."""

from __future__ import annotations

import textwrap
from functools import cache
from typing import Any

import pytest

from tests.unit.test_language_runtime import HARMLESS_LOOKING, plain, run_codes

GLOBALS = "'{0.__globals__[_os]}'"
"""A text that formats a function of `random` to the module `os`."""

ATTACKS = {
    "a text as a dataclass": f"""
        import dataclasses, random
        @dataclasses.dataclass(init=False, repr=False, eq=False)
        class Text(str):
            format: object
        return dataclasses.asdict(Text({GLOBALS}))['format'](random.Random.seed)
    """,
    "the slots of a text": f"""
        import copy, random
        seen = []
        class Text(str):
            __slotnames__ = ['format']
            def __setattr__(self, name, value): seen.append(value)
        copy.copy(Text({GLOBALS}))
        return seen[0](random.Random.seed)
    """,
    "positions that change": f"""
        import random
        class Positions:
            asked = 0
            def __get__(self, owner, kind):
                Positions.asked += 1
                return ('format',) if Positions.asked > 1 else ()
        class Text(str):
            __match_args__ = Positions()
        for _ in range(2):
            try:
                match Text({GLOBALS}):
                    case Text(found): return found(random.Random.seed)
            except TypeError:
                pass
    """,
    "a body in a prepared namespace": f"""
        import random
        class Text(str):
            __match_args__ = ('format',)
        class Meta:
            def __getattr__(self, name): return lambda *a, **k: {{'<match>': lambda *k: False}}
            def __call__(self, name, bases, names): return names
        class Body(metaclass=Meta()):
            match Text({GLOBALS}):
                case Text(found): found = found(random.Random.seed)
        return Body
    """,
    "an attribute that is read to be set": f"""
        import random
        seen = []
        class Right:
            def __radd__(self, left): seen.append(left)
        try:
            {GLOBALS}.format += Right()
        except AttributeError:
            return seen[0](random.Random.seed)
    """,
    "an attribute in a pattern": f"""
        import random
        seen = []
        class Subject:
            def __eq__(self, other): seen.append(other)
        text = {GLOBALS}
        match Subject():
            case text.format: pass
        return seen[0](random.Random.seed)
    """,
    "an error that is read to be set": """
        import random
        seen = []
        class Right:
            def __radd__(self, left): seen.append(left)
        try:
            random.nothing
        except AttributeError as error:
            error.obj += Right()
        return seen
    """,
    "a hook that is shown classes": """
        import contextlib
        seen = []
        class Kind(contextlib.AbstractContextManager):
            @classmethod
            def __subclasshook__(cls, kind):
                seen.append(kind)
                return False
        isinstance(int, Kind)
        return seen
    """,
    "a field with a property for its name": """
        import dataclasses
        M = dataclasses.MISSING
        class Field(dataclasses.Field):
            __slots__ = ()
            name = property(lambda s: "__class__ if other.append(__import__('os')) else 0", lambda s, v: 0)
        @dataclasses.dataclass(init=False, repr=False)
        class Kind:
            x: int = Field(M, M, True, False, None, True, None, False)
        found = []
        Kind.__eq__([], found)
        return found
    """,
    "an alias of type": "return type[int](int)",
    "code that is changed": """
        import json
        code = compile('x.loads.a', '', 'eval').replace(co_names=('x', 'loads', '__globals__'))
        return eval(code, {'x': json})
    """,
    "code of a reference": """
        import json, typing
        reference = typing.get_args(typing.List['json.loads.__globals__'])[0]
        return eval(getattr(reference, '__forward_' + 'code__'), {'json': json})
    """,
    "a look that is replaced": f"""
        import random
        class Text(str):
            __match_args__ = ('format',)
        names = {{'random': random, 'text': Text({GLOBALS}), 'Text': Text}}
        names['names'] = names
        lines = [
            "names['<match>'] = lambda *kinds: False",
            "match text:",
            "    case Text(found): found = found(random.Random.seed)",
        ]
        exec(chr(10).join(lines), names)
        return names['found']
    """,
    "a look that is replaced in locals": f"""
        import random
        class Text(str):
            __match_args__ = ('format',)
        names = {{'random': random, 'text': Text({GLOBALS}), 'Text': Text, '<match>': lambda *kinds: False}}
        lines = ["match text:", "    case Text(found): found = found(random.Random.seed)"]
        exec(chr(10).join(lines), {{}}, names)
        return names['found']
    """,
    "a look that is replaced among the builtins": f"""
        import random
        class Text(str):
            __match_args__ = ('format',)
        names = {{}}
        exec('', names)
        names['__builtins__']['<match>'] = lambda *kinds: False
        match Text({GLOBALS}):
            case Text(found): return found(random.Random.seed)
    """,
}
"""What takes classes, `type`, `eval` or `exec`, where these are allowed."""

REFUSED = {
    "memory that is freed": ("import io\nreturn io.BufferedReader(io.BytesIO())", "BufferedReader"),
    "how others are copied": ("import copy\ncopy.dispatch_table[int] = print", "dispatch_table"),
    "a class of the library, by an alias": ("import typing\ntyping.Counter.copy = print", "copy"),
    "a class of the library, wrapped": (
        "import functools, string\nfunctools.update_wrapper(string.Template, lambda: 0)",
        "__module__",
    ),
    "a class of the library, as a dataclass": (
        "import dataclasses, string\ndataclasses.dataclass(string.Template)",
        "",
    ),
    "a field": (
        "import dataclasses, typing\nN = typing.NamedTuple('N', [('x', int)])\ndataclasses.dataclass(N)\n"
        "dataclasses.fields(N)[0].name = 'y'",
        "name",
    ),
    "a property": ("import enum\np = enum.property()\np.name = 'y'", "name"),
    "private, by a method": (
        "import contextlib, enum\nE = enum.Enum('E', {'A': 1, 'm': classmethod(contextlib.ExitStack())})\n"
        "return E.m._exit_callbacks",
        "_exit_callbacks",
    ),
    "private, by super": (
        "import contextlib\nclass K(contextlib.ExitStack): pass\nreturn super(K, K())._push_cm_exit",
        "_push_cm_exit",
    ),
    "private, by a property": (
        "import contextlib, enum\np = enum.property()\n"
        "E = enum.Enum('E', {'A': contextlib.ExitStack(), 'p': p})\np.name = '_exit_callbacks'\nreturn E.A.p",
        "name",
    ),
    "private, by a format": (
        "import contextlib, string\nreturn string.Formatter().format('{0._exit_callbacks}', contextlib.ExitStack())",
        "_exit_callbacks",
    ),
    "another class, by its parts": (
        "import copy, string, types\nparts = lambda: (lambda: string.Template), (), (None, {'x': 1})\n"
        "copy.copy(types.SimpleNamespace(**{'__reduce__': lambda: parts}))",
        "",
    ),
    "a name of a member that says two things": (
        "import collections, enum\nenum.Enum('E', [collections.ChainMap('A', {'__match_args__': 1})])",
        "__match_args__",
    ),
    "a field that is no name": (
        "import dataclasses, typing\ndataclasses.dataclass(typing.TypedDict('T', {'__getattribute__': int}))",
        "__annotations__",
    ),
}
"""What leads further than it looks, and the name that is in the error."""

PROGRAMS: dict[str, tuple[str, Any]] = {
    "a UserString": ("from collections import UserString\nreturn UserString('{0.real} {x}').format(1, x=2)", "1 2"),
    "a UserString with a map": ("from collections import UserString\nreturn UserString('{x}').format_map({'x': 1})", "1"),
    "a UserString in capitals": ("from collections import UserString\nreturn str(UserString('a').upper() + 'b')", "Ab"),
    "a ChainMap": (
        "from collections import ChainMap\nc = ChainMap({'a': 1}).new_child({'b': 2})\nreturn dict(c.parents), dict(c)",
        [{"a": 1}, {"a": 1, "b": 2}],
    ),
    "a Counter": ("from collections import Counter\nreturn Counter('aab').copy()['a']", 2),
    "flags": ("import enum\nF = enum.Flag('F', 'A B')\nreturn (F.A | F.B).value, (~F.A).value", [3, 2]),
    "names of members": ("import enum\nreturn [m.value for m in enum.Enum('E', [('A', 5), ('B', 6)])]", [5, 6]),
    "the home of an enumeration": (
        "import enum\nE = enum.Enum('E', 'A')\nE.more = 1\nreturn E.more, repr(E.A)",
        [1, "<E.A: 1>"],
    ),
    "networks": ("import ipaddress\nreturn str(next(ipaddress.ip_network('10.0.0.0/8').subnets()))", "10.0.0.0/9"),
    "a subclass of Formatter": (
        "import string\nclass F(string.Formatter):\n def convert_field(self, value, how):\n  return super().convert_field(value, 's')\n"
        "return F().format('{0.imag!r}', 1)",
        "0",
    ),
    "private fields": (
        "from dataclasses import asdict, dataclass, replace\n@dataclass(frozen=True, slots=True)\nclass P:\n _x: int\n args: tuple = ()\n"
        "return asdict(replace(P(1), args=(2,)))",
        {"_x": 1, "args": (2,)},
    ),
    "arguments of an error": ("try:\n raise ValueError('a', 1)\nexcept ValueError as e:\n return e.args", ["a", 1]),
    "positions called args": (
        "from dataclasses import dataclass\n@dataclass\nclass P:\n args: list\n format: str\nmatch P([1], 'f'):\n case P(a, f): return a, f",
        [[1], "f"],
    ),
    "an obj of its own": ("from abc import ABC\nclass P(ABC):\n def __init__(self): self.obj = 1\nreturn P().obj", 1),
    "an augmented attribute": ("class P:\n _x = 1\n format = 2\np = P()\np._x += 1\np.format += 1\nreturn p._x, p.format", [2, 3]),
    "an origin": ("import typing\nreturn typing.get_origin(typing.Type[int]) is type, type[int] == typing.Type[int]", [True, True]),
    "hooks of copying": (
        "import copy\nclass P:\n def __init__(self, x): self.x = x\n def __deepcopy__(self, memo):\n"
        "  made = P(None)\n  memo[id(self)] = made\n  made.x = copy.deepcopy(self.x, memo)\n  return made\n"
        "p = P([])\np.x.append(p)\nq = copy.deepcopy(p)\nreturn q is not p, q.x[0] is q",
        [True, True],
    ),
    "a namespace for several texts": (
        "d = {'x': 1}\nexec('def f(): return x + y', d)\nexec('y = 2', d)\nv = d['f']()\nexec('del x', d)\nreturn v, sorted(d)",
        [3, ["f", "y"]],
    ),
    "compiled text": ("c = compile('a + 1', '', 'eval')\nreturn eval(c, {'a': 1}), eval(c, {'a': 2})", [2, 3]),
    "the names around": ("x = 5\nreturn eval('x + 1'), eval('y', {}, {'y': 1})", [6, 1]),
}  # fmt: skip


POLICY: dict[str, Any] = {
    "builtins_deny": ["open"],
    "stdlib_allow": [*HARMLESS_LOOKING, "abc", "ipaddress"],
}


@cache
def outcomes(programs: str, *, rules: bool = True) -> list[dict[str, Any]]:
    """What came of running everything in a table."""
    tables: dict[str, list[str]] = {
        "attacks": list(ATTACKS.values()),
        "refused": [code for code, _ in REFUSED.values()],
        "programs": [code for code, _ in PROGRAMS.values()],
    }
    codes = [textwrap.dedent(code).strip("\n") for code in tables[programs]]
    return run_codes(codes, POLICY if rules else None)


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_does_not_reach_what_it_is_after(attack: str) -> None:
    outcome = outcomes("attacks")[list(ATTACKS).index(attack)]
    assert not outcome["loot"], outcome
    assert "process died" not in outcome.get("error", "")


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_attack_is_one_where_there_are_no_rules(attack: str) -> None:
    outcome = outcomes("attacks", rules=False)[list(ATTACKS).index(attack)]
    assert outcome["loot"], outcome


@pytest.mark.parametrize("program", REFUSED)
def test_what_leads_further_than_it_looks_is_refused(program: str) -> None:
    outcome = outcomes("refused")[list(REFUSED).index(program)]
    assert outcome.get("error", "").startswith("SecurityViolation: Access to "), outcome
    assert f"'{REFUSED[program][1]}" in outcome["error"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_ordinary_program_works(program: str) -> None:
    outcome = outcomes("programs")[list(PROGRAMS).index(program)]
    assert outcome.get("value") is not None, outcome
    assert plain(outcome["value"]) == plain(repr(PROGRAMS[program][1]))
