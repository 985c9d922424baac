"""The generated parts of the documentation are what the tables say, pictures included, and stale ones are named."""

from __future__ import annotations

import shutil
from pathlib import Path
from xml.etree import ElementTree

import generate
import pytest

from statemachine import TASK
from tests.support import ROOT

SVG = "{http://www.w3.org/2000/svg}"


GENERATED = [
    "README.md",
    *(f"docs/{name}" for name in generate.PAGES),
    *(f"docs/pictures/{name}" for name in generate.PICTURES),
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the documentation, which a test may spoil."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("_build"))
    shutil.copy(ROOT / "README.md", tmp_path)
    return tmp_path


def test_nothing_in_this_repository_is_stale(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.needs("dot")
@pytest.mark.parametrize("name", GENERATED)
def test_what_was_changed_by_hand_is_named_and_made_again(
    name: str, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = copy / name
    before = file.read_text(encoding="utf-8")
    middle = before.index("listening") if name == "README.md" else len(before) // 2
    changed = before[:middle] + "?" + before[middle + 1 :]
    assert changed != before
    file.write_text(changed, encoding="utf-8")
    assert generate.main(["--check"], copy) == 1
    assert capsys.readouterr().err == f"{name} is stale: run `make docs`\n"
    assert file.read_text(encoding="utf-8") == changed
    generate.main([], copy)
    assert generate.main(["--check"], copy) == 0


def test_a_picture_is_stale_when_its_table_has_changed_without_being_drawn(
    copy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never() -> str:
        raise AssertionError("a check draws nothing")

    monkeypatch.setitem(generate.PICTURES, "task.svg", (TASK.to_dot() + "// changed", never))
    assert generate.main(["--check"], copy) == 1
    assert capsys.readouterr().err == "docs/pictures/task.svg is stale: run `make docs`\n"


@pytest.mark.parametrize("name", generate.PICTURES)
def test_a_picture_is_an_svg_that_says_what_it_shows(name: str) -> None:
    tree = ElementTree.parse(ROOT / "docs" / "pictures" / name)
    labels = {"".join(text.itertext()) for text in tree.iter(f"{SVG}text")}
    expected = {"accepted", "running", "finished"} if name == "task.svg" else {"connecting", "listening", "backoff"}
    assert expected <= labels
