"""What all pages have in common: links lead somewhere, and commands of make exist."""

from __future__ import annotations

import re

import pytest

from tests.support import ROOT

PAGES = sorted(path.relative_to(ROOT).as_posix() for folder in (ROOT, ROOT / "docs") for path in folder.glob("*.md"))
TARGETS = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def test_there_are_pages_and_targets_to_look_at() -> None:
    assert {"README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/embedding.md", "docs/release.md"} <= set(PAGES)
    assert {"test", "check", "docs", "dist", "bench-check"} <= TARGETS


@pytest.mark.parametrize("page", PAGES)
def test_every_link_to_a_file_finds_it(page: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text_of(page))
    missing = [link for link in links if not ((ROOT / page).parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_every_path_of_the_repository_is_there(page: str) -> None:
    paths = re.findall(r"`((?:runner|statemachine|tests|docs|requirements)/[\w./-]*)`", text_of(page))
    missing = [path for path in paths if not (ROOT / path).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_make_is_a_target(page: str) -> None:
    commands = re.findall(r"(?:`|^ {4})make ([a-z0-9-]+)", text_of(page), re.MULTILINE)
    assert {command for command in commands if command not in TARGETS} == set()
