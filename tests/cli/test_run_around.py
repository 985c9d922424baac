"""What `run` gives the code beside its items, and what it writes: nodes, files, static data, variables."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.http_cases import served
from tests.support import ROOT, run_command


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


# What the code reads and does


def test_code_reads_other_nodes_by_name(code: Path, tmp_path: Path) -> None:
    code.write_text(
        "return [{'customer': _('Customers').first().json.name, 'order': _json.order, 'from': _prevNode.name,\n"
        "         'paired': _('Customers').item.json.name, 'all': len(_('Customers').all())}]"
    )
    customers = written(tmp_path / "customers.json", [{"name": "Ada"}, {"name": "Grace"}])
    orders = written(tmp_path / "orders.json", [{"json": {"order": 7}, "pairedItem": {"item": 1}}])
    done = run_command("run", str(code), "--node", f"Customers={customers}", "--node", f"Big orders={orders}")
    assert [item["json"] for item in json.loads(done.stdout)] == [
        {"customer": "Ada", "order": 7, "from": "Big orders", "paired": "Grace", "all": 2}
    ], done.stderr


def test_code_changes_a_file(code: Path, tmp_path: Path) -> None:
    code.write_text(
        "content = _helpers.getBinaryDataBuffer(0, 'photo')\n"
        "made = _helpers.prepareBinaryData(content[::-1], 'reversed.bin')\n"
        "return [{'json': {'bytes': made.bytes}, 'binary': {'made': made}}]"
    )
    (tmp_path / "photo.bin").write_bytes(bytes(range(256)))
    out = tmp_path / "out"
    done = run_command("run", str(code), "--binary", f"photo={tmp_path / 'photo.bin'}", "--binary-out", str(out))
    assert json.loads(done.stdout)[0]["json"] == {"bytes": 256}, done.stderr
    assert (out / "reversed.bin").read_bytes() == bytes(range(256))[::-1]


def test_static_data_is_kept_in_a_file_from_run_to_run(code: Path, tmp_path: Path) -> None:
    code.write_text(
        "data = _getWorkflowStaticData('global')\n"
        "data['runs'] = data.get('runs', 0) + 1\n"
        "_getWorkflowStaticData('node')['seen'] = True\n"
        "return {'runs': data['runs']}"
    )
    kept = tmp_path / "static.json"
    for runs in (1, 2):
        done = run_command("run", str(code), "--static-data", str(kept))
        assert json.loads(done.stdout) == [{"json": {"runs": runs}}], done.stderr
        assert done.stderr == f"static data: written to {kept}\n"
        assert json.loads(kept.read_text()) == {"global": {"runs": runs}, "node:code.py": {"seen": True}}
    code.write_text("return {'runs': _getWorkflowStaticData('global')['runs']}")
    done = run_command("run", str(code), "--static-data", str(kept))
    assert (json.loads(done.stdout), done.stderr) == ([{"json": {"runs": 2}}], ""), "it was not changed"


def test_what_code_leaves_behind_is_shown(code: Path) -> None:
    code.write_text(
        "_execution.customData.set('customer', 'Ada')\n_getWorkflowStaticData('global')['n'] = 1\nreturn {}"
    )
    done = run_command("run", str(code))
    assert done.stderr.splitlines() == ['custom data: {"customer": "Ada"}', 'static data: {"global": {"n": 1}}']
    document = json.loads(run_command("run", str(code), "--json").stdout)
    assert (document["customData"], document["staticData"]) == ({"customer": "Ada"}, {"global": {"n": 1}})


def test_variables_and_the_environment_are_what_the_command_line_says(code: Path) -> None:
    code.write_text("return {'region': _vars.region, 'home': _env['HOME'], 'shop': _env['SHOP']}")
    given = ("--var", "region=eu=1", "--env", "HOME", "--env", "SHOP=Books & Co")
    done = run_command("run", str(code), *given, env={"HOME": "/home/ada"})
    expected = {"region": "eu=1", "home": "/home/ada", "shop": "Books & Co"}
    assert json.loads(done.stdout) == [{"json": expected}], done.stderr
    done = run_command("run", str(code), "--var", "region=eu", env={"HOME": "/home/ada"})
    assert f"{code}:1: error: access to env vars denied" in done.stderr, "as n8n blocks it unless told otherwise"


async def test_http_goes_out_directly_unless_it_is_switched_off(code: Path) -> None:
    async with served() as server:
        code.write_text(f"return {{'why': _helpers.httpRequest({{'url': '{server}/numbers'}})[1]}}")
        done = await asyncio.to_thread(run_command, "run", str(code))
        assert json.loads(done.stdout) == [{"json": {"why": 2}}], done.stderr
        done = await asyncio.to_thread(run_command, "run", str(code), "--no-http")
        assert f"{code}:1: error: HTTP requests are switched off by --no-http" in done.stderr
        code.write_text(f"return _helpers.httpRequest({{'url': '{server}/teapot'}})")
        done = await asyncio.to_thread(run_command, "run", str(code))
        assert f"{code}:1: error: Request failed with status code 418" in done.stderr


def test_items_are_paired_in_code_for_each_item(code: Path, tmp_path: Path) -> None:
    code.write_text("return {'n': _('First').item.json.n, 'index': _itemIndex}")
    first, second = written(tmp_path / "a.json", [{"n": 1}, {"n": 2}]), written(tmp_path / "b.json", [{}, {}])
    nodes = ("--node", f"First={first}", "--node", f"Second={second}")
    done = run_command("run", str(code), "--mode", "each", *nodes)
    assert [item["json"] for item in json.loads(done.stdout)] == [{"n": 1, "index": 0}, {"n": 2, "index": 1}]


@pytest.mark.parametrize(
    ("text", "hint"), [("return _('Orders').all()", "--node NAME=FILE"), ("return [_env['HOME']]", "--env NAME")]
)
def test_what_was_not_given_is_told_with_the_option_that_gives_it(code: Path, text: str, hint: str) -> None:
    code.write_text(text)
    done = run_command("run", str(code))
    assert done.returncode == 1
    assert hint in done.stderr.splitlines()[-1]


# What cannot be used


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


def test_the_example_of_the_documentation_makes_its_file(tmp_path: Path) -> None:
    examples = ROOT / "docs" / "examples"
    command = next(
        line.split() for line in (ROOT / "docs" / "run.md").read_text().splitlines() if "--node Customers=" in line
    )
    assert command[:3] == ["n8n-runner", "run", "report.py"]
    arguments = [argument.replace("=", f"={examples}/") if "=" in argument else argument for argument in command[3:-1]]
    done = run_command("run", str(examples / "report.py"), *arguments, str(tmp_path), "--var", "greeting=Bye")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report.txt").read_text() == "Grace: 80.00\nAda: 99.50\nAda: 40.99\nBye"


def test_the_documentation_has_every_option() -> None:
    options = set(re.findall(r"--[a-z][a-z-]+", run_command("run", "--help").stdout)) - {"--help"}
    assert {"--node", "--binary-out", "--items"} <= options
    documented = (ROOT / "docs" / "run.md").read_text(encoding="utf-8")
    assert [option for option in sorted(options) if option not in documented] == []
