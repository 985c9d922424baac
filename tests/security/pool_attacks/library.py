# ruff: noqa: E501 - the code of Code nodes

"""Attacks on the language rules of n8n that have the standard library do what the code may not do itself.

What it does with real builtins for whoever calls it: it reads attributes by names, calls the class of what it is given,
rebuilds objects, makes classes, keeps what was lost in errors, and hands out what it was handed.
"""

from __future__ import annotations

import sys

from tests.security.pool_attacks.attack import because, table

AS_A_DATACLASS = {"library: a class that is none, as a dataclass"}

LIBRARY = table(
    {
        "library: a text that formats itself": """
            import collections, random
            return collections.UserString('{0.__globals__[_os]}').format(random.Random.seed)
        """,
        "library: a text that formats itself from a map": """
            import collections, random
            return collections.UserString('{x.__globals__[_os]}').format_map({'x': random.Random.seed})
        """,
        "library: what Formatter was before it was guarded": """
            import json, string
            F = string.Formatter
            try:
                return super(F, F()).get_field('0.__globals__[__builtins__][open]', (json.loads,), {})
            except AttributeError:
                return F().get_field('0.__globals__[__builtins__][open]', (json.loads,), {})
        """,
        "library: obj of an error, by an alias": """
            import random, typing
            try:
                random.nothing
            except AttributeError as error:
                return typing.GenericAlias(error, ()).obj._os
        """,
        "library: obj of an error, by a method": """
            import enum, random
            try:
                random.nothing
            except AttributeError as error:
                E = enum.Enum('E', {'A': 1, 'm': classmethod(error)})
                return E.m.obj._os
        """,
        "library: code of a reference": """
            import typing
            return typing.get_args(typing.List['x'])[0].__forward_code__
        """,
        "library: code of a reference, in the memory of a copy": """
            import copy, typing
            memory = {}
            copy.deepcopy(typing.get_args(typing.List['x'])[0], memory)
            return list(memory.values())
        """,
        "library: code of a reference, in the memory of a hook": """
            import copy, functools, typing
            memories = []
            p = functools.partial(print)
            p.__deepcopy__ = lambda memory: memories.append(memory)
            copy.deepcopy([p, typing.get_args(typing.List['x'])[0]])
            return list(memories[0].values())
        """,
        "library: code of a reference, in the memory of asdict": """
            import dataclasses, functools, typing
            memories = []
            p = functools.partial(print)
            p.__deepcopy__ = lambda memory: memories.append(memory) or p
            N = typing.NamedTuple('N', [('x', typing.Any)])
            D = dataclasses.dataclass(N, init=False, eq=False, repr=False)
            reference = typing.get_args(typing.List['x'])[0]
            wrapped = functools.partial(print)
            wrapped.reference, wrapped.hook = reference, p
            dataclasses.asdict(D(wrapped))
            return list(memories[0].values())
        """,
        "library: the copy of a class": "import collections\nreturn collections.Counter.copy(int)",
        "library: the copy of a class, partly": """
            import collections, functools
            return functools.partial(collections.Counter.copy, int)()
        """,
        "library: the copy of a class, by an alias": """
            import collections, typing
            return typing.GenericAlias(collections.UserList, ()).copy(int)
        """,
        "library: the copy of a class, by a copy of a method": """
            import collections, copy
            counter = collections.Counter()
            return copy.deepcopy(counter.copy, {id(counter): int})()
        """,
        "library: a class in capitals": """
            import collections, functools
            N = collections.namedtuple('N', 'x')
            N.data = functools.partial(print)
            N.data.upper = lambda: int
            return collections.UserString.upper(N)
        """,
        "library: the parents of a class": """
            import collections
            N = collections.namedtuple('N', 'x')
            N.maps = [{}, int]
            return collections.ChainMap.parents.fget(N)
        """,
        "library: a class that is a new child": """
            import collections, numbers
            found = []
            N = collections.namedtuple('N', 'x')
            N.maps = [(numbers.Number,), {'__subclasshook__': classmethod(lambda cls, kind: found.append(kind) is not None)}]
            isinstance(int, collections.ChainMap.new_child(N, 'K'))
            return found
        """,
        "library: the key of an error behind an error": """
            import collections.abc, enum, functools
            @functools.singledispatch
            def f(x): pass
            f.register(collections.abc.Iterable, print)
            f.register(collections.abc.Sized, print)
            try:
                f(enum.Enum('E', 'A'))
            except RuntimeError as error:
                return error.__context__.args
        """,
        "library: the reference that is the key of an error": """
            import collections.abc, enum, functools
            @functools.singledispatch
            def f(x): pass
            f.register(collections.abc.Iterable, print)
            f.register(collections.abc.Sized, print)
            try:
                f(enum.Enum('E', 'A'))
            except RuntimeError as error:
                return error.__context__.__context__.args[0]()
        """,
        "library: a class that is none, as a dataclass": """
            import dataclasses, types
            name = "__class__ if other.append(__import__('os')) else 0"
            kind = types.SimpleNamespace(**{'__mro__': (int,), '__module__': 'x', '__name__': 'K', '__qualname__': 'K', '__hash__': None, '__doc__': 'd', '__annotations__': {name: int}})
            dataclasses.dataclass(kind, init=False, repr=False)
            found = []
            kind.__eq__([], found)
            return found
        """,
        "library: a field that a copy has changed": """
            import copy, dataclasses, enum, typing
            N = typing.NamedTuple('N', [('x', int)])
            dataclasses.dataclass(N)
            field = dataclasses.fields(N)[0]
            name = "__class__ if other.append(__import__('os')) else 0"
            copy.dispatch_table[dataclasses.Field] = lambda x: ((lambda: field), (), (None, {'name': name}))
            copy.copy(field)
            E = enum.Enum('E', [], type=N)
            dataclasses.dataclass(E, init=False, repr=False)
            found = []
            E.__eq__([], found)
            return found
        """,
        "library: a field with a property for its name": """
            import dataclasses, enum, typing
            name = "__class__ if other.append(__import__('os')) else 0"
            M = dataclasses.MISSING
            members = {'A': (M, M, True, False, None, True, None, False), 'name': property(lambda s: name, lambda s, v: 0)}
            T = typing.TypedDict('T', {'x': int})
            T.x = enum.Enum('F', members, type=dataclasses.Field).A
            dataclasses.dataclass(T, init=False, repr=False)
            found = []
            T.__eq__([], found)
            return found
        """,
        "library: an attribute that is read to be set": """
            import enum, random, typing
            E = enum.Enum('E', {'A': '{0.__globals__[_os]}'}, type=str)
            E.A.format |= typing.List[int]
            return E.A.format.__args__[0](random.Random.seed)
        """,
        "library: a method that is copied by its name": """
            import copy, enum
            def f(c): pass
            f.__name__ = '__subclasses__'
            E = enum.Enum('E', {'A': 1, 'm': classmethod(f)})
            return copy.copy(E.m)
        """,
        "library: a class that is no longer of the library": """
            import contextlib, copy, functools
            functools.update_wrapper(contextlib.ExitStack, lambda: 0, updated=())
            def f(c): pass
            f.__name__ = '__subclasses__'
            return copy.copy(contextlib.ExitStack()._create_exit_wrapper(int, f))
        """,
        "library: an enumeration by another module": """
            import random, uuid
            found = []
            E = uuid.Enum('E', {'A': 1, '__hash__': lambda self: 0, '__eq__': lambda self, other: found.append(other)})
            text = '{0.__globals__[_os]}'
            match E.A:
                case text.format: pass
            return found[-1](random.Random.seed)
        """,
        "library: the origin of types by an alias": """
            import operator, typing
            return operator.getitem(typing.Type, int).__origin__
        """,
    },
    against_rules=True,
    unproven=because("this Python sees to it", AS_A_DATACLASS if sys.version_info >= (3, 12) else ()),
)
