"""What Python code knows of n8n and has it do, beside the same thing in JavaScript, in the same execution."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.http_cases import REQUESTS, Request, served
from tests.n8n.helper_flows import ABOUT, BINARY, BY_NAME, CUSTOM, DOTS, EACH, ERRORS, HTTP, INPUT, LOOP, STATIC
from tests.n8n.process import Started
from tests.n8n.server import RealN8n
from tests.n8n.workflows import TIMEZONE, WORKFLOW_ID, Twins

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("javascript")]


async def both(n8n: RealN8n, flow: Twins, body: Any = None) -> tuple[list[Any], list[Any]]:
    """The items of Python and those of JavaScript."""
    items = await n8n.items(flow.path, body or {})
    half = len(items) // 2
    print(f"\n{flow.path}: {str(items[:half])[:400]}")
    return items[:half], items[half:]


async def test_two_earlier_nodes_are_read_by_name(n8n: RealN8n, runner: Started) -> None:
    python, javascript = await both(n8n, BY_NAME, {"said": "hello"})
    assert python == javascript
    assert [order["order"] for order in python[0]["orders"]] == [0, 1, 2]
    assert python[0]["first of the webhook"] == {"said": "hello"}


@pytest.mark.parametrize("flow", [DOTS, INPUT, EACH], ids=lambda flow: flow.path)
async def test_items_are_read_as_in_javascript(n8n: RealN8n, runner: Started, flow: Twins) -> None:
    python, javascript = await both(n8n, flow)
    assert python == javascript


async def test_each_item_knows_which_one_it_came_from(n8n: RealN8n, runner: Started) -> None:
    python, _ = await both(n8n, EACH)
    assert [item["from"]["order"] for item in python] == [2, 0, 1, 2]


async def test_in_a_loop_each_run_knows_which_it_is(n8n: RealN8n, runner: Started) -> None:
    items = await n8n.items(LOOP.path, {})
    print(f"\n{str(items)[:400]}")
    assert [item["python"] for item in items] == [item["javascript"] for item in items]
    assert [item["python"]["runs"][0] for item in items] == [0, 1, 2]
    assert [item["python"]["from"] for item in items] == [0, 1, 2]


async def test_execution_workflow_variables_environment_and_time(n8n: RealN8n, runner: Started) -> None:
    python, javascript = await both(n8n, ABOUT)
    if python[0]["minute"] != javascript[0]["minute"]:
        python, javascript = await both(n8n, ABOUT)  # a minute has passed between the two
    assert python == javascript
    assert python[0]["workflow"][0] == WORKFLOW_ID
    assert (TIMEZONE, python[0]["zone"]) == ("Asia/Tokyo", "+0900")


async def test_static_data_survives_to_the_next_execution(n8n: RealN8n, runner: Started) -> None:
    first, javascript = await both(n8n, STATIC)
    assert first == javascript
    second, javascript = await both(n8n, STATIC)
    assert second == javascript
    assert second[0]["everywhere"] == first[0]["everywhere"] + 1
    assert second[0]["mine"] == first[0]["mine"] + 10
    assert second[0]["list"] == first[0]["list"] + 1


async def test_a_file_goes_in_and_changed_ones_come_out(n8n: RealN8n, runner: Started) -> None:
    content = bytes(range(256))
    python, javascript = await n8n.upload(BINARY.path, "all.bin", content)
    print(f"\n{str(python)[:400]}")
    assert python == javascript
    assert python["size"] == 256
    assert base64.b64decode(python["prepared"]["content"]) == content[::-1]
    assert python["prepared"]["fileName"] == "reversed-all.bin"
    assert base64.b64decode(python["replaced"]["content"]) == content + b"!"


async def test_http_requests_reach_a_local_server(n8n: RealN8n, runner: Started) -> None:
    """The older `request` is for JavaScript alone; here it says whether what is known of it is so."""
    modern = [request for request in REQUESTS if not request.legacy]
    legacy = [request for request in REQUESTS if request.legacy]
    async with served() as server:
        body = {
            "requests": [request.against(server) for request in modern],
            "legacy": [request.against(server) for request in legacy],
        }
        ((python,), (javascript,)) = await both(n8n, HTTP, body)
    assert python["outcomes"] == javascript["outcomes"]
    outcomes = [*python["outcomes"], *javascript["legacy"]]
    assert [
        (request, outcome)
        for request, outcome in zip([*modern, *legacy], outcomes, strict=True)
        if not _is_as_expected(request, outcome)
    ] == []


def _is_as_expected(request: Request, outcome: Any) -> bool:
    if request.error is not None:
        return str(outcome.get("error")).startswith(request.error)
    if isinstance(request.answer, bytes):
        return bytes(outcome.get("bytes", ())) == request.answer
    return request.is_answered_by(outcome.get("answer"))


async def test_custom_data_is_seen_by_the_nodes_behind(n8n: RealN8n, runner: Started) -> None:
    (seen,) = await n8n.items(CUSTOM.path, {})
    everything = {"python": "by Python", "more": "1", "and_more": "2", "javascript": "by JavaScript"}
    assert seen == {"python": everything, "javascript": everything}


async def test_errors_of_n8n_are_raised_in_the_code(n8n: RealN8n, runner: Started) -> None:
    ((python,), (javascript,)) = await both(n8n, ERRORS)
    assert python == javascript
    assert "to contain a binary file 'nope'" in python["no file"]
    assert "ECONNREFUSED" in python["no server"]
