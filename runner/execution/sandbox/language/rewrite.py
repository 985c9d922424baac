"""The code's tree, changed where only the run can tell whether an access is harmless.

`x.format` becomes a call that looks at `x` and returns the attribute; so does `x.obj`, and what begins with an
underscore. `x.y = …` becomes `look(x).y = …`; `x.format += …`, which reads as well, is looked at twice. Before a class
pattern that reads attributes by position comes a case that looks at the class and never matches. The names of these
functions are none that code could write.
"""

from __future__ import annotations

import ast

from runner.execution.sandbox.language.rules import WATCHED_ATTRIBUTES, is_private, mangled

LOAD = "<load>"
"""Takes an object and the name of an attribute, and returns the attribute."""

LOOK = "<look>"
"""Takes an object and the name of an attribute that is about to be read as it stands, and returns the object."""

STORE = "<store>"
"""Takes an object and the name of an attribute that is about to be set or deleted, and returns the object."""

MATCH = "<match>"
"""Takes classes of patterns, and returns false."""

Work = tuple[ast.AST, str | None, bool]
"""A node, the class that it is written in, and whether it is inside of a pattern."""


def rewrite(tree: ast.Module) -> ast.Module:
    """Change the tree in place, and return it. Without recursion: what Python can compile, this can change."""
    todo: list[Work] = [(tree, None, False)]
    counter = 0
    while todo:
        node, class_name, in_pattern = todo.pop()
        if isinstance(node, ast.Match):
            counter = _guard_cases(node, counter)
        elif isinstance(node, ast.AugAssign):
            _guard_reading(node.target, class_name)
        inside = node.name if isinstance(node, ast.ClassDef) else class_name
        for field, value in ast.iter_fields(node):
            # What stands in the head of a class belongs to what is around it
            name = inside if field in ("body", "type_params") else class_name
            pattern = in_pattern or (isinstance(node, ast.match_case) and field == "pattern")
            if isinstance(value, list):
                value[:] = [_changed(child, name, pattern, todo) for child in value]
            elif isinstance(value, ast.AST):
                setattr(node, field, _changed(value, name, pattern, todo))
    return tree


def _changed(
    node: ast.AST | str | None, class_name: str | None, in_pattern: bool, todo: list[Work]
) -> ast.AST | str | None:
    """What stands in the place of a node; what is inside of it is left to do."""
    if not isinstance(node, ast.AST):
        return node  # a text in a list of names
    if not isinstance(node, ast.Attribute):
        todo.append((node, class_name, in_pattern))
        return node
    todo_later: Work = (node, class_name, False)
    name = mangled(node.attr, class_name)
    if isinstance(node.ctx, ast.Load):
        if not _is_watched(name):
            todo.append((node, class_name, in_pattern))
            return node
        if not in_pattern:
            call = _call(LOAD, [node.value, ast.Constant(name)], node)
            todo.append((call, class_name, False))
            return call
    function = LOOK if isinstance(node.ctx, ast.Load) else STORE
    node.value = _call(function, [node.value, ast.Constant(name)], node)
    todo.append(todo_later)
    return node


def _guard_reading(target: ast.expr, class_name: str | None) -> None:
    """Look at an attribute that is read although it stands where one is set."""
    if isinstance(target, ast.Attribute) and _is_watched(name := mangled(target.attr, class_name)):
        target.value = _call(LOOK, [target.value, ast.Constant(name)], target)


def _is_watched(name: str) -> bool:
    return name in WATCHED_ATTRIBUTES or is_private(name)


def _call(function: str, arguments: list[ast.expr], place: ast.expr | ast.pattern) -> ast.Call:
    """A call of one of our functions, in the place of what it stands for."""
    call = ast.Call(ast.Name(function, ast.Load()), arguments, [])
    ast.copy_location(call, place)
    ast.copy_location(call.func, place)
    for argument in arguments:
        if isinstance(argument, ast.Constant):
            ast.copy_location(argument, place)
    return call


def _guard_cases(node: ast.Match, counter: int) -> int:
    """Put a case that looks at the classes in front of each case that reads attributes of them by position."""
    cases: list[ast.match_case] = []
    for case in node.cases:
        looked_at: list[ast.expr] = []
        for pattern in ast.walk(case.pattern):
            if isinstance(pattern, ast.MatchClass) and (pattern.patterns or isinstance(pattern.cls, ast.Attribute)):
                counter += 1
                looked_at.append(_kept(pattern, f"<class {counter}>"))
        if looked_at:
            cases.append(_never(looked_at, case.pattern))
        cases.append(case)
    node.cases = cases
    return counter


def _kept(pattern: ast.MatchClass, name: str) -> ast.expr:
    """The class of a pattern, kept in a variable that the pattern now reads: so that it is the one looked at."""
    kept = ast.NamedExpr(ast.copy_location(ast.Name(name, ast.Store()), pattern.cls), pattern.cls)
    pattern.cls = ast.copy_location(ast.Name(name, ast.Load()), kept.value)
    return ast.copy_location(kept, kept.value)


def _never(classes: list[ast.expr], place: ast.pattern) -> ast.match_case:
    """A case that looks at classes and does not match."""
    body = ast.copy_location(ast.Pass(), place)
    anything = ast.copy_location(ast.MatchAs(), place)
    return ast.match_case(anything, _call(MATCH, classes, place), [body])
