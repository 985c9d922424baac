"""The pages of the API: each public name is on the page of its package, once."""

from __future__ import annotations

import importlib
import re
from collections import Counter

import pytest

import runner
from tests.docs.blocks import text_of

PACKAGES = {"runner": "runner", "broker": "runner.broker", "local": "runner.broker.local"} | {
    "statemachine": "statemachine",
    "testing": "statemachine.testing",
}


def test_every_name_of_a_runner_is_in_a_section() -> None:
    named = re.findall(r"^\.\. auto(?:class|exception|function):: (\w+)$", text_of("docs/api/runner.md"), re.MULTILINE)
    assert Counter(named) == Counter(runner.__all__)


@pytest.mark.parametrize(("page", "package"), PACKAGES.items())
def test_every_package_has_a_page(page: str, package: str) -> None:
    assert f".. automodule:: {package}\n" in text_of(f"docs/api/{page}.md")
    assert f"[`{package}`](api/{page}.md)" in text_of("docs/api.md")
    assert importlib.import_module(package).__all__
