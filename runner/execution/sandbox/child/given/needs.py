"""What code needs to be given, as its text shows: found once, when it is compiled, and kept with the compiled code.

Runs in the child.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from runner.execution.sandbox.child.given.table import ITEMS, NAMES

NODE = "_"
"""The name of what gives another node's data."""

OTHER_NODES = "_node"
"""The same, by brackets."""

OF_ONE_NODE = frozenset({"all", "first", "last", "params", "isExecuted", "context"})
"""What can be told of a node without the nodes between it and this one."""

_OF_BUILTINS = frozenset(name for kind in (dict, list, str, bytes, int, float, set, tuple) for name in dir(kind))


class Needs(NamedTuple):
    """What a code needs, in plain values that `marshal` writes."""

    names: tuple[str, ...] = ()
    """Those of n8n's names that it reads."""
    nodes: tuple[str, ...] | None = ()
    """The nodes whose data it asks for; None for all, when that shows only as it runs."""
    records: bool = False
    """Whether it may read data as attributes."""
    waits: bool = False
    """Whether it awaits something, which may be what is there already."""


def needs_of(module: ast.Module) -> Needs | None:
    """What the code of a module needs; None if that is nothing, as most code does.

    Too much at worst: a name that it defines itself under a condition, say.
    """
    names = tuple(sorted((_read_names(module) & NAMES.keys()) - ITEMS))
    nodes = _nodes(module) if NODE in names else ()
    needs = Needs(
        names=names,
        nodes=None if OTHER_NODES in names else nodes,
        records=bool(names) or _reads_attributes(module),
        waits=bool(names) and any(isinstance(node, ast.Await) for node in ast.walk(module)),
    )
    return None if needs == Needs() else needs


def _read_names(module: ast.Module) -> set[str]:
    """The names that are read before the code has certainly bound them itself, such as `_` in `for _ in …`."""
    bound: set[str] = set()
    read: set[str] = set()
    for statement in module.body:
        if isinstance(statement, ast.For):  # its target is bound before its body runs, if that runs at all
            read |= _loaded(statement.iter) - bound
            mine = bound | _targets(statement.target)
            for inner in (*statement.body, *statement.orelse):
                read |= _loaded(inner) - mine
        else:
            read |= _loaded(statement) - bound
            bound |= _bound_by(statement)
    return read


def _loaded(statement: ast.AST) -> set[str]:
    """The names that something reads and that are not those of a function, or a comprehension, inside of it."""
    found: set[str] = set()
    todo: list[tuple[ast.AST, frozenset[str]]] = [(statement, frozenset())]
    while todo:
        node, own = todo.pop()
        match node:
            case ast.Name(id=name, ctx=ast.Load() | ast.Del()) | ast.AugAssign(target=ast.Name(id=name)):
                if name not in own:
                    found.add(name)
        outside, names = _own_scope(node)
        todo.extend((each, own) for each in outside)
        inside = own | names
        todo.extend((each, inside) for each in ast.iter_child_nodes(node) if each not in outside)
    return found


def _own_scope(node: ast.AST) -> tuple[list[ast.AST], set[str]]:
    """Of a function or a comprehension: what is evaluated outside of it, and the names that are its own."""
    match node:
        case ast.FunctionDef(args=args) | ast.AsyncFunctionDef(args=args) | ast.Lambda(args=args):
            return [args], {each.arg for each in ast.walk(args) if isinstance(each, ast.arg)}
        case ast.ListComp(generators=parts) | ast.SetComp(generators=parts) | ast.GeneratorExp(generators=parts):
            return [], {name for part in parts for name in _targets(part.target)} - _loaded(parts[0].iter)
        case ast.DictComp(generators=parts):
            return [], {name for part in parts for name in _targets(part.target)} - _loaded(parts[0].iter)
    return [], set()


def _bound_by(statement: ast.stmt) -> set[str]:
    """The names that a statement binds whatever happens."""
    match statement:
        case ast.Assign(targets=targets):
            return {name for target in targets for name in _targets(target)}
        case ast.AnnAssign(target=target, value=ast.expr()):
            return _targets(target)
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            return {alias.asname or alias.name.partition(".")[0] for alias in aliases}
    return set()


def _targets(target: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(target) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}


def _nodes(module: ast.Module) -> tuple[str, ...] | None:
    """The nodes that the code names; None if it shows only as it runs, or if it needs those in between as well."""
    plain = {id(use.value) for use in ast.walk(module) if isinstance(use, ast.Attribute) and use.attr in OF_ONE_NODE}
    found: set[str] = set()
    callees: set[int] = set()
    for call in _calls(module):
        callees.add(id(call.func))
        match call.args:
            case [ast.Constant(value=str(name)), *_] if id(call) in plain:
                found.add(name)
            case _:
                return None
    for node in ast.walk(module):
        match node:
            case ast.Name(id="_", ctx=ast.Load()) if id(node) not in callees:
                return None  # it is handed on
    return tuple(sorted(found))


def _calls(module: ast.Module) -> Iterator[ast.Call]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == NODE:
            yield node


def _reads_attributes(module: ast.Module) -> bool:
    """Whether there is an attribute that could be a key of data.

    None is that of a module, nor what builtins have; nor what is called, since data has nothing to call.
    """
    called = {id(node.func) for node in ast.walk(module) if isinstance(node, ast.Call)}
    modules = {
        alias.asname or alias.name.partition(".")[0]
        for node in ast.walk(module)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    return any(
        node.attr not in _OF_BUILTINS and id(node) not in called and _root(node) not in modules
        for node in ast.walk(module)
        if isinstance(node, ast.Attribute)
    )


def _root(node: ast.expr) -> str:
    """The name that a chain of attributes begins with, if it does with one."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
