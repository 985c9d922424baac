"""What `run` gives the code beside its items, and what it writes: nodes, files, static data, variables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import run_command


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A file for the code of a node."""
    return tmp_path / "code.py"


def written(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


def test_the_items_of_the_last_node_are_the_input_unless_there_are_others(code: Path, tmp_path: Path) -> None:
    code.write_text("return _items")
    first, last = written(tmp_path / "first.json", [{"n": 1}]), written(tmp_path / "last.json", [{"n": 2}, {"n": 3}])
    nodes = ("--node", f"First={first}", "--node", f"Last one={last}")
    done = run_command("run", str(code), *nodes)
    assert [item["json"] for item in json.loads(done.stdout)] == [{"n": 2}, {"n": 3}], done.stderr
    done = run_command("run", str(code), *nodes, "--items", str(written(tmp_path / "items.json", {"n": 4})))
    assert [item["json"] for item in json.loads(done.stdout)] == [{"n": 4}]


@pytest.mark.parametrize("binary", ["photo.png", {"path": "photo.png"}, {"path": "photo.png", "mimeType": "image/x"}])
def test_items_may_name_files_beside_theirs(code: Path, tmp_path: Path, binary: Any) -> None:
    code.write_text("return _items")
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    items = written(tmp_path / "items.json", [{"json": {}, "binary": {"photo": binary}}])
    done = run_command("run", str(code), "--items", str(items))
    (item,) = json.loads(done.stdout)
    kind = binary.get("mimeType", "image/png") if isinstance(binary, dict) else "image/png"
    assert item["binary"]["photo"] | {"fileName": "photo.png", "mimeType": kind, "bytes": 4} == item["binary"]["photo"]


def test_files_go_in_and_come_out(code: Path, tmp_path: Path) -> None:
    code.write_text("return _items + _items")
    (tmp_path / "a.txt").write_bytes(b"\xffcontent")
    out = tmp_path / "new" / "folder"
    done = run_command("run", str(code), "--binary", f"file={tmp_path / 'a.txt'}", "--binary-out", str(out))
    assert [file.name for file in sorted(out.iterdir())] == ["a-2.txt", "a.txt"]
    assert {file.read_bytes() for file in out.iterdir()} == {b"\xffcontent"}
    assert f"written: {out / 'a.txt'}" in done.stderr.splitlines()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("../../up.txt", "up.txt"), ("/etc/abs.txt", "abs.txt"), ("..", "data.txt"), ("", "data.txt"), ("a\0b", "ab")],
)
def test_files_are_written_into_the_folder_alone(code: Path, tmp_path: Path, name: str, expected: str) -> None:
    binary = {"fileName": name, "fileExtension": "txt", "data": "aGVsbG8=", "mimeType": "text/plain"}
    code.write_text(f"return [{{'json': {{}}, 'binary': {{'data': {binary!r}}}}}]")
    out = tmp_path / "out"
    run_command("run", str(code), "--binary-out", str(out))
    assert [(file.name, file.read_text()) for file in out.iterdir()] == [(expected, "hello")]


def test_what_is_no_binary_data_is_not_written_and_said_so(code: Path, tmp_path: Path) -> None:
    code.write_text("return [{'json': {}, 'binary': {'data': {'id': 'local:77'}, 'other': {'data': 'aGVsbG8='}}}]")
    done = run_command("run", str(code), "--binary-out", str(tmp_path / "out"))
    assert done.returncode == 0
    assert "binary data 'data' is not written: There is no binary data with the id 'local:77'" in done.stderr
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["other.bin"]


def test_a_folder_that_cannot_be_written_to_is_told_after_the_result(code: Path, tmp_path: Path) -> None:
    code.write_text("return {'n': 1}")
    (tmp_path / "file").write_text("")
    done = run_command("run", str(code), "--binary-out", str(tmp_path / "file" / "out"))
    assert done.returncode == 2
    assert json.loads(done.stdout) == [{"json": {"n": 1}}]
    assert f"{tmp_path / 'file' / 'out'} cannot be written: Not a directory" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--node", "Orders"], "--node Orders: a node and a file are needed, with = between them"),
        (["--node", "=orders.json"], "a node and a file are needed"),
        (["--node", "Orders=missing.json"], "missing.json cannot be read: No such file"),
        (["--node", "A={ok}", "--node", "A={ok}"], "there are two nodes called 'A'"),
        (["--node", "code.py={ok}"], "there are two nodes called 'code.py'"),
        (["--node", "A={list}"], "item 0 is not an object"),
        (["--binary", "file"], "--binary file: a name and a file are needed"),
        (["--binary", "file=missing.png"], "--binary: missing.png cannot be read: No such file"),
        (["--binary", "file=."], "--binary: . cannot be read: Is a directory"),
        (["--items", "{no_file}"], "item 0: binary data 'photo': "),
        (["--items", "{no_path}"], "the binary data 'photo' is neither the path of a file nor binary data of n8n's"),
        (["--var", "NAME"], "--var NAME: a name and a value are needed"),
        (["--env", "NOT_THERE"], "--env NOT_THERE: there is no such variable in the environment"),
        (["--static-data", "{list}"], "is no static data, which is an object of objects"),
        (["--static-data", "{flat}"], "is no static data, which is an object of objects"),
        (["--static-data", "{broken}"], "is not JSON: line 1, column 2"),
    ],
)
def test_bad_files_and_names_are_told_in_words(
    code: Path, tmp_path: Path, arguments: list[str], complaint: str
) -> None:
    code.write_text("return []")
    files = {
        "ok": written(tmp_path / "ok.json", [{}]),
        "list": written(tmp_path / "list.json", [1]),
        "flat": written(tmp_path / "flat.json", {"seen": 1}),
        "no_file": written(tmp_path / "no_file.json", [{"json": {}, "binary": {"photo": "missing.png"}}]),
        "no_path": written(tmp_path / "no_path.json", [{"json": {}, "binary": {"photo": 7}}]),
        "broken": tmp_path / "broken.json",
    }
    files["broken"].write_text("{")
    done = run_command("run", str(code), *(argument.format(**files) for argument in arguments))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("n8n-runner: ")
    assert complaint in done.stderr
