"""The user's code: parsed as it stands, put into a function, run, and its failures explained. Runs in the child.

The text is never indented nor wrapped as text. It is parsed, and its statements become the body of a function, so
`return` and `await` work at the top, line numbers are the user's own, and strings over several lines stay untouched.
"""

from __future__ import annotations

import ast
import io
import linecache
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any

from runner.execution.sandbox.child.failures import CodeFailed

FILE_NAME = "<code>"
FUNCTION_NAME = "code"
FRAMES_SHOWN = 20


class UserCode:
    """A user's code, ready to be run."""

    def __init__(self, text: str, names: tuple[str, ...]) -> None:
        """Compile `text`. `names` are what the code is given, such as `_items`.

        Raises:
            CodeFailed: it is not Python.
        """
        text = text.removeprefix("\ufeff")
        lines = list(io.StringIO(text, newline=None))  # splits where Python does, which str.splitlines() does not
        linecache.cache[FILE_NAME] = (len(text), None, lines, FILE_NAME)
        try:
            _refuse_null_bytes(text)
            module = ast.parse(text, FILE_NAME)
            _refuse_yields(module)
            shared = _shared_names(module)
            self._names = tuple(name for name in names if name not in shared)
            self._is_async = _awaits(module)
            wrapped = _wrapped(module.body, self._names, shared, self._is_async)
            self._compiled = compile(wrapped, FILE_NAME, "exec", dont_inherit=True)
        except SyntaxError as error:
            raise _syntax_failure(error) from None
        except (ValueError, RecursionError, MemoryError) as error:
            raise CodeFailed(f"The code cannot be compiled: {_text(error)}") from None

    def run(self, given: Mapping[str, Any]) -> Any:
        """Run the code once, in a namespace of its own, and return what it returns. Whatever it raises comes out."""
        namespace: dict[str, Any] = {"__name__": "__main__", **given}
        exec(self._compiled, namespace)  # noqa: S102 - this is what we are here for
        function: Callable[..., Any] = namespace.pop(FUNCTION_NAME)
        returned = function(*(given[name] for name in self._names))
        if not self._is_async:
            return returned
        import asyncio  # only for code that awaits: it costs as much as all the rest

        return asyncio.run(returned)


def _refuse_null_bytes(text: str) -> None:
    """Do what Python does, but in all versions, and with the line."""
    position = text.find("\0")
    if position >= 0:
        line = len(list(io.StringIO(text[: position + 1], newline=None)))
        raise SyntaxError("source code string cannot contain null bytes", (FILE_NAME, line, None, None))


def _refuse_yields(module: ast.Module) -> None:
    """Say what Python says of them at the top of a module: in a function they would silently do something else."""
    for node in _top_level_nodes(module):
        if isinstance(node, ast.Yield | ast.YieldFrom):
            raise SyntaxError("'yield' outside function", (FILE_NAME, node.lineno, node.col_offset, None))


def _wrapped(body: list[ast.stmt], names: tuple[str, ...], shared: set[str], is_async: bool) -> ast.Module:
    """The statements as one function of `names`, with the future imports in front."""
    start = 1 if body and _is_text(body[0]) else 0
    end = start
    while end < len(body) and _is_future_import(body[end]):
        end += 1
    head = f"{'async ' if is_async else ''}def {FUNCTION_NAME}({', '.join(names)}): pass"
    function = ast.parse(head).body[0]
    if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
        raise AssertionError("the text above is a function")
    first: ast.stmt = ast.Global(names=sorted(shared)) if shared else ast.Pass()
    function.body = [ast.copy_location(first, function), *body[:start], *body[end:]]
    return ast.Module(body=[*body[start:end], function], type_ignores=[])


def _is_text(statement: ast.stmt) -> bool:
    match statement:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
    return False


def _is_future_import(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__" and not statement.level


def _shared_names(module: ast.Module) -> set[str]:
    """The names that the code declares as global anywhere, which have to be global at its top as well.

    Left out are those for which Python would refuse that.
    """
    declared: dict[type, set[str]] = {ast.Global: set(), ast.Nonlocal: set(), ast.AnnAssign: set()}
    for node in ast.walk(module):
        if isinstance(node, ast.Global | ast.Nonlocal):
            declared[type(node)].update(node.names)
    for node in _top_level_nodes(module):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            declared[ast.AnnAssign].add(node.target.id)
    return declared[ast.Global] - declared[ast.Nonlocal] - declared[ast.AnnAssign]


def _awaits(module: ast.Module) -> bool:
    """Whether the code awaits something outside of functions of its own."""
    return any(
        isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith)
        or (isinstance(node, ast.comprehension) and bool(node.is_async))
        for node in _top_level_nodes(module)
    )


def _top_level_nodes(module: ast.Module) -> Iterator[ast.AST]:
    """Everything that is evaluated at the top, so without the bodies of functions and classes."""
    todo: list[ast.AST] = list(module.body)
    while todo:
        node = todo.pop()
        yield node
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                todo += [*node.decorator_list, node.args]
            case ast.ClassDef():
                todo += [*node.decorator_list, *node.bases, *node.keywords]
            case ast.Lambda():
                todo.append(node.args)
            case _:
                todo.extend(ast.iter_child_nodes(node))


def _syntax_failure(error: SyntaxError) -> CodeFailed:
    """A syntax error in Python's own words, with the user's own line."""
    if not error.lineno:
        return CodeFailed(error.msg)
    source = (error.text or linecache.getline(FILE_NAME, error.lineno)).strip()
    description = f"Line {error.lineno}: {source}" if source else None
    return CodeFailed(f"{error.msg} (<unknown>, line {error.lineno})", description, line=error.lineno)


def failure_of(error: BaseException) -> CodeFailed:
    """What the user is told of an exception that has come out of the code, whatever it is."""
    frames = _user_frames(error)
    line = frames[-1].tb_lineno if frames else None
    if isinstance(error, SystemExit):
        return CodeFailed(f"Process exited with code {_text(error.code)}", line=line)
    name, text = type(error).__name__, _text(error)
    trace = [_shown_frame(frame) for frame in frames[-FRAMES_SHOWN:]]
    trace.append(f"{name}: {text}" if text else name)
    return CodeFailed(text or name, _own_description(error), trace="\n".join(trace), line=line)


def _text(value: object) -> str:
    """A value as text, also when it has a `__str__` that fails."""
    try:
        return str(value)
    except BaseException as error:  # noqa: BLE001 - it is the user's code
        return f"({type(value).__name__} has no text: its __str__ raised {type(error).__name__})"


def _own_description(error: BaseException) -> str | None:
    """The `description` that the exception of a user may have."""
    try:
        description = getattr(error, "description", None)
    except BaseException:  # noqa: BLE001 - it is the user's code
        return None
    return description if isinstance(description, str) and description else None


def _user_frames(error: BaseException) -> list[TracebackType]:
    """The part of the traceback that lies in the user's code."""
    frames = []
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == FILE_NAME:
            frames.append(step)
        step = step.tb_next
    return frames


def _shown_frame(frame: TracebackType) -> str:
    where = frame.tb_frame.f_code.co_name
    inside = "" if where == FUNCTION_NAME else f", in {where}"
    return f"Line {frame.tb_lineno}{inside}: {linecache.getline(FILE_NAME, frame.tb_lineno).strip()}"
