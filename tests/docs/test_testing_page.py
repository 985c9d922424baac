"""The page about the test kit: its blocks are files of tests, and they pass."""

from __future__ import annotations

from pathlib import Path

import statemachine.testing
from tests.docs.documents import run_tests, suites
from tests.support import ROOT

PAGE = "docs/testing.md"


def test_a_test_that_fails_is_seen_to_fail(tmp_path: Path) -> None:
    story = suites(PAGE)[0].code
    assert run_tests(story.replace("pass_time(4.9)", "pass_time(5.1)"), tmp_path).returncode == 1


def test_the_page_names_the_parts_of_the_kit() -> None:
    text = (ROOT / PAGE).read_text()
    told = {"Performer", "Rule", "FakeDriver", "FakePerformer", "VirtualClock", "CONNECTION_RULES", "any_sequences"}
    assert told <= set(statemachine.testing.__all__)
    assert {name for name in told if name not in text} == set()
