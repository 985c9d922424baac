"""The user's code: parsed as it stands, checked, put into a function, and run. Runs in the child.

The text is never indented nor wrapped as text. It is parsed, and its statements become the body of a function, so
`return` and `await` work at the top, line numbers are the user's own, and strings over several lines stay untouched.
"""

from __future__ import annotations

import ast
import io
import linecache
import marshal
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from types import CodeType, FunctionType, GeneratorType
from typing import Any

from runner.execution.sandbox.child.failures import CodeFailed, CodeRefused, text_of
from runner.execution.sandbox.child.given.needs import Needs, needs_of
from runner.execution.sandbox.child.given.table import STUBS
from runner.execution.sandbox.language.policy import Policy
from runner.execution.sandbox.language.prepare import prepare
from runner.execution.sandbox.language.violations import SecurityViolations

FILE_NAME = "<code>"
FUNCTION_NAME = "code"

AWAITED = "<awaited>"
"""The name, which no code can write, of what makes anything awaitable."""


Compiled = tuple[CodeType, tuple[str, ...], bool, Needs | None]
"""Code that has passed all rules, as far as its text shows, and only has to be run: the code of the function that the
user's statements have become, what that function takes, whether it is async, and what it needs, if it needs anything.

A plain tuple, as `marshal` gives it: a class of ours would be a dozen objects more that a fork has to copy."""


def to_bytes(ready: Compiled) -> bytes:
    """The code in a form that another worker of the same interpreter can take."""
    code, names, is_async, needs = ready
    return marshal.dumps((code, names, is_async, None if needs is None else tuple(needs)))


def from_bytes(document: bytes | bytearray | memoryview) -> Compiled:
    """What `to_bytes` was given."""
    ready: Compiled = marshal.loads(document)  # noqa: S302 - it is what runs here anyway
    code, names, is_async, needs = ready
    return ready if needs is None else (code, names, is_async, Needs(*needs))


def compiled(text: str, names: tuple[str, ...], policy: Policy) -> Compiled:
    """Check and compile a user's code. `names` are what it will be given in any case, such as `_items`.

    Raises:
        CodeFailed: it is not Python, or breaks the rules.
    """
    text = text.removeprefix("\ufeff")
    try:
        _refuse_null_bytes(text)
        module = ast.parse(text, FILE_NAME)
        _refuse_yields(module)
        module.body = [statement for statement in module.body if not _is_for_editors(statement)]
        shared = _shared_names(module)
        needs = needs_of(module)
        given = names if needs is None else (*names, *needs.names)
        taken = tuple(name for name in given if name not in shared)
        is_async = _awaits(module)
        prepared = prepare(module, policy)
        if needs is not None and needs.waits:
            _let_await(prepared)
        wrapped = _wrapped(prepared.body, taken, shared, is_async)
        function = _function_in(compile(wrapped, FILE_NAME, "exec", dont_inherit=True))
        return function, taken, is_async, needs
    except SyntaxError as error:
        SOURCE.text = text
        raise _syntax_failure(error) from None
    except SecurityViolations as refused:
        raise CodeRefused(refused.message, refused.description, refused.violations) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise CodeFailed(f"The code cannot be compiled: {text_of(error) or type(error).__name__}") from None


class Source(Sequence[str]):
    """The lines of the code of a task, split when they are asked for, which few tasks do."""

    def __init__(self) -> None:
        """There is no code yet."""
        self.text = ""
        self._text_split = ""
        self._lines: list[str] = []

    def __getitem__(self, index: Any) -> Any:
        return self._split()[index]

    def __len__(self) -> int:
        return len(self._split())

    def _split(self) -> list[str]:
        if self._text_split is not self.text:
            text = self._text_split = self.text
            lines = io.StringIO(
                text.removeprefix("\ufeff"), newline=None
            )  # where Python does; str.splitlines() does not
            self._lines = [*lines]
        return self._lines


SOURCE = Source()


def offer_source() -> None:
    """Let `linecache` know where the code's lines are: before there is a task, so that it has less to do."""
    linecache.cache[FILE_NAME] = (0, None, SOURCE, FILE_NAME)  # type: ignore[assignment]


class UserCode:
    """A user's code, ready to be run."""

    def __init__(self, ready: Compiled, builtins: dict[str, Any], may_import_asyncio: bool = True) -> None:
        """Compiled code that is to have these builtins.

        Parameters:
            may_import_asyncio: whether it could find the event loop that runs it. If not, there need not be one.
        """
        self._ready = ready
        self._builtins = builtins
        self._needs_loop = may_import_asyncio

    def run(self, given: Mapping[str, Any]) -> Any:
        """Run the code once, in a namespace of its own, and return what it returns. Whatever it raises comes out."""
        code, names, is_async, needs = self._ready
        namespace: dict[str, Any] = {"__builtins__": self._builtins, "__name__": "__main__", **given}
        if needs is not None and needs.waits:
            namespace[AWAITED] = _awaited
        returned = FunctionType(code, namespace)(*map(given.__getitem__, names))
        if not is_async:
            return returned
        if not self._needs_loop and "asyncio" not in sys.modules:
            return _stepped(returned)
        import asyncio  # only for code that awaits: it costs as much as all the rest

        return asyncio.run(returned)

    def run_often(self) -> Callable[[Mapping[str, Any]], Any]:
        """What runs the code as `run` does, in half the time for code that is short; to be run many times."""
        code, names, is_async, needs = self._ready
        if is_async or needs is not None:
            return self.run
        namespace, arguments_of = {"__builtins__": self._builtins, "__name__": "__main__"}, itemgetter(*names)
        return lambda given: FunctionType(code, {**namespace, **given})(*arguments_of(given))


def _let_await(module: ast.Module) -> None:
    """Let the code await what is there already, such as what a function of n8n's has returned."""
    for node in ast.walk(module):
        if isinstance(node, ast.Await):
            call = ast.Call(ast.Name(AWAITED, ast.Load()), [node.value], [])
            node.value = ast.copy_location(call, node.value)
            ast.copy_location(call.func, node.value)


def _awaited(value: Any) -> Any:
    """A value as something that can be awaited."""
    return value if isinstance(value, Awaitable | GeneratorType) else _there(value)


async def _there(value: Any) -> Any:
    return value


def _stepped(coroutine: Any) -> Any:
    """Run a coroutine that has nothing to wait for but coroutines of its own."""
    try:
        while True:
            coroutine.send(None)
    except StopIteration as stop:
        return stop.value


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


def _function_in(module: CodeType) -> CodeType:
    """The code of the one function of a module: as the names it is given are no defaults, that is all of it."""
    return next(part for part in module.co_consts if isinstance(part, CodeType) and part.co_name == FUNCTION_NAME)


def _is_text(statement: ast.stmt) -> bool:
    match statement:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
    return False


def _is_future_import(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__" and not statement.level


def _is_for_editors(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == STUBS and not statement.level


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
    return CodeFailed(
        f"{error.msg} (<unknown>, line {error.lineno})", description, line=error.lineno, column=error.offset
    )
