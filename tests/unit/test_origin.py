"""Where a task comes from: the same for small settings and for large ones, of which nothing but the end is read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from runner.protocol.codec import LARGE
from runner.tasks.origin import Origin

LARGE_ITEMS = [{"json": {"n": n, "text": '],"nodeId":"'}} for n in range(5000)]
ENDS: dict[str, Any] = {"nodeId": "a2", "nodeName": "Code", "workflowId": "w1", "workflowName": "A workflow"}
HERE = Origin(node_name="Code", node_id="a2", workflow_name="A workflow", workflow_id="w1")
LOOKS_LIKE_THE_END = {"items": [1], **dict.fromkeys(ENDS, "fake")}


def written(members: dict[str, Any], ascii_only: bool = False) -> Raw:
    """Settings with these members, as n8n writes them."""
    return Raw(json.dumps(members, separators=(",", ":"), ensure_ascii=ascii_only).encode())


def large(members: dict[str, Any]) -> Raw:
    """Settings with these members that are large."""
    document = written(members)
    assert len(memoryview(document)) > LARGE
    return document


def of_code_node(items: list[Any], **more: Any) -> dict[str, Any]:
    """The settings of a Code node."""
    return {"code": "return _items", "continueOnFail": False, "items": items, **ENDS, **more}


def test_an_origin_is_shown_by_its_names_and_ids() -> None:
    assert str(HERE) == 'node "Code" (a2) in workflow "A workflow" (w1)'
    assert str(Origin()) == 'node "unknown" (unknown) in workflow "unknown" (unknown)'


@pytest.mark.parametrize("items", [[], [{"json": {}}], LARGE_ITEMS], ids=["none", "small", "large"])
def test_the_settings_of_a_code_node_tell_their_origin(items: list[Any]) -> None:
    assert Origin.of(written(of_code_node(items))) == HERE


@pytest.mark.parametrize("beyond", [-1, 0, 1, 2])
def test_the_origin_is_the_same_on_both_sides_of_the_size_that_is_large(beyond: int) -> None:
    size = len(memoryview(written(of_code_node(["x"]))))
    document = written(of_code_node(["x" * (LARGE + beyond - size + 1)]))
    assert len(memoryview(document)) == LARGE + beyond
    assert Origin.of(document) == HERE


def test_large_code_is_no_hindrance() -> None:
    assert Origin.of(large({**of_code_node([]), "code": '# ],"nodeId":"fake"}\n' * LARGE})) == HERE


@settings(deadline=None)
@given(st.text(), st.text(), st.booleans())
@example('a "quoted" \\ name\\', '\\"],"nodeId":"x"}', False)
@example("Grüße 😀", '"', True)
def test_names_may_hold_anything(node: str, workflow: str, ascii_only: bool) -> None:
    node, workflow = (name.encode("utf-8", "replace").decode() for name in (node, workflow))
    names = {"nodeName": node, "workflowName": workflow}
    for items in ([], LARGE_ITEMS):
        origin = Origin.of(written(of_code_node(items, **names), ascii_only))
        assert (origin.node_name, origin.workflow_name) == (node, workflow)


@pytest.mark.parametrize("items", [[], LARGE_ITEMS], ids=["small", "large"])
def test_a_lone_surrogate_in_a_name_becomes_a_question_mark(items: list[Any]) -> None:
    document = written(of_code_node(items, nodeName="Code \ud83d", workflowName="😀\ude00"), ascii_only=True)
    origin = Origin.of(document)
    assert (origin.node_name, origin.workflow_name) == ("Code ?", "😀?")


@pytest.mark.parametrize("query", ['],"nodeId":"fake"', LOOKS_LIKE_THE_END, [LOOKS_LIKE_THE_END], {"a": [1], **ENDS}])
def test_a_query_that_looks_like_the_end_is_not_taken_for_it(query: Any) -> None:
    before = {"query": query, **of_code_node(LARGE_ITEMS)}
    assert Origin.of(large(before)) == HERE
    behind = of_code_node(LARGE_ITEMS, query=query)
    assert Origin.of(large(behind)) in {HERE, Origin()}


def test_more_settings_behind_the_origin_are_no_hindrance() -> None:
    assert Origin.of(large(of_code_node(LARGE_ITEMS, query={"a": ["b"], "c": {"d": []}}))) == HERE


@pytest.mark.parametrize(
    "members",
    [
        {**ENDS, "items": LARGE_ITEMS},
        {"items": LARGE_ITEMS, "code": "", **ENDS},
        {"items": {"large": LARGE_ITEMS}, **ENDS},
        {"items": LARGE_ITEMS, **dict(reversed(ENDS.items()))},
        of_code_node(LARGE_ITEMS, query="x" * LARGE),
        {"items": LARGE_ITEMS},
        of_code_node(LARGE_ITEMS, nodeName=5),
        of_code_node(LARGE_ITEMS, workflowId=None),
    ],
    ids=["before", "code between", "no list", "reversed", "far from the end", "none", "number", "null"],
)
def test_large_settings_that_end_in_another_way_have_an_unknown_origin(members: dict[str, Any]) -> None:
    assert Origin.of(large(members)) == Origin()


@pytest.mark.parametrize(
    "document", [b"{}", b"null", b"[]", b'"x"', b"", b"{", b'{"nodeName":5}', b'{"nodeName":"\xff"}']
)
def test_what_is_no_settings_of_a_code_node_has_an_unknown_origin(document: bytes) -> None:
    assert Origin.of(Raw(document)) == Origin()
    assert Origin.of(Raw(document + b" " * LARGE)) == Origin()
    assert Origin.of(Raw(b" " * LARGE + document)) == Origin()


def test_of_large_settings_nothing_but_the_end_is_read() -> None:
    end = json.dumps(ENDS, separators=(",", ":")).encode()[1:]
    assert Origin.of(Raw(b"no JSON \xff " * LARGE + b"]," + end)) == HERE
    assert Origin.of(Raw(b"no JSON \xff " * LARGE + b"]," + end + b"}")) == Origin()
    assert Origin.of(Raw(b"no JSON \xff " * LARGE + b"]," + end[:-1])) == Origin()
