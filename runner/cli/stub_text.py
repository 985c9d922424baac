"""The names that code is given, as a Python module that editors read: made from the table of names and their classes.

What the classes say of themselves is taken from them: members, parameters, docstrings. Types are added where they have
`Any`, because at run time it is data.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from runner.execution.sandbox.child.given.helpers import Helpers
from runner.execution.sandbox.child.given.nodes import AtIndex, Input, OtherNode, OtherNodes
from runner.execution.sandbox.child.given.noted import CustomData
from runner.execution.sandbox.child.given.table import NAMES, STUBS

HEAD = '''\
"""The names that n8n-runner gives to the code of a Python Code node, for editors. Written by `n8n-runner stubs`.

    from {module} import *

This line, at the beginning of the file of a node's code, is for the editor alone: the runner takes it out.
"""

# pyright: basic
# ruff: noqa

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import datetime
from typing import Any, Literal, TypeVar, overload

__all__ = {exported}

_T = TypeVar("_T")
_Answer = Generator[Any, Any, _T]
'''

SHAPES = '''
class Record(dict[str, Any]):
    """Data: `data["key"]` and `data.key` are the same."""

    def __getattr__(self, name: str) -> Any: ...
    def __setattr__(self, name: str, value: Any) -> None: ...


class File(dict[str, Any]):
    """Binary data of an item, without its contents."""

    mimeType: str
    fileName: str
    fileExtension: str
    fileType: str
    fileSize: str
    directory: str
    bytes: int
    id: str
    data: str

    def __await__(self) -> _Answer[File]: ...


class Files(dict[str, File]):
    """The binary data of an item, by name."""

    def __getattr__(self, name: str) -> File: ...


class Item(dict[str, Any]):
    """An item: its data, its files, and which item it comes from."""

    json: Record
    binary: Files
    pairedItem: Any

    @overload
    def __getitem__(self, key: Literal["json"], /) -> Record: ...
    @overload
    def __getitem__(self, key: Literal["binary"], /) -> Files: ...
    @overload
    def __getitem__(self, key: Literal["pairedItem"], /) -> Any: ...
    def __getitem__(self, key: str, /) -> Any: ...


class Content(bytes):
    """Bytes that may be awaited, and need not be."""

    def __await__(self) -> _Answer[bytes]: ...


class Text(str):
    """A text that may be awaited, and need not be."""

    def __await__(self) -> _Answer[str]: ...


class Workflow(dict[str, Any]):
    """The workflow."""

    id: str
    name: str
    active: bool


class Execution(dict[str, Any]):
    """The execution."""

    id: str
    mode: Literal["test", "production"]
    resumeUrl: str
    resumeFormUrl: str
    customData: CustomData


class Before(dict[str, Any]):
    """The node that the items come from."""

    name: str
    outputIndex: int
    runIndex: int
'''
"""The shapes of what is plain data at run time."""

INDENT = " " * 4
STARS: dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}

CLASSES = (Input, OtherNode, AtIndex, OtherNodes, CustomData, Helpers)

TYPES = {
    "Input.all": "list[Item]",
    "Input.first": "Item",
    "Input.last": "Item",
    "Input.item": "Item",
    "Input.params": "Record",
    "OtherNode.all": "list[Item]",
    "OtherNode.first": "Item",
    "OtherNode.last": "Item",
    "OtherNode.item": "Item",
    "OtherNode.itemMatching": "Item",
    "OtherNode.pairedItem": "Item",
    "OtherNode.params": "Record",
    "AtIndex.json": "Record",
    "AtIndex.binary": "Files",
    "AtIndex.parameter": "Record",
    "Helpers.getBinaryDataBuffer": "Content",
    "Helpers.prepareBinaryData": "File",
    "Helpers.setBinaryDataBuffer": "File",
    "Helpers.binaryToString": "Text",
    "Helpers.assertBinaryData": "File",
}
"""What members are or return, where the classes do not say it."""

GIVEN = {
    "_items": "list[Item]",
    "_item": "Item",
    "_query": "Any",
    "_input": "Input",
    "_json": "Record",
    "_binary": "Files",
    "_": "Callable[[str], OtherNode]",
    "_node": "OtherNodes",
    "_workflow": "Workflow",
    "_execution": "Execution",
    "_prevNode": "Before",
    "_runIndex": "int",
    "_itemIndex": "int",
    "_parameter": "Record",
    "_vars": "Record",
    "_env": "Record",
    "_now": "datetime",
    "_today": "datetime",
    "_jmespath": "Callable[[Any, str], Any]",
    "_getWorkflowStaticData": 'Callable[[Literal["global", "node"]], Record]',
    "_helpers": "Helpers",
}
"""The type of each name."""

MEANINGS = {
    "_query": "What an AI agent asks for, in the code of a tool.",
    **{name: row.meaning for name, row in NAMES.items()},
}


def stub_text() -> str:
    """The whole module."""
    exported = "[\n" + "".join(f'    "{name}",\n' for name in GIVEN) + "]"
    classes = [HEAD.replace("{exported}", exported).replace("{module}", STUBS), SHAPES, *map(_class, CLASSES)]
    names = [f"{name}: {kind}\n{_docstring(MEANINGS[name])}" for name, kind in GIVEN.items()]
    return "\n\n\n".join(part.strip("\n") for part in (*classes, "\n".join(names))) + "\n"


def _class(cls: type[Any]) -> str:
    lines = [f"class {cls.__name__}:", textwrap.indent(_docstring(inspect.getdoc(cls)), INDENT)]
    for name, member in vars(cls).items():
        function = member.fget if isinstance(member, property) else member
        if inspect.isfunction(function) and (not name.startswith("_") or name == "__getitem__"):
            lines += [
                "",
                *([f"{INDENT}@property"] if isinstance(member, property) else []),
                _method(cls, name, function),
            ]
    return "\n".join(lines)


def _method(cls: type[Any], name: str, function: Callable[..., Any]) -> str:
    signature = inspect.signature(function)
    returned = TYPES.get(f"{cls.__name__}.{name}", signature.return_annotation)
    head = f"def {name}({', '.join(_parameters(signature))}) -> {returned}:"
    body = textwrap.indent(_docstring(inspect.getdoc(function)) + "\n...", INDENT)
    return textwrap.indent(f"{head}\n{body}", INDENT)


def _docstring(text: str | None) -> str:
    lines = (text or "").splitlines()
    return f'"""{text}"""' if len(lines) < 2 else '"""' + "\n".join([*lines, '"""'])


def _parameters(signature: inspect.Signature) -> Iterator[str]:
    """The parameters as they are written: annotations are texts already."""
    positional = False
    for parameter in signature.parameters.values():
        if positional and parameter.kind is not parameter.POSITIONAL_ONLY:
            yield "/"
        positional = parameter.kind is parameter.POSITIONAL_ONLY
        star = STARS.get(parameter.kind, "")
        annotation = "" if parameter.annotation is parameter.empty else f": {parameter.annotation}"
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        yield f"{star}{parameter.name}{annotation}{default}"
    if positional:
        yield "/"
