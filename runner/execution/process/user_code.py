"""The user's code: parsed as it stands, put into a function, run, and its failures explained. Runs in the child.

The text is never indented nor wrapped as text. It is parsed, and its statements become the body of a function, so
`return` and `await` work at the top, line numbers are the user's own, and strings over several lines stay untouched.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

FILE_NAME = "<code>"
FUNCTION_NAME = "code"


class CodeFailed(Exception):
    """The code cannot be compiled, or has raised. What n8n shows of it is in the fields."""

    def __init__(self, message: str, description: str | None, line: int | None) -> None:
        """A failure in `line` of the user's code."""
        self.message = message
        self.description = description
        self.line = line
        self.item_index: int | None = None
        super().__init__(message)


class UserCode:
    """A user's code, ready to be run."""

    def __init__(self, text: str, names: tuple[str, ...]) -> None:
        """Compile `text`. `names` are what the code is given, such as `_items`.

        Raises:
            CodeFailed: it is not Python.
        """
        linecache.cache[FILE_NAME] = (len(text), None, text.splitlines(keepends=True), FILE_NAME)
        try:
            module = ast.parse(text, FILE_NAME)
            self._names = tuple(name for name in names if name not in _globals_of(module))
            self.is_async = _awaits(module)
            compiled = compile(_wrapped(module, self._names, self.is_async), FILE_NAME, "exec", dont_inherit=True)
        except SyntaxError as error:
            raise _syntax_failure(error) from None
        except (ValueError, RecursionError, MemoryError) as error:
            raise CodeFailed(f"The code cannot be compiled: {error}", None, None) from None
        self._compiled = compiled
        self._namespace: dict[str, Any] = {"__name__": "__main__"}

    def run(self, given: Mapping[str, Any]) -> Any:
        """Run the code once and return what it returns.

        Raises:
            CodeFailed: it has raised.
        """
        self._namespace.update(given)
        try:
            exec(self._compiled, self._namespace)  # noqa: S102 - this is what we are here for
            function: Callable[..., Any] = self._namespace[FUNCTION_NAME]
            returned = function(*(given[name] for name in self._names))
            if self.is_async:
                import asyncio  # only for code that awaits: it costs as much as all the rest

                returned = asyncio.run(returned)
        except SystemExit as leaving:
            raise CodeFailed(f"Process exited with code {leaving.code}", None, _line_of(leaving)) from None
        except BaseException as error:  # noqa: BLE001 - whatever user code raises is the user's to see
            raise CodeFailed(str(error) or type(error).__name__, _explain(error), _line_of(error)) from None
        return returned


def _wrapped(module: ast.Module, names: tuple[str, ...], is_async: bool) -> ast.Module:
    """The module as one function of `names`, with the future imports in front."""
    body: list[ast.stmt] = list(module.body)
    futures: list[ast.stmt] = []
    while body and isinstance(body[0], ast.ImportFrom) and body[0].module == "__future__":
        futures.append(body.pop(0))
    head = f"{'async ' if is_async else ''}def {FUNCTION_NAME}({', '.join(names)}): pass"
    function = ast.parse(head).body[0]
    if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
        raise AssertionError("the text above is a function")
    function.body = body or [ast.Pass(lineno=1, col_offset=0, end_lineno=1, end_col_offset=4)]
    return ast.Module(body=[*futures, function], type_ignores=[])


def _globals_of(module: ast.Module) -> set[str]:
    """The names that the code declares as global: these cannot be parameters as well."""
    return {name for node in ast.walk(module) if isinstance(node, ast.Global) for name in node.names}


def _awaits(module: ast.Module) -> bool:
    """Whether the code awaits something outside of functions of its own."""
    todo: list[ast.AST] = list(module.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith):
            return True
        if isinstance(node, ast.comprehension) and node.is_async:
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            todo.extend(ast.iter_child_nodes(node))
    return False


def _syntax_failure(error: SyntaxError) -> CodeFailed:
    """A syntax error in Python's own words, with the user's own line."""
    source = (error.text or "").rstrip()
    description = f"Line {error.lineno}: {source.strip()}" if source else None
    return CodeFailed(f"{error.msg} (<unknown>, line {error.lineno})", description, error.lineno)


def _user_frames(error: BaseException) -> list[TracebackType]:
    """The part of the traceback that lies in the user's code."""
    frames = []
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == FILE_NAME:
            frames.append(step)
        step = step.tb_next
    return frames


def _line_of(error: BaseException) -> int | None:
    frames = _user_frames(error)
    return frames[-1].tb_lineno if frames else None


def _explain(error: BaseException) -> str:
    """The exception's own description if it has one, then the user's part of the traceback."""
    own = getattr(error, "description", None)
    lines = [own] if isinstance(own, str) and own else []
    for frame in _user_frames(error)[-20:]:
        where = frame.tb_frame.f_code.co_name
        inside = "" if where == FUNCTION_NAME else f", in {where}"
        lines.append(f"Line {frame.tb_lineno}{inside}: {linecache.getline(FILE_NAME, frame.tb_lineno).strip()}")
    lines.append(f"{type(error).__name__}: {error}"[:2000])
    return "\n".join(lines)
