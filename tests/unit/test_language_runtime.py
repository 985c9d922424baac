# ruff: noqa: E501 - the programs stand in tables, each on a line
"""The language rules when code runs: what tries to get out does not, and ordinary programs work."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from runner.sandbox_config import DENIED_BUILTINS

ROOT = Path(__file__).parents[2]

HARNESS = r"""
import ast, builtins, json, os, sys, types
sys.path.insert(0, sys.argv[1])
from runner.execution.sandbox.language.policy import Policy
from runner.execution.sandbox.language.namespace import restricted_builtins
from runner.execution.sandbox.language.prepare import prepare
from runner.execution.sandbox.language.violations import SecurityViolations
job = json.load(sys.stdin)
FORBIDDEN = [os, sys, builtins, sys.modules, open, eval, exec, compile, globals, type.__subclasses__, os.getpid,
             builtins.__import__, type, types.FunctionType, types.CodeType]
SECRET = "the " + "canary"
sys.modules["os"].environ["CANARY"] = SECRET

def is_loot(value, depth=0):
    if any(value is forbidden for forbidden in FORBIDDEN):
        return True
    if isinstance(value, (types.FrameType, types.CodeType, types.TracebackType)):
        return True
    if isinstance(value, types.ModuleType) and type(value) is types.ModuleType:
        return True
    if isinstance(value, str):
        return SECRET in value or "<module 'os'" in value or "<module 'sys'" in value
    if isinstance(value, dict):
        if value.get("__name__") not in (None, "__main__") and "__builtins__" in value:
            return True
        return depth < 3 and any(is_loot(member, depth + 1) for member in value.values())
    if isinstance(value, (list, tuple, set)):
        return depth < 3 and any(is_loot(member, depth + 1) for member in value)
    return type(value).__name__ in ("FileIO", "TextIOWrapper", "Popen")

def attempt(code, policy):
    tree = ast.parse(code)
    function = ast.parse("def code(): pass").body[0]
    function.body = tree.body
    tree = ast.Module([function], [])
    names = vars(builtins)
    try:
        if policy is not None:
            tree, names = prepare(tree, policy), restricted_builtins(policy)
        namespace = {"__name__": "__main__", "__builtins__": names}
        exec(compile(tree, "<code>", "exec", dont_inherit=True), namespace)
        value = namespace["code"]()
    except BaseException as error:
        text = getattr(error, "description", None) or str(error)
        return {"loot": is_loot(text), "error": type(error).__name__ + ": " + text}
    return {"loot": is_loot(value), "value": repr(value)}

policy = None if job["policy"] is None else Policy.from_plain(job["policy"])
outcomes = []
for code in job["codes"]:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        outcome = attempt(code, policy)
        os.write(writing, json.dumps(outcome).encode()[:60000])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    outcomes.append(json.loads(answer) if answer else {"loot": False, "error": "the process died"})
json.dump(outcomes, sys.stdout)
"""
"""Runs each code in a process of its own, and says whether it got hold of what it must not."""

HARMLESS_LOOKING = [
    "json",
    "re",
    "math",
    "datetime",
    "time",
    "statistics",
    "itertools",
    "functools",
    "collections",
    "operator",
    "random",
    "string",
    "textwrap",
    "decimal",
    "fractions",
    "uuid",
    "hashlib",
    "base64",
    "copy",
    "enum",
    "dataclasses",
    "typing",
    "contextlib",
    "types",
    "io",
]

DEFAULT: dict[str, Any] = {"builtins_deny": sorted(DENIED_BUILTINS)}
POLICIES: dict[str, dict[str, Any] | None] = {
    "default": DEFAULT,
    "25 modules": {**DEFAULT, "stdlib_allow": HARMLESS_LOOKING},
    "more builtins": {"builtins_deny": ["open", "compile"], "stdlib_allow": HARMLESS_LOOKING},
    "no rules": None,
}

ATTACKS = {
    "classes of a tuple": "return ().__class__.__base__.__subclasses__()[0].__class__",
    "mro": "return ().__class__.mro()[1].__subclasses__.__self__.__class__",
    "globals of a function": "import json\nreturn json.loads.__globals__",
    "own builtins": "return (lambda: 0).__builtins__['open']",
    "self of a builtin": "return print.__self__ if hasattr(print, '__self__') else len.__self__",
    "self of len": "return len.__self__",
    "name of builtins": "return __builtins__['open'] if isinstance(__builtins__, dict) else __builtins__",
    "global statement": "global __builtins__\nreturn __builtins__",
    "unicode attribute": "import json\nreturn json.loads.__\uff47lobals__",
    "unicode name": "return __\uff42uiltins__",
    "traceback": "try:\n 1/0\nexcept Exception as e:\n return e.__traceback__",
    "frame of a traceback": "try:\n 1/0\nexcept Exception as e:\n return e.__traceback__.tb_frame.f_globals, e.__traceback__",
    "except star": "try:\n raise ExceptionGroup('', [ValueError()])\nexcept* ValueError as e:\n return e.__traceback__",
    "exit of a context": "import contextlib\nseen=[]\ns=contextlib.ExitStack()\ns.push(lambda *a: seen.append(a[2].tb_frame) or True)\nwith s:\n 1/0\nreturn seen",
    "frame of a generator": "def g():\n yield 1\nreturn g().gi_frame",
    "frame of its caller": "def g():\n yield x.gi_frame.f_back\nx=g()\nreturn next(x)",
    "code of a generator": "def g():\n yield 1\nreturn g().gi_code",
    "frame of a coroutine": "async def c(): pass\nx=c()\nf=x.cr_frame\nx.close()\nreturn f",
    "frame of an async generator": "async def c():\n yield\nreturn c().ag_frame",
    "code of a function": "return (lambda: 0).__code__",
    "format": "import json\nreturn '{0.__globals__}'.format(json.loads)",
    "format of os": "import random\nreturn '{0._os}'.format(random)",
    "format of environ": "import random\nreturn '{0._os.environ}'.format(random)",
    "format_map": "import random\nreturn '{r._os.environ}'.format_map({'r': random})",
    "format taken apart": "import random\nf='{0._os.environ}'.format\nreturn f(random)",
    "format of str": "import random\nreturn str.format('{0._os.environ}', random)",
    "format by map": "import random\nreturn list(map(str.format, ['{0._os.environ}'], [random]))",
    "nested format": "import random\nreturn '{0:{1._os.environ}}'.format(type('F',(),{'__format__':lambda s,x:x})() , random)",
    "format through super": "import random\nclass S(str):\n def go(self, x): return super().format(x)\nreturn S('{0._os.environ}').go(random)",
    "format by pattern": "import random\nmatch '{0._os.environ}':\n case str(format=f): return f(random)",
    "format by position": "import random\nclass S(str):\n __match_args__=('format',)\nmatch S('{0._os.environ}'):\n case S(f): return f(random)",
    "Formatter": "import string, random\nreturn string.Formatter().format('{0._os.environ}', random)",
    "Formatter.get_field": "import string, json\nreturn string.Formatter().get_field('0.loads.__globals__', (json,), {})",
    "subclassed Formatter": "import string, json\nclass F(string.Formatter): pass\nreturn F().get_field('0.loads.__globals__', (json,), {})",
    "f-string": "import random\nreturn f'{random._os.environ!r}'",
    "nested f-string": "import random\nreturn f\"{f'{random._os.environ!r}'}\"",
    "class pattern": "import json\nmatch json.loads:\n case object(__globals__=g): return g",
    "attrgetter": "import operator, json\nreturn operator.attrgetter('loads.__globals__')(json)",
    "attrgetter elsewhere": "import statistics\nreturn statistics.sys",
    "itemgetter's module": "import collections\nreturn collections._sys",
    "from import private": "from collections import _sys\nreturn _sys",
    "from import module": "from statistics import sys\nreturn sys",
    "random's os": "import random\nreturn random._os",
    "uuid's os": "import uuid\nreturn uuid.os",
    "enum's sys": "import enum\nreturn enum.sys",
    "typing's sys": "import typing\nreturn typing.sys",
    "dataclasses' builtins": "import dataclasses\nreturn dataclasses.builtins",
    "contextlib's os": "import contextlib\nreturn contextlib.os",
    "a submodule's codecs": "import json\nreturn json.codecs",
    "json.tool's sys": "import json.tool\nreturn json.tool.sys",
    "methodcaller": "import operator, json\nreturn operator.methodcaller('__getattribute__', '__globals__')(json.loads)",
    "reduce of getattr": "import functools, json\nreturn functools.reduce(getattr, ['loads', '__globals__'], json)",
    "getattr": "import json\nreturn getattr(json.loads, '__glo' + 'bals__')",
    "getattr with a liar": "import json\nclass N(str):\n def __eq__(self, o): return False\n def __hash__(self): return 0\nreturn getattr(json.loads, N('__globals__'))",
    "vars": "import json\nreturn vars(json)['loads'], vars(json)['codecs']",
    "vars of a class": "return vars(type)['__subclasses__']",
    "globals": "return globals()['__builtins__']['open']",
    "eval": "import json\nreturn eval('json.loads.__globals__')",
    "exec": "import json\nd = {'json': json}\nexec('x = json.loads.__globals__', d)\nreturn d['x']",
    "eval with builtins": "return eval('open', {})",
    "exec by bytes": "d = {}\nexec(b'import sys', d)\nreturn d['sys']",
    "compile": "return compile('1', '', 'eval')",
    "open": "return open('/dev/null')",
    "io.open": "import io\nreturn io.open('/dev/null')",
    "io.FileIO": "import io\nreturn io.FileIO('/dev/null')",
    "import os": "import os\nreturn os",
    "import as": "import sys as json\nreturn json",
    "import inside": "def f():\n from os import getpid\n return getpid\nreturn f()",
    "__import__": "return __import__('os')",
    "__import__ elsewhere": "f = __import__\nreturn f('os')",
    "__import__ by walrus": "return (f := __import__)('os')",
    "loader": "import json\nreturn json.__loader__.__class__.__init__.__globals__['sys']",
    "spec": "import json\nreturn json.__spec__.loader.__class__.__init__.__globals__['sys']",
    "update_wrapper": "import functools, random\nfunctools.update_wrapper(lambda: 0, random.Random.seed, (), ('__globals__',))\nreturn _os",
    "wraps": "import functools, random\nfunctools.wraps(random.Random.seed, (), ('__globals__',))(lambda: 0)\nreturn _os",
    "wraps elsewhere": "import contextlib, random\ncontextlib.wraps(random.Random.seed, (), ('__globals__',))(lambda: 0)\nreturn _os",
    "singledispatch": "import functools\nseen=[]\nglobal keep\nkeep=seen.append\n@functools.singledispatch\ndef f(x): pass\ndef g(x: '(keep(().__class__.__class__), int)[1]'): pass\nf.register(g)\nreturn seen",
    "get_type_hints": "import typing\ndef g(x: '().__class__.__class__'): pass\nreturn typing.get_type_hints(g)",
    "redirect_stdout": "import contextlib\nr = contextlib.redirect_stdout({})\nr._stream = 'modules'\nr.__enter__()\nm = r._old_targets[0]\nr.__exit__(None, None, None)\nreturn m",
    "subclassed redirect_stdout": "import contextlib\nseen=[]\nclass R(contextlib.redirect_stdout):\n _stream='modules'\n def __init__(self): self._new_target={}; self._old_targets=seen\nr=R()\nr.__enter__()\nm=list(seen)\nr.__exit__(None,None,None)\nreturn m",
    "FunctionType": "import types\nreturn types.FunctionType",
    "FunctionType elsewhere": "import dataclasses\nreturn dataclasses.FunctionType",
    "ModuleType": "import types\nreturn types.CodeType",
    "obj of an error": "import random\ntry:\n random._os.nothing\nexcept AttributeError as e:\n return e.obj",
    "obj by another way": "try:\n ().__class__.__class__.nothing\nexcept AttributeError as e:\n return e.obj",
    "mangled": "import contextlib\nclass ExitStack: pass\nreturn contextlib._GeneratorContextManager.__init__.__globals__",
    "match args": "import json\nclass M:\n __match_args__=('__init__',)\n def __init__(self): pass\nmatch M():\n case M(f): return f.__globals__['__builtins__']['open']",
    "asdict": "import dataclasses, abc\n@dataclasses.dataclass\nclass D:\n x: int\nf=dataclasses.fields(D)[0]\nf.name='__class__'\nreturn dataclasses.asdict(D(1))['__class__'].__class__",
    "make_dataclass": "import dataclasses, random\nK=dataclasses.make_dataclass('K',['format'],bases=(str,),init=False)\nmatch K('{0._os.environ}'):\n case K(f): return f(random)",
    "enum made by name": "import enum, random\nE=enum.Enum('E', {'__match_args__': ('format',), 'A': '{0._os.environ}'}, type=str)\nmatch E.A:\n case E(f): return f(random)",
    "copy": "import copy\nclass C:\n def __reduce_ex__(self, n): return (lambda: C), (), (None, {'__match_args__': ('__class__',)})\nK=copy.copy(C())\nmatch C():\n case C(k): return k.__class__",
    "annotations as code": 'import dataclasses\nclass C:\n __annotations__={"x=[].__class__.__class__, y": int}\nD=dataclasses.dataclass(C)\nreturn D.__init__.__defaults__',
    "type with three": "T=type('T',(),{})\nreturn T.__class__",
    "ABCMeta": "import abc\nreturn abc.ABCMeta.__base__",
    "ABCMeta elsewhere": "import numbers\nreturn numbers.ABCMeta.__base__",
    "decorator": "@(lambda f: f.__globals__['__builtins__'])\ndef x(): pass\nreturn x['open'] if isinstance(x, dict) else x",
    "lambda default": "return (lambda x=len.__self__: x)()",
    "deleting": "import json\ndel json.loads.__globals__['loads']\nreturn json.loads.__globals__",
    "augmented": "import random\nx = 0\nfor x in [random._os]: pass\nreturn x",
    "comprehension": "return [c for c in ().__class__.__base__.__subclasses__() if c.__name__ == '_wrap_close'][0].__init__.__globals__",
}
"""What people try. Each returns, or shows in its error, something that it must not have."""

PROGRAMS: dict[str, tuple[str, Any]] = {
    "f-string": ("x = 3\nreturn f'{x:>4}|{x!r}|{x + 1}'", "   3|3|4"),
    "format": ("return '{:.2f} {name} {0[1]}'.format([3, 4][0] * 1.0, name='n') if 0 else '{:.2f}'.format(2)", "2.00"),
    "format with attributes": ("return '{0.real} {0.imag:>3}'.format(3)", "3   0"),
    "format with keys": ("return '{a[b]} {0[1]}'.format([1, 2], a={'b': 5})", "5 2"),
    "format_map": ("return '{a}'.format_map({'a': 1})", "1"),
    "format by map": ("return list(map('{:02d}'.format, [1, 2]))", ["01", "02"]),
    "percent": ("return '%05.1f %s %(x)s' % () if 0 else '%05.1f %s' % (3.14159, 'a')", "003.1 a"),
    "comprehensions": ("return {k: [i for i in range(v) if i % 2] for k, v in {'a': 4}.items()}", {"a": [1, 3]}),
    "closure": (
        "def make():\n n = 0\n def up():\n  nonlocal n\n  n += 1\n  return n\n return up\nu = make()\nu()\nreturn u()",
        2,
    ),
    "decorator": (
        "import functools\ndef d(f):\n @functools.wraps(f)\n def w(*a): return f(*a) + 1\n return w\n@d\ndef g(x):\n 'doc'\n return x\nreturn [g(1), g.__name__, g.__doc__]",
        [2, "g", "doc"],
    ),
    "try": ("try:\n int('x')\nexcept ValueError as e:\n t = str(e)\nfinally:\n u = 1\nreturn t[:7], u", ["invalid", 1]),
    "raise from": (
        "try:\n try:\n  1/0\n except ZeroDivisionError as e:\n  raise KeyError('k') from e\nexcept KeyError as e:\n return str(e.__cause__)",
        "division by zero",
    ),
    "except star": (
        "try:\n raise ExceptionGroup('g', [ValueError('v')])\nexcept* ValueError as g:\n n = len(g.exceptions)\nreturn n",
        1,
    ),
    "with": (
        "from contextlib import contextmanager\n@contextmanager\ndef c():\n yield 5\nwith c() as x:\n return x",
        5,
    ),
    "suppress": ("from contextlib import suppress\nwith suppress(KeyError):\n {}['a']\nreturn 1", 1),
    "redirect": (
        "import io, contextlib\nb = io.StringIO()\nwith contextlib.redirect_stdout(b):\n print('hello')\nreturn b.getvalue()",
        "hello\n",
    ),
    "generator": ("def g():\n x = yield 1\n yield x\ni = g()\nnext(i)\nreturn i.send(7)", 7),
    "recursion": ("def f(n): return 1 if n < 2 else n * f(n - 1)\nreturn f(10)", 3628800),
    "sorting": ("return sorted([{'a': 2}, {'a': 1}], key=lambda r: r['a'])", [{"a": 1}, {"a": 2}]),
    "itemgetter": (
        "from operator import itemgetter\nreturn sorted([(2, 1), (1, 2)], key=itemgetter(1))",
        [[2, 1], [1, 2]],
    ),
    "attrgetter": (
        "from operator import attrgetter\nreturn [attrgetter('real')(3), list(attrgetter('real', 'imag')(3))]",
        [3, [3, 0]],
    ),
    "methodcaller": ("from operator import methodcaller\nreturn methodcaller('split', ',')('a,b')", ["a", "b"]),
    "dates": (
        "from datetime import datetime, timedelta, timezone\nd = datetime(2024, 2, 28, tzinfo=timezone.utc) + timedelta(days=2)\nreturn d.isoformat()",
        "2024-03-01T00:00:00+00:00",
    ),
    "strptime": (
        "import datetime\nreturn str(datetime.datetime.strptime('2024-05-06', '%Y-%m-%d').date())",
        "2024-05-06",
    ),
    "strftime": (
        "from datetime import date\nreturn f'{date(2024, 1, 2):%d.%m.%Y}' + date(2024, 1, 2).strftime('%j')",
        "02.01.2024002",
    ),
    "json": ("import json\nreturn json.loads(json.dumps({'a': [1, None]}, indent=1))", {"a": [1, None]}),
    "json errors": ("import json\ntry:\n json.loads('{')\nexcept json.JSONDecodeError as e:\n return e.pos", 1),
    "json.decoder": ("import json.decoder\nreturn json.decoder.JSONDecoder().decode('1')", 1),
    "regex": (
        "import re\nm = re.search(r'(?P<y>\\d+)-(\\d+)', 'on 2024-05')\nreturn m['y'], re.sub('a', lambda m: 'b', 'aa', flags=re.I)",
        ["2024", "bb"],
    ),
    "counter": (
        "from collections import Counter, defaultdict\nd = defaultdict(list)\nd[1].append(2)\nreturn Counter('aab').most_common(1), len(d)",
        [[["a", 2]], 1],
    ),
    "namedtuple": (
        "from collections import namedtuple\nP = namedtuple('P', 'x y')\np = P(1, 2)._replace(x=5)\nmatch p:\n case P(a, b): return [a, b, p._asdict(), P._fields]",
        [5, 2, {"x": 5, "y": 2}, ["x", "y"]],
    ),
    "match": (
        "def f(v):\n match v:\n  case 0: return 'zero'\n  case [1, *r]: return r\n  case {'a': x, **r}: return x\n  case str() as s: return s\n  case int(i) | float(i): return -i\n  case _: return None\nreturn [f(0), f([1, 2]), f({'a': 3}), f('s'), f(4), f(None)]",
        ["zero", [2], 3, "s", -4, None],
    ),
    "decimals": (
        "from decimal import Decimal, ROUND_HALF_UP\nreturn str(Decimal('2.675').quantize(Decimal('0.01'), rounding=ROUND_HALF_UP))",
        "2.68",
    ),
    "fractions": ("from fractions import Fraction\nreturn str(Fraction(1, 3) + 1)", "4/3"),
    "statistics": ("import statistics\nreturn statistics.mean([1, 2, 3]), statistics.stdev([1, 2, 3])", [2, 1.0]),
    "csv": ("import csv, io\nreturn list(csv.DictReader(io.StringIO('a,b\\n1,2')))", [{"a": "1", "b": "2"}]),
    "hashes": (
        "import hashlib, hmac, base64\nreturn hashlib.sha256(b'a').hexdigest()[:4], hmac.new(b'k', b'm', 'sha1').hexdigest()[:2], base64.b64encode(b'a').decode()",
        ["ca97", "77", "YQ=="],
    ),
    "urls": ("from urllib.parse import urlsplit, quote\nreturn urlsplit('http://a/b').netloc + quote('ä')", "a%C3%A4"),
    "random": ("import random\nr = random.Random(1)\nreturn 0 <= r.random() < 1 and random.choice([3])", 3),
    "itertools": (
        "from itertools import groupby, chain\nreturn [[k, len(list(g))] for k, g in groupby('aab')], list(chain([1], [2]))",
        [[["a", 2], ["b", 1]], [1, 2]],
    ),
    "functools": (
        "from functools import reduce, partial, lru_cache\n@lru_cache\ndef f(x): return x\nreturn reduce(lambda a, b: a + b, [1, 2]), partial(pow, 2)(3), f(1), f.cache_info().misses",
        [3, 8, 1, 1],
    ),
    "copies": (
        "import copy\na = {'x': [1]}\nb = copy.deepcopy(a)\nb['x'].append(2)\nreturn a, b",
        [{"x": [1]}, {"x": [1, 2]}],
    ),
    "calendar": ("import calendar\nreturn calendar.monthrange(2024, 2)[1]", 29),
    "text": (
        "import textwrap, string, unicodedata\nreturn textwrap.shorten('a b c d', 5, placeholder=''), string.Template('$x').substitute(x=1), unicodedata.normalize('NFC', 'e\\u0301')",
        ["a b c", "1", "é"],
    ),
    "Formatter": ("import string\nreturn string.Formatter().format('{0}-{a:>3}', 1, a=2)", "1-  2"),
    "uuid": ("import uuid\nreturn str(uuid.uuid5(uuid.NAMESPACE_DNS, 'a'))[14]", "5"),
    "typing": ("from typing import Any, Optional\ndef f(x: Optional[int]) -> Any: return x\nreturn f(1)", 1),
    "singledispatch": (
        "import functools\n@functools.singledispatch\ndef f(x): return 'any'\n@f.register\ndef _(x: int): return 'int'\n@f.register(str)\ndef _(x): return 'str'\nreturn [f(1), f('a'), f(None)]",
        ["int", "str", "any"],
    ),
    "global": ("global n\nn = 1\ndef f():\n global n\n n += 1\nf()\nreturn n", 2),
    "an enumeration": (
        "import enum\nE = enum.Enum('E', 'A B')\nreturn [E.A.value, E.B.name, len(list(E))]",
        [1, "B", 2],
    ),
    "a long sum": ("return " + " + ".join(["1"] * 900), 900),
}

WITH_CLASSES: dict[str, tuple[str, Any]] = {
    "a class": (
        "class A:\n def __init__(self, x): self._x = x; self.__y = 1\n def get(self): return self._x + self.__y\nclass B(A):\n def get(self): return super().get() * 2\nreturn B(2).get()",
        6,
    ),
    "a dataclass": (
        "from dataclasses import dataclass, field, asdict\n@dataclass(order=True)\nclass P:\n x: int\n y: list = field(default_factory=list)\nmatch P(1):\n case P(x, y): return [x, y, asdict(P(2, [3]))]",
        [1, [], {"x": 2, "y": [3]}],
    ),
    "an exception": (
        "class E(Exception):\n def __init__(self, c): self._code = c\ntry:\n raise E(3)\nexcept E as e:\n return e._code",
        3,
    ),
    "an enumeration": ("from enum import Enum\nclass C(Enum):\n A = 1\nreturn C.A.name, C(1).value", ["A", 1]),
    "types": (
        "return isinstance(1, int), type(1).__name__, isinstance(int, type), getattr('a', 'upper')()",
        [True, "int", True, "A"],
    ),
    "eval": ("return eval('1 + x', {'x': 2})", 3),
    "exec": ("d = {}\nexec('y = [i for i in range(3)]', d)\nreturn d['y']", [0, 1, 2]),
}


@cache
def outcomes(policy: str, programs: str) -> list[dict[str, Any]]:
    """What came of running everything in a table, each in a process of its own."""
    tables: dict[str, list[str]] = {
        "attacks": list(ATTACKS.values()),
        "programs": [code for code, _ in PROGRAMS.values()],
        "classes": [code for code, _ in WITH_CLASSES.values()],
    }
    return run_codes(tables[programs], POLICIES[policy])


def run_codes(codes: list[str], policy: dict[str, Any] | None) -> list[dict[str, Any]]:
    """What comes of codes under a policy, each in a process of its own."""
    job = json.dumps({"policy": policy, "codes": codes})
    done = subprocess.run(
        [sys.executable, "-I", "-c", HARNESS, str(ROOT)], input=job, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout[done.stdout.rindex('[{"loot"') :])
    return found


@pytest.mark.parametrize("policy", ["default", "25 modules", "more builtins"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_does_not_reach_what_it_is_after(attack: str, policy: str) -> None:
    outcome = outcomes(policy, "attacks")[list(ATTACKS).index(attack)]
    assert not outcome["loot"], outcome
    assert "process died" not in outcome.get("error", "")


def test_most_of_the_attacks_succeed_where_there_are_no_rules() -> None:
    failed = [
        (name, outcome)
        for name, outcome in zip(ATTACKS, outcomes("no rules", "attacks"), strict=True)
        if not outcome["loot"]
    ]
    assert len(failed) <= 8, failed


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_ordinary_program_works_with_the_defaults(program: str) -> None:
    expected = PROGRAMS[program][1]
    outcome = outcomes("default", "programs")[list(PROGRAMS).index(program)]
    assert outcome.get("value") is not None, outcome
    assert plain(outcome["value"]) == plain(repr(expected))


@pytest.mark.parametrize("program", WITH_CLASSES)
def test_an_ordinary_program_with_classes_works_when_more_builtins_are_allowed(program: str) -> None:
    outcome = outcomes("more builtins", "classes")[list(WITH_CLASSES).index(program)]
    assert outcome.get("value") is not None, outcome
    assert plain(outcome["value"]) == plain(repr(WITH_CLASSES[program][1]))


def plain(text: str) -> str:
    """A value's text without the difference between lists and tuples."""
    return text.replace("(", "[").replace(",)", "]").replace(")", "]")


def test_there_are_enough_of_both() -> None:
    assert len(ATTACKS) >= 60
    assert len(PROGRAMS) >= 40


TEXTS = {
    "format": (
        "'{0.__class__}'.format(1)",
        "SecurityViolation: Access to attribute '__class__' is disallowed, because it can be used to bypass security restrictions.",
    ),
    "a module's private member": (
        "import random\nrandom._os",
        "SecurityViolation: Access to attribute '_os' is disallowed, because it can be used to bypass security restrictions.",
    ),
    "a class": ("class A: pass", "NameError: __build_class__ not found"),
    "a denied builtin": ("open('x')", "NameError: name 'open' is not defined"),
    "a missing attribute": ("import math\nmath.nothing", "AttributeError: module 'math' has no attribute 'nothing'"),
    "a missing submodule": ("from json import nothing", "ImportError: cannot import name 'nothing' from 'json'"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_what_is_refused_at_run_time_is_refused_in_familiar_words(case: str) -> None:
    code, text = TEXTS[case]
    outcome = run_code(code, DEFAULT)
    assert outcome["error"].startswith(text)


def run_code(code: str, policy: dict[str, Any]) -> dict[str, Any]:
    """What comes of one code under a policy."""
    return run_codes([code], policy)[0]


TRANSITIVE = """
import json, sys
sys.path.insert(0, sys.argv[1])
sys.path.insert(0, sys.argv[2])
from runner.execution.sandbox.language.policy import Policy
from runner.execution.sandbox.language.namespace import restricted_builtins
from runner.execution.sandbox.language.prepare import prepare
import ast
policy = Policy.of(external_allow=["package"], allow_transitive_imports=sys.argv[3] == "yes")
tree = prepare(ast.parse("import package\\nvalue = package.value"), policy)
names = restricted_builtins(policy)
namespace = {"__name__": "__main__", "__builtins__": names}
try:
    exec(compile(tree, "<code>", "exec"), namespace)
    print(namespace["value"])
except ImportError as error:
    print(error, error.description)
"""


def test_what_a_package_imports_for_itself_is_refused_only_when_the_policy_says_so(tmp_path: Path) -> None:
    (tmp_path / "package.py").write_text("import neighbour, csv\nvalue = 'imported'")
    (tmp_path / "neighbour.py").write_text("import colorsys")

    def said(transitive: str) -> str:
        arguments = [sys.executable, "-I", "-c", TRANSITIVE, str(ROOT), str(tmp_path), transitive]
        return subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.strip()

    assert said("yes") == "imported"
    assert said("no") == (
        "Security violation detected Import of external package 'neighbour' is disallowed. Allowed external packages: "
        "package (set N8N_RUNNERS_EXTERNAL_ALLOW to allow it)"
    )


def test_the_full_language_has_classes_and_attributes_but_only_allowed_imports() -> None:
    full = {"language": "full", "builtins_deny": sorted(DENIED_BUILTINS)}
    assert run_code("class A: pass\nreturn A().__class__.__name__, getattr(1, 'real')", full)["value"] == "('A', 1)"
    assert "Import of standard library module 'os' is disallowed." in run_code("import os", full)["error"]


CRAWL = """
import sys
sys.path.insert(0, sys.argv[1])
import ast, builtins, types
from runner.execution.sandbox.language.attributes import load_by_name
from runner.execution.sandbox.language.policy import Policy
from runner.execution.sandbox.language.namespace import restricted_builtins
from runner.execution.sandbox.language.prepare import prepare
from runner.execution.sandbox.language.stdlib import SAFE_MODULES
from runner.sandbox_config import DENIED_BUILTINS
names = ", ".join(SAFE_MODULES)
policy = Policy.of(builtins_deny=DENIED_BUILTINS)
tree, restricted = prepare(ast.parse("import " + names), policy), restricted_builtins(policy)
namespace = {"__name__": "__main__", "__builtins__": restricted}
exec(compile(tree, "<code>", "exec"), namespace)
bad = [open, eval, exec, compile, getattr, setattr, globals, vars, type, builtins.__import__, sys.modules]
todo = [(name, namespace[name.partition(".")[0]]) for name in SAFE_MODULES]
seen, kinds, found, kept = set(), set(), [], []
while todo:
    path, value = todo.pop()
    if id(value) in seen or path.count(".") > 5:
        continue
    seen.add(id(value))
    kept.append(value)
    if any(value is thing for thing in bad) or type(value) in (types.ModuleType, types.FrameType, types.CodeType):
        found.append(path)
    if type(value) is dict and "__builtins__" in value:
        found.append(path)
    if isinstance(value, (list, tuple, set, frozenset)) and len(value) < 500:
        todo += [(path + "[]", member) for member in value]
    if isinstance(value, dict) and len(value) < 500:
        todo += [(path + "[]", member) for member in value.values()]
    if not isinstance(value, (type, types.ModuleType)):
        if type(value) in kinds:
            continue  # one of each kind
        kinds.add(type(value))
    for name in dir(value):
        try:
            todo.append((path + "." + name, load_by_name(value, name)))
        except Exception:
            pass
print(len(seen), found)
"""


def test_nothing_dangerous_can_be_reached_from_the_modules_that_are_allowed_by_default() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CRAWL, str(ROOT)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    count, _, found = done.stdout.strip().partition(" ")
    assert int(count) > 1000
    assert found == "[]"
