"""What code is given beside its items, through broker, runner and pool: first of all, each example of the docs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from copy import deepcopy
from json import loads
from textwrap import dedent
from typing import Any

import pytest
import pytest_asyncio

from runner.broker import EmbeddedBroker
from runner.execution.sandbox.child.given import table
from tests.given import ALL, EACH, EXECUTION, Runs, Shop, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODES = {table.ALL: ALL, table.EACH: EACH}
EXAMPLES = [(name, use) for name, row in table.NAMES.items() for use in row.uses]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runs() -> AsyncIterator[Runs]:
    async with EmbeddedBroker("auth-token-of-the-tests") as broker, running(broker) as runs:
        yield runs
        assert broker.violations == []


@pytest.mark.parametrize(("name", "use"), EXAMPLES, ids=[use.python for _, use in EXAMPLES])
async def test_each_example_of_the_documentation_returns_what_it_says(runs: Runs, name: str, use: table.Use) -> None:
    assert await runs.json(use.example, MODES[use.mode]) == use.result


async def test_code_that_names_none_of_it_asks_for_nothing(runs: Runs) -> None:
    shop = Shop()
    assert await runs.json('return {"n": len(_items)}', shop=shop) == {"n": 2}
    code = "for _ in range(2): pass\n_now = 1\n_workflow: int = 2\ndef _vars(_env): return _env\nimport json as _node\n"
    assert await runs.json(code + 'return {"v": [_, _now, _workflow, _vars(3)]}', shop=shop) == {"v": [1, 1, 2, 3]}
    assert (shop.data_requests, shop.calls) == (0, [])


@pytest.mark.parametrize("mode", [ALL, EACH])
async def test_the_items_themselves_and_their_index_need_no_data(runs: Runs, mode: str) -> None:
    shop = Shop()
    code = """
    first = _input.all()[0].json.order
    return {"v": [first, _input.item["json"].order, _json["order"], _itemIndex, len(_binary)]}
    """
    values = [item["json"]["v"] for item in await runs.result(dedent(code), mode, shop)]
    assert values == ([[1, 1, 1, 0, 1]] if mode == ALL else [[1, 1, 1, 0, 1], [1, 2, 2, 1, 1]])
    assert shop.data_requests == 0


async def test_data_is_asked_for_once_and_only_that_of_the_nodes_that_are_named(runs: Runs) -> None:
    shop = Shop()
    code = """
    names = [_("Customers").first().json.name, _("Customers").last().json.name, _workflow.name, _vars.region]
    return {"v": names, "orders": _("Orders").isExecuted}
    """
    assert await runs.json(dedent(code), shop=shop) == {"v": ["Ada", "Grace", "Invoices", "eu"], "orders": True}
    assert shop.data_requests == 1


async def test_a_name_of_a_node_that_shows_only_as_it_runs_works(runs: Runs) -> None:
    assert await runs.json('name = "Custo" + "mers"\nreturn {"v": len(_(name).all())}') == {"v": 2}


async def test_each_item_finds_its_own(runs: Runs) -> None:
    code = """
    return {
        "order": _item.json.order, "same": _input.item is _item and _json is _item.json, "index": _itemIndex,
        "customer": _("Customers").item.json.name, "also": _("Customers").pairedItem().json.name,
        "node": _node["Customers"].json.name, "file": _binary.invoice.fileName,
    }
    """
    items = await runs.result(dedent(code), EACH)
    shared = {"same": True}
    assert [item["json"] for item in items] == [
        {"order": 1, "index": 0, "customer": "Grace", "also": "Grace", "node": "Ada", "file": "a.txt", **shared},
        {"order": 2, "index": 1, "customer": "Ada", "also": "Ada", "node": "Grace", "file": "b.txt", **shared},
    ]


async def test_data_is_dicts_and_lists_that_are_read_and_changed_in_either_way(runs: Runs) -> None:
    code = """
    import json
    item = _input.first()
    item.json.total += 1
    item["json"]["new"] = {"a": [1, {"b": 2}]}
    item.json["keys"] = "k"
    del item.json.order
    checks = [isinstance(item, dict), isinstance(item.json, dict), isinstance(_items, list)]
    checks += [json.loads(json.dumps(item.json)) == item.json, dict(item.json) == item.json]
    return [{"json": {"checks": checks, "left": item.json, "customer": _("Customers").all()[1].json.city}}]
    """
    left = {"total": 31, "new": {"a": [1, {"b": 2}]}, "keys": "k"}
    assert await runs.json(dedent(code)) == {"checks": [True] * 5, "left": left, "customer": "New York"}


async def test_what_is_not_there_says_what_is(runs: Runs) -> None:
    error = await runs.error("return {'v': _json.totl}")
    assert error["message"] == "there is no 'totl' here, but order, total"
    assert error["lineNumber"] == 1


async def test_names_that_begin_with_an_underscore_are_keys_like_others(runs: Runs) -> None:
    items = [{"json": {"_id": "x1"}}]
    assert await runs.json('_json._rev = 2\nreturn {"v": [_json._id, _json._rev]}', items=items) == {"v": ["x1", 2]}


# Other nodes


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ('_("Nobody").all()', "Referenced node doesn't exist"),
        ('_node["Nobody"].json', "Referenced node doesn't exist"),
        ('_("Refunds").all()', "Node 'Refunds' hasn't been executed"),
        ('_("Refunds").item', "No path back to referenced node"),
        ('_("Code").item', "No path back to referenced node"),
        ('_("Customers").all(3)', 'Node "Customers" has no branch with index 3.'),
        ('_("Customers").all(0, 2)', 'Run 2 of node "Customers" not found'),
        ('_("Customers").itemMatching(7)', "Can't get data"),
        ('_("Start").itemMatching(0).nothing', "there is no 'nothing' here, but json"),
        ('_getWorkflowStaticData("other")', "Unknown context type. Only `global` and `node` are supported."),
        (
            '_execution.customData.set("a b", 1)',
            'Custom data key can only contain letters, numbers, and underscores (key "a b")',
        ),
        ('_execution.customData.set("a", None)', 'Custom data values must be a string (key "a")'),
        ('_helpers.getBinaryDataBuffer(0, "nothing")', "This shop does not do that"),
    ],
)
async def test_what_cannot_be_had_is_an_error_in_n8ns_words(runs: Runs, code: str, message: str) -> None:
    assert (await runs.error(f"x = {code}"))["message"] == message


async def test_errors_of_n8n_can_be_caught_and_say_more_in_their_description(runs: Runs) -> None:
    error = await runs.error('_helpers.httpRequest(url="http://elsewhere")')
    assert error["message"] == "This shop does not do that"
    assert error["description"].startswith("It is only an example.")
    code = 'try:\n    _helpers.assertBinaryData(0, "no")\nexcept Exception as error:\n    return {"v": str(error)}'
    assert await runs.json(code) == {"v": "This shop does not do that"}


async def test_a_node_that_continues_on_failure_has_the_error_in_its_item(runs: Runs) -> None:
    code = 'return {"v": _("Customers").itemMatching(_itemIndex * 7).json.name}'
    items = await runs.result(code, EACH, continueOnFail=True)
    assert [item["json"] for item in items] == [{"v": "Grace"}, {"error": "Can't get data"}]


async def test_pinned_data_counts_in_manual_executions_alone(runs: Runs) -> None:
    pinned = deepcopy(EXECUTION["workflow"]) | {"pinData": {"Refunds": [{"json": {"pinned": 1}}]}}
    code = 'return {"v": _("Refunds").first().json.pinned, "mode": _execution.mode}'
    assert await runs.json(code, shop=Shop(workflow=pinned, mode="manual")) == {"v": 1, "mode": "test"}
    assert (await runs.error(code, shop=Shop(workflow=pinned)))["message"] == "Node 'Refunds' hasn't been executed"


async def test_environment_variables_that_are_denied_are_an_error(runs: Runs) -> None:
    denied = {"isProcessAvailable": True, "isEnvAccessBlocked": True, "env": {}}
    for code in ('_env["HOME"]', "_env.HOME"):
        error = await runs.error(f"return {{'v': {code}}}", shop=Shop(envProviderState=denied))
        assert error["message"] == "access to env vars denied"


async def test_the_time_is_that_of_the_workflow_or_else_of_the_runner(runs: Runs) -> None:
    code = "return {'v': [str(_now.tzinfo), _now.utcoffset() is not None, _today <= _now, _today.isoformat()[11:16]]}"
    assert await runs.json(code) == {"v": ["Europe/Berlin", True, True, "00:00"]}
    for zone in ("DEFAULT", "No/Where"):
        workflow = EXECUTION["workflow"] | {"settings": {"timezone": zone}}
        assert (await runs.json(code, shop=Shop(workflow=workflow)))["v"][1:] == [True, True, "00:00"]


# What is left with n8n


async def left_by(runs: Runs, code: str, **more: Any) -> tuple[Any, Any]:
    """The custom data and the static data that code leaves behind."""
    end = await runs.end(code, **more)
    assert end.error is None
    return tuple(None if raw is None else loads(bytes(raw)) for raw in (end.custom_data, end.static_data))  # type: ignore[return-value]


async def test_static_data_is_left_as_a_whole_if_it_was_changed(runs: Runs) -> None:
    change = (
        'data = _getWorkflowStaticData("global")\ndata.runs += 1\n_getWorkflowStaticData("node").seen = [1]\nreturn []'
    )
    assert await left_by(runs, change) == (None, {"global": {"runs": 8}, "node:Code": {"seen": [1]}})
    for code in ('_getWorkflowStaticData("node")', '_getWorkflowStaticData("global").runs', "_workflow"):
        assert await left_by(runs, f"x = {code}\nreturn []") == (None, None)
    cleared = '_getWorkflowStaticData("global").clear()\nreturn []'
    assert await left_by(runs, cleared) == (None, {"global": {}})
    failing = '_getWorkflowStaticData("global").runs = 1\nraise ValueError("no")'
    assert await left_by(runs, failing, continueOnFail=True) == (None, {"global": {"runs": 1}})


async def test_static_data_that_cannot_be_sent_fails_the_task(runs: Runs) -> None:
    error = await runs.error('data = _getWorkflowStaticData("global")\ndata["self"] = data\nreturn []')
    assert error["message"] == "The static data cannot be sent to n8n: The result contains itself"


async def test_custom_data_is_left_within_the_bounds_of_n8n(runs: Runs) -> None:
    code = """
    custom = _execution.customData
    custom.setAll({"a": 1, "b": 2.5, "äöü_": "x" * 1000})
    for number in range(20): custom.set(f"more{number}", "y")
    return {"v": [custom.get("a"), custom.get("nothing"), len(custom.getAll())]}
    """
    custom, static = await left_by(runs, dedent(code))
    assert (custom["a"], custom["b"], custom["äöü_"], len(custom), static) == ("1", "2.5", "x" * 512, 10, None)


# The functions of n8n


async def test_await_is_optional_and_works_in_plain_code_and_in_functions(runs: Runs) -> None:
    code = """
    import asyncio
    async def rate():
        return (await _helpers.httpRequest(url="http://shop.example/rates")).rate
    plain = _helpers.httpRequest({"url": "http://shop.example/rates"}).rate
    awaited = (await _helpers.httpRequest({"url": "http://shop.example/rates"})).rate
    both = await asyncio.gather(rate(), rate())
    await asyncio.sleep(0)
    return {"v": [plain, awaited, await rate(), both]}
    """
    shop = Shop()
    async with EmbeddedBroker("auth-token-of-the-tests") as broker, running(broker, stdlib_allow={"asyncio"}) as own:
        assert await own.json(dedent(code), shop=shop) == {"v": [1.25, 1.25, 1.25, [1.25, 1.25]]}
    assert len(shop.calls) == 5
    assert await runs.json('x = await _helpers.binaryToString(b"a")\nreturn {"v": x}') == {"v": "a"}


async def test_questions_from_several_threads_find_their_own_answers() -> None:
    code = """
    from concurrent.futures import ThreadPoolExecutor
    def ask(number): return _helpers.httpRequest(url="u", body=f"body {number}").echo
    with ThreadPoolExecutor(20) as pool:
        return {"v": list(pool.map(ask, range(200)))}
    """
    async with (
        EmbeddedBroker("auth-token-of-the-tests") as broker,
        running(broker, stdlib_allow={"concurrent"}) as own,
    ):
        assert await own.json(dedent(code)) == {"v": [f"body {number}" for number in range(200)]}


async def test_bytes_go_there_and_come_back(runs: Runs) -> None:
    shop = Shop()
    code = """
    content = _helpers.httpRequest(url="http://shop.example/file", encoding="arraybuffer")
    full = _helpers.httpRequest(url="http://shop.example/full", returnFullResponse=True)
    big = _helpers.prepareBinaryData(bytes(300_000), "big")
    text = _helpers.prepareBinaryData("Grüße")
    view = _helpers.prepareBinaryData(bytearray(b"abc"))
    sent = _helpers.httpRequest(url="u", body=b"text")
    sizes = [file.fileSize for file in (big, text, view)]
    return {"v": [content == bytes(range(256)), full.body == bytes([1, 2]), sent.echo, *sizes]}
    """
    assert await runs.json(dedent(code), shop=shop) == {"v": [True, True, "text", "300000 B", "7 B", "3 B"]}
    assert [arguments[0] for name, arguments in shop.calls if name.endswith("prepareBinaryData")][2] == b"abc"
    error = await runs.error('_helpers.httpRequest(url="u", body=b"\\xff")')
    assert error["message"] == "n8n takes no bytes but UTF-8 text as the body of a request from code"
    assert "bytes or text, not int" in (await runs.error("_helpers.prepareBinaryData(5)"))["message"]


async def test_a_large_file_goes_there_and_comes_back_in_parts(runs: Runs) -> None:
    code = """
    content = bytes(range(256)) * 20_000
    back = _helpers.httpRequest(url="u", body={"file": [1] * 500_000, "text": "é" * 500_000}).echo
    return {"v": [_helpers.prepareBinaryData(content).fileSize, len(back.file), len(back.text)]}
    """
    assert await runs.json(dedent(code)) == {"v": ["5120000 B", 500_000, 500_000]}


async def test_what_cannot_be_sent_is_an_error_and_the_next_question_works(runs: Runs) -> None:
    code = """
    loop = []
    loop.append(loop)
    deep = []
    for _ in range(2000): deep = [deep]
    said = []
    for body in (loop, deep, ["x" * 200_000, deep]):
        try:
            _helpers.httpRequest(url="u", body=body)
        except ValueError as error:
            said.append(str(error))
    return {"said": said, "rate": _helpers.httpRequest(url="http://shop.example/rates").rate}
    """
    start = "What httpRequest was given cannot be sent to n8n: The result"
    assert await runs.json(dedent(code)) == {
        "said": [f"{start} contains itself", f"{start} is nested too deeply", f"{start} is nested too deeply"],
        "rate": 1.25,
    }


async def test_jmespath_is_there_where_libraries_may_not_import_what_they_need() -> None:
    async with (
        EmbeddedBroker("auth-token-of-the-tests") as broker,
        running(broker, allow_transitive_imports=False, stdlib_allow=()) as own,
    ):
        assert await own.json('return {"v": _jmespath({"a": [1, 2]}, "a[1]")}') == {"v": 2}


async def test_a_tool_has_them_too(runs: Runs) -> None:
    end = await runs.end("return _workflow.name + _query", items=[], query="?")
    assert end.result is not None
    assert loads(bytes(end.result)) == "Invoices?"


async def test_what_was_found_in_code_is_kept_with_it(runs: Runs) -> None:
    """The second time, the code comes compiled; its items are records from the start."""
    code = """
    text = await _helpers.binaryToString(b"x")
    return {"v": [_("Customers").first().json.name, _input.last().json.order, text]}
    """
    for _ in range(2):
        shop = Shop()
        assert await runs.json(dedent(code), shop=shop) == {"v": ["Ada", 2, "x"]}
        assert shop.data_requests == 1
