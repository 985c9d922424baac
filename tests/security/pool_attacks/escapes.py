# ruff: noqa: E501 - the code of Code nodes

"""Attacks on the language rules of n8n: ways out of other sandboxes for Python, and those that nobody knew before.

The advisories behind them: RestrictedPython's on `str.format`, on frames of generators, on `except*` and on the `obj`
of an AttributeError; n8n's on its task runner. They go for what turns names made at run time into attributes.
"""

from __future__ import annotations

from tests.security.pool_attacks.attack import because, gone, table

ESCAPES = table(
    {
        "escapes: copying a bound operator, by what it is made of": """
            import copy, json
            return copy.deepcopy((1).__add__, {id(1): json.loads, id('__add__'): '__globals__'})['__builtins__']['open']
        """,
        "escapes: copying a bound operator, by a memory that answers": """
            import collections, copy, json
            answers = [json.loads, '__globals__']
            memory = collections.UserDict()
            seen = []
            def get(key, default):
                seen.append(key)
                return default if len(seen) == 1 else answers.pop(0)
            memory.get = get
            return copy.deepcopy((1).__add__, memory)['__builtins__']['open']
        """,
        "escapes: pickling an enumeration by name": """
            import enum
            return enum.pickle_by_enum_name(enum.Enum('E', 'A').A, 4)[0]
        """,
        "escapes: the name of a field is code": """
            import dataclasses, enum, typing
            N = typing.NamedTuple('N', [('x', int)])
            dataclasses.dataclass(N)
            dataclasses.fields(N)[0].name = "__class__ if other.append(__import__('os')) else 0"
            E = enum.Enum('E', [], type=N)
            dataclasses.dataclass(E, init=False, repr=False)
            found = []
            E.__eq__([], found)
            return found
        """,
        "escapes: annotations of a typed dict are code": """
            import dataclasses, typing
            T = typing.TypedDict('T', {"__class__ if other.append(__import__('os')) else 0": int})
            dataclasses.dataclass(T, init=False, repr=False)
            found = []
            T.__eq__([], found)
            return found
        """,
        "escapes: the name of a tuple is code": """
            import collections
            return collections.namedtuple('N', ['x=__import__("os")'])
        """,
        "escapes: a tuple of a name that changes": """
            import collections
            class S(str):
                def __str__(self): return 'x=__import__("os")'
            return collections.namedtuple('N', [S('x')])()
        """,
        "escapes: the origin of a type": "import typing\nreturn typing.get_origin(typing.Type[int])",
        "escapes: a type made with the origin of a type": """
            import json, typing
            T = typing.get_origin(typing.Type[int])
            K = T('K', (str,), {'__match_args__': ('__globals__',)})
            K = T('M', (), {'__getattr__': lambda s, n: n})
            return T
        """,
        "escapes: a reference forward": """
            import typing
            reference = typing.get_args(typing.List['__import__("os")'])[0]
            return reference._evaluate({}, {}, frozenset())
        """,
        "escapes: a reference forward, evaluated": """
            import typing
            reference = typing.get_args(typing.List['__import__("os")'])[0]
            return reference.evaluate()
        """,
        "escapes: dispatch by a text": """
            import functools
            global found
            found = []
            @functools.singledispatch
            def f(x): pass
            def g(x: 'found.append(__import__("os")) or int'): pass
            f.register(g)
            return found
        """,
        "escapes: obj of an error, out of a group": """
            import random
            found = []
            try:
                raise ExceptionGroup('', [AttributeError('x', name='a', obj=random)])
            except* AttributeError as group:
                found.append(group.exceptions[0].obj._os)
            return found
        """,
        "escapes: obj of an error by a format": """
            import random
            try:
                random.Random.nothing
            except AttributeError as error:
                return '{0.obj.__init__.__globals__[_os]}'.format(error)
        """,
        "escapes: name of an error": """
            try:
                nothing
            except NameError as error:
                return error.name.__class__.__subclasses__
        """,
        "escapes: the value of a stop": """
            def g():
                return (yield)
            generator = g()
            next(generator)
            try:
                generator.send(lambda: 0)
            except StopIteration as stop:
                return stop.value.__globals__
        """,
        "escapes: except* of a type that lies": """
            class Lie(Exception):
                def split(self, kind): return (1, 2)
            found = []
            try:
                raise Lie()
            except* Lie as group:
                found.append(group)
            return found
        """,
        "escapes: the exit of a context sees a traceback": """
            import contextlib
            found = []
            stack = contextlib.ExitStack()
            stack.push(lambda *details: found.extend(details) or True)
            with stack:
                1 / 0
            return found[2].tb_frame
        """,
        "escapes: a generator throws a traceback back": """
            def g():
                try:
                    yield
                except ValueError as error:
                    yield error.__traceback__
            generator = g()
            next(generator)
            return generator.throw(ValueError())
        """,
        "escapes: the frame of a context manager": """
            import contextlib
            @contextlib.contextmanager
            def c():
                yield
            return c().gen.gi_frame
        """,
        "escapes: reduce over names": """
            import functools, operator, json
            return functools.reduce(lambda value, name: operator.attrgetter(name)(value), ['loads', '__globals__'], json)
        """,
        "escapes: a name with a compatible letter": """
            import json
            return json.loads.__globᵃls__
        """,
        "escapes: quit's code": "import json\nreturn quit.__class__.__call__.__globals__",
        "escapes: the copyright's reader": "return copyright._Printer__setup.__globals__",
        "escapes: the loader of a package": """
            import json
            return json.__loader__.get_data.__globals__
        """,
        "escapes: a submodule of its own": """
            import json.decoder
            return json.decoder.scanner.re.enum.sys
        """,
        "escapes: the tool of json": "import json.tool\nreturn json.tool.argparse.FileType()('/etc/passwd')",
        "escapes: main of json's tool": "import json.tool\nreturn json.tool.main.__globals__",
        "escapes: main of base64": "import base64\nreturn base64.main.__globals__",
        "escapes: the file of a hash": """
            import hashlib
            return hashlib.file_digest.__globals__
        """,
        "escapes: the old name of open": "import io\nreturn io.OpenWrapper",
        "escapes: the C version of io": "import io\nreturn io._io.open",
        "escapes: time zones as files": """
            import zoneinfo
            return zoneinfo._tzpath.os
        """,
        "escapes: the path of time zones": """
            import zoneinfo
            return zoneinfo.reset_tzpath.__globals__
        """,
        "escapes: a dialect": "import csv\nreturn csv.DictReader.__init__.__globals__",
        "escapes: numbers are parsed by eval": """
            import json
            return json.loads('1.5', parse_float=lambda text: eval('open'))
        """,
        "escapes: a template of its own pattern": """
            import string, re, collections
            t = string.Template('$x')
            t.pattern = collections.namedtuple('P', 'sub')(lambda function, text: function.__globals__)
            return t.substitute()
        """,
        "escapes: a template's function": """
            import collections, operator, string
            t = string.Template('$x')
            t.pattern = collections.namedtuple('P', 'sub')(lambda f, text: operator.attrgetter('__globals__')(f))
            return t.substitute()
        """,
        "escapes: the dispatcher of a printer": """
            import pprint
            return pprint.PrettyPrinter._dispatch[dict.__repr__].__globals__
        """,
        "escapes: registered as a text": """
            import numbers, random
            numbers.Number.register(str)
            return '{0._os}'.format(random)
        """,
        "escapes: globals written into": "import enum\nenum.global_enum(enum.Enum('E', 'A', module='json'))\nreturn open",
        "escapes: a property of an enumeration": """
            import enum
            found = enum.property(lambda self: self)
            return found.fget.__globals__
        """,
        "escapes: a partial that is set": """
            import functools
            p = functools.partial(print)
            p.__setstate__((eval, ('open',), {}, None))
            return p()
        """,
        "escapes: a cached property": """
            import functools
            return functools.cached_property(print).__get__.__self__.__class__.__class__
        """,
        "escapes: awaiting": """
            async def c():
                return 1
            coroutine = c()
            try:
                return coroutine.cr_frame
            finally:
                coroutine.close()
        """,
        "escapes: an import by C code": "import datetime\nreturn __import__('os', None, None, [])",
        "escapes: an import by position": "return __import__(*['os'])",
        "escapes: an import by a name that changes": """
            class S(str):
                def __eq__(self, other): return True
                __hash__ = str.__hash__
            return __import__(S('os'))
        """,
        "escapes: the names of an import": """
            from urllib import request
            return request.os
        """,
        "escapes: functions of a parent": """
            import urllib.parse
            return urllib.parse.re.enum.sys
        """,
        "escapes: what uuid knows": "import uuid\nreturn uuid._load_system_functions, uuid.sys",
        "escapes: the system's random numbers": "import secrets\nreturn secrets.SystemRandom().random.__globals__",
        "escapes: seeds from a module": "import random\nreturn random._inst._randbelow.__globals__",
        "escapes: members of types": """
            import types
            return types.CodeType
        """,
        "escapes: generic aliases": """
            import types
            alias = types.GenericAlias(len, ())
            return alias.__self__
        """,
        "escapes: a proxy of a namespace": "import types, json\nreturn types.MappingProxyType(vars(json))['codecs']",
        "escapes: a coroutine made of a function": "import types\nreturn types.coroutine(lambda: 0).__code__",
        "escapes: a class without the word": """
            import random, types
            K = types.new_class('K', (str,), {}, lambda names: names.update(__match_args__=('format',)))
            match K('{0._os.environ}'):
                case K(found):
                    return found(random)
        """,
        "escapes: subclasses of an abstract class": """
            import abc
            return abc.ABC.__subclasses__
        """,
        "escapes: super": "return super(int, 1).__init__.__objclass__.__subclasses__()",
    },
    against_rules=True,
    unproven={
        **because(
            "this Python sees to it, or has it not",
            (
                "escapes: the name of a tuple is code",
                "escapes: a tuple of a name that changes",
                "escapes: a reference forward, evaluated",
                "escapes: except* of a type that lies",
            ),
        ),
        **gone(
            {
                "escapes: the old name of open": (3, 12),
                "escapes: a reference forward": (3, 13),
                "escapes: what uuid knows": (3, 13),
            }
        ),
    },
)
