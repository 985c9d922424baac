"""What `stubs` writes, read by a type checker: right code passes, and wrong code is told so where it is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from runner.cli.stub_text import GIVEN, TYPES, stub_text
from runner.execution.sandbox.child.given.table import ITEMS, NAMES, STUBS
from tests.support import run_command

LINE = f"from {STUBS} import *\n"
EXAMPLES = {f"{name} {number}": use.example for name, row in NAMES.items() for number, use in enumerate(row.uses)}

WRONG = {
    "_inputs.all()": '"_inputs" is not defined',
    "_input.alll()": 'Cannot access attribute "alll" for class "Input"',
    "_input.first().jsn": 'Cannot access attribute "jsn" for class "Item"',
    '_("Orders").items()': 'Cannot access attribute "items" for class "OtherNode"',
    "_(7)": '"Literal[7]" is not assignable to "str"',
    "_workflow.naem": 'Cannot access attribute "naem" for class "Workflow"',
    "_execution.customData.put('a', 'b')": 'Cannot access attribute "put" for class "CustomData"',
    "_execution.customData.set('a', ['b'])": '"list[str]" is not assignable to "float"',
    '_getWorkflowStaticData("locl")': "\"Literal['locl']\" is not assignable to",
    '_helpers.getBinaryDataBuffer("file")': 'Argument missing for parameter "propertyName"',
    "_helpers.prepareBinaryData(5)": '"Literal[5]" is not assignable to "bytes"',
    "number: int = _now": '"datetime" is not assignable to "int"',
    'text: str = _helpers.getBinaryDataBuffer(0, "f")': '"Content" is not assignable to "str"',
    "OtherNode": '"OtherNode" is not defined',
}
"""Lines, and what is wrong with each."""

RIGHT = {
    "keys and attributes": 'total = _items[0]["json"]["total"] + _items[0].json.total + _item["json"].total',
    "what dicts can do": 'names = [*_json.keys(), *_json.get("list", [])]',
    "bytes": 'size: int = len(_helpers.getBinaryDataBuffer(0, "file")) + len(b"a" + _binary["file"].fileName.encode())',
    "static data": 'data = _getWorkflowStaticData("node")\ndata.seen = data.get("seen", 0) + 1',
    "time": 'day: str = _today.strftime("%A")',
    "a tool": 'answer = _query["text"]',
}


def checked(folder: Path, *files: Path) -> dict[str, list[tuple[int, str]]]:
    """The errors of a type checker, for each file: the line, and what it says."""
    checker = Path(sys.executable).with_name("basedpyright")
    (folder / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard"}')
    command = [str(checker), "--outputjson", "--project", str(folder), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False, timeout=50)
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] >= len(files), report
    errors: dict[str, list[tuple[int, str]]] = {file.name: [] for file in files}
    for found in report["generalDiagnostics"]:
        if found["severity"] == "error":
            errors[Path(found["file"]).name].append(
                (found["range"]["start"]["line"] + 1, found["message"].replace("\xa0", " "))
            )
    return errors


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the module in it."""
    done = run_command("stubs", str(tmp_path))
    assert done.stdout.strip() == str(tmp_path / f"{STUBS}.py")
    return tmp_path


def test_every_name_has_a_type_and_every_type_is_of_something() -> None:
    assert set(GIVEN) == set(NAMES) | ITEMS
    text = stub_text()
    classes = {member.partition(".")[0] for member in TYPES}
    assert [each for each in classes if f"class {each}:" not in text] == []
    assert [member for member in TYPES if f"def {member.partition('.')[2]}(" not in text] == []


def test_the_module_itself_is_python_without_errors(folder: Path) -> None:
    module = folder / f"{STUBS}.py"
    assert checked(folder, module) == {module.name: []}
    subprocess.run([sys.executable, str(module)], check=True)


def test_the_examples_of_the_documentation_and_other_right_code_pass(folder: Path) -> None:
    """Each is put into a function: so what `return` returns is checked as well."""
    files = []
    for number, code in enumerate((*EXAMPLES.values(), *RIGHT.values())):
        file = folder / f"right_{number}.py"
        file.write_text(f"{LINE}async def node():\n{textwrap.indent(code, '    ')}\n")
        files.append(file)
    assert len(files) > 30
    assert {name: errors for name, errors in checked(folder, *files).items() if errors} == {}


def test_wrong_code_is_told_so_where_it_is_wrong(folder: Path) -> None:
    files = {line: folder / f"wrong_{number}.py" for number, line in enumerate(WRONG)}
    for line, file in files.items():
        file.write_text(f"{LINE}# what follows is wrong\n{line}\n")
    errors = checked(folder, *files.values())
    for line, file in files.items():
        ((where, message),) = errors[file.name]
        assert where == 3
        assert WRONG[line] in message, (line, message)


def test_a_file_as_it_is_typed_into_the_node_passes_but_for_its_return(folder: Path) -> None:
    code = folder / "code.py"
    code.write_text(f'{LINE}orders = _("Orders").all()\nif not orders:\n    return []\nreturn {{"n": len(orders)}}\n')
    assert checked(folder, code) == {
        "code.py": [
            (4, '"return" can be used only within a function'),
            (5, '"return" can be used only within a function'),
        ]
    }
    code.write_text(code.read_text().replace("[]", "[]  # pyright: ignore").replace(")}", ")}  # pyright: ignore"))
    assert checked(folder, code) == {"code.py": []}


def test_with_builtins_no_line_is_needed(tmp_path: Path) -> None:
    done = run_command("stubs", "--builtins", str(tmp_path))
    assert done.stdout.strip() == str(tmp_path / "__builtins__.pyi")
    right, wrong = tmp_path / "right.py", tmp_path / "wrong.py"
    right.write_text("".join(f"{code}\n" for code in RIGHT.values()))
    wrong.write_text("print(_input.alll())\n")
    assert checked(tmp_path, right, wrong) == {
        "right.py": [],
        "wrong.py": [(1, 'Cannot access attribute "alll" for class "Input"\n  Attribute "alll" is unknown')],
    }


def test_the_runner_takes_the_line_for_a_remark(folder: Path) -> None:
    code = folder / "code.py"
    code.write_text(
        f'"""What it does."""\n{LINE}from __future__ import annotations\nreturn {{"n": len(_input.all())}}\n'
    )
    done = run_command("run", str(code), env={"N8N_RUNNERS_STDLIB_ALLOW": "", "N8N_RUNNERS_EXTERNAL_ALLOW": ""})
    assert json.loads(done.stdout) == [{"json": {"n": 1}}], done.stderr
    code.write_text(f"{LINE}\n1/0\n")
    assert f"{code}:3: error: division by zero" in run_command("run", str(code)).stderr


def test_other_imports_of_that_name_are_no_remarks(folder: Path) -> None:
    code = folder / "code.py"
    for line in (f"import {STUBS}", f"def f():\n    from {STUBS} import Input"):
        code.write_text(f"{line}\nreturn []\n")
        assert f"Import of external package '{STUBS}' is disallowed" in run_command("run", str(code)).stderr


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = run_command("stubs", str(tmp_path / "no"))
    assert (done.returncode, "cannot be written: No such file" in done.stderr) == (2, True)
