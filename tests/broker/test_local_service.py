"""The service that needs no n8n, asked word by word: HTTP as n8n answers it, files, and a made-up execution."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from runner.broker.buffers import SLICE
from runner.broker.local import Binaries, DirectHttp, Execution, Http, LocalNode, LocalService, NoHttp
from runner.broker.service import CallFailed
from tests.broker.by_hand import SETTINGS, HandMadeRunner, connected, listening
from tests.http_cases import REQUESTS, Request, served

Json = dict[str, Any]


class Asking:
    """A task of a runner, which asks."""

    def __init__(self, runner: HandMadeRunner, task_id: str) -> None:
        self._runner = runner
        self._task_id = task_id

    async def answer(self, name: str, *params: Any) -> Json:
        """The answer to a call: its status, and its data."""
        written = [_written(param) for param in params]
        await self._runner.say("runner:rpc", callId="c", taskId=self._task_id, name=f"helpers.{name}", params=written)
        return await self._runner.hear()

    async def call(self, name: str, *params: Any) -> Any:
        """What a call returns, which has to go well."""
        answer = await self.answer(name, *params)
        assert answer["status"] == "success", answer
        return _read(answer["data"])

    async def error(self, name: str, *params: Any) -> str:
        """The message of a call that fails."""
        answer = await self.answer(name, *params)
        assert answer["status"] == "error", answer
        return str(answer["data"]["message"])


def _written(value: Any) -> Any:
    return {"type": "Buffer", "data": list(value)} if isinstance(value, bytes) else value


def _read(value: Any) -> Any:
    return bytes(value["data"]) if isinstance(value, dict) and value.get("type") == "Buffer" else value


@asynccontextmanager
async def served_locally(
    execution: Execution | None = None, binaries: Binaries | None = None, http: Http | None = None
) -> AsyncIterator[Asking]:
    """A running task with a local service."""
    async with (
        listening() as broker,
        connected(broker) as runner,
        LocalService(execution, binaries, http) as service,
    ):
        broker.request(SETTINGS, service=service)
        yield Asking(runner, await runner.take("a"))


# HTTP


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request.name)
async def test_http_is_answered_as_n8n_answers_it(request_: Request) -> None:
    async with served() as server, served_locally() as task:
        name = "request" if request_.legacy else "httpRequest"
        if request_.error is not None:
            assert (await task.error(name, request_.against(server))).startswith(request_.error)
        else:
            answer = await task.call(name, request_.against(server))
            assert request_.is_answered_by(answer), answer


async def test_the_full_response_has_status_and_headers() -> None:
    options = {"returnFullResponse": True, "ignoreHttpStatusErrors": True}
    async with served() as server, served_locally() as task:
        answer = await task.call("httpRequest", {**options, "url": f"{server}/teapot"})
        assert (answer["body"], answer["statusCode"]) == ({"why": "teapot"}, 418)
        assert answer["statusMessage"].lower() == "i'm a teapot"
        assert answer["headers"]["x-kind"] == "tea"
        assert answer["headers"]["content-type"].startswith("application/json")


async def test_a_request_knows_nothing_of_those_before() -> None:
    async with served() as server, served_locally() as task:
        named = server.replace("127.0.0.1", "localhost")  # of a bare address nobody keeps cookies
        assert await task.call("httpRequest", {"url": f"{named}/cookie"}) == "eaten"
        assert "Cookie" not in (await task.call("httpRequest", {"url": f"{named}/echo"}))["headers"]


async def test_an_error_says_which_status_it_was() -> None:
    async with served() as server, served_locally() as task:
        answer = await task.answer("httpRequest", {"url": f"{server}/teapot"})
        assert (answer["data"]["status"], answer["data"]["code"]) == (418, "ERR_BAD_REQUEST")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, "missing required field `url`"),
        ("text", "Expected `object`"),
        ({"url": 7}, "Expected `str`"),
        ({"url": "nonsense"}, "'nonsense' is not an http:// or https:// address"),
        ({"url": "file:///etc/passwd"}, "is not an http:// or https:// address"),
        ({"url": "http://127.0.0.1:1/"}, "GET http://127.0.0.1:1/: Cannot connect"),
        ({"url": "http://"}, "GET http://"),
        ({"url": "http://127.0.0.1:1/", "encoding": "stream"}, "Invalid enum value 'stream'"),
        ({"url": "http://127.0.0.1:1/", "proxy": {"host": "p", "port": 1}}, "`proxy` is not supported"),
        ({"url": "http://127.0.0.1:1/", "headers": {"a": "b\nc"}}, "GET http://127.0.0.1:1/"),
    ],
)
async def test_requests_that_cannot_be_sent_say_why(options: Any, complaint: str) -> None:
    async with served_locally() as task:
        assert complaint in await task.error("httpRequest", options)


async def test_a_request_that_takes_too_long_is_given_up() -> None:
    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        writer.close()

    held = asyncio.Event()
    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server, served_locally() as task:
        port = server.sockets[0].getsockname()[1]
        error = await task.error("httpRequest", {"url": f"http://127.0.0.1:{port}/", "timeout": 50})
        assert error == "timeout of 50ms exceeded"
        held.set()


async def test_a_response_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.broker.local.http_client.MAX_RESPONSE", 4)
    async with served() as server, served_locally() as task:
        assert "longer than 4 bytes" in await task.error("httpRequest", {"url": f"{server}/numbers"})


@pytest.mark.parametrize("name", ["httpRequest", "request"])
async def test_http_can_be_switched_off(name: str) -> None:
    async with served() as server, served_locally(http=NoHttp("Not here")) as task:
        assert await task.error(name, {"url": f"{server}/text"}) == "Not here"


async def test_a_client_that_was_never_used_has_nothing_to_close() -> None:
    await DirectHttp().close()


# Binary data


def execution_with(binary: Json) -> Execution:
    return Execution(before=(LocalNode("Input", ({"json": {}, "binary": binary}, {"json": {}})),))


async def test_a_file_is_binary_data(tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    file.write_bytes(b"\x00\xff" * 700)
    binaries = Binaries()
    attached = binaries.attach(file)
    assert attached == {
        "mimeType": "image/png",
        "fileType": "image",
        "fileExtension": "png",
        "fileName": "picture.png",
        "fileSize": "1.4 kB",
        "bytes": 1400,
        "data": "local",
        "id": "local:0",
    }
    async with served_locally(execution_with({"picture": attached}), binaries) as task:
        assert await task.call("assertBinaryData", 0, "picture") == attached
        assert await task.call("getBinaryDataBuffer", 0, "picture") == b"\x00\xff" * 700
        assert await task.call("getBinaryDataBuffer", 0, attached) == b"\x00\xff" * 700
        file.unlink()
        assert "picture.png cannot be read: No such file" in await task.error("getBinaryDataBuffer", 0, "picture")


async def test_binary_data_that_was_exported_from_n8n_is_in_the_item_itself() -> None:
    binary = {"data": base64.b64encode(b"hello").decode(), "mimeType": "text/plain"}
    bad = {"data": "***", "mimeType": "text/plain"}
    foreign = {"data": "filesystem-v2", "id": "filesystem-v2:workflows/1", "mimeType": "text/plain"}
    async with served_locally(execution_with({"good": binary, "bad": bad, "foreign": foreign})) as task:
        assert await task.call("getBinaryDataBuffer", 0, "good") == b"hello"
        assert "not base64" in await task.error("getBinaryDataBuffer", 0, "bad")
        assert "no binary data with the id 'filesystem-v2:" in await task.error("getBinaryDataBuffer", 0, "foreign")


@pytest.mark.parametrize(
    ("content", "more", "described"),
    [
        (b"hi", ["b.txt", "text/plain"], {"mimeType": "text/plain", "fileName": "b.txt", "fileExtension": "txt"}),
        (b"hi", [], {"mimeType": "text/plain", "fileType": "text"}),
        ("hi", [], {"mimeType": "text/plain", "bytes": 2, "fileSize": "2 B"}),
        (b"{}", ["c.json"], {"mimeType": "application/json", "fileType": "json", "fileExtension": "json"}),
        (b"", ["/x/y.csv"], {"mimeType": "text/csv", "directory": "/x", "fileName": "y.csv", "fileType": "text"}),
        (b"\x89PNG\r\n\x1a\n", [], {"mimeType": "image/png", "fileType": "image", "fileExtension": "png"}),
    ],
)
async def test_prepared_binary_data_is_described_as_n8n_does(
    content: bytes | str, more: list[str], described: Json
) -> None:
    async with served_locally() as task:
        prepared = await task.call("prepareBinaryData", content, *more)
        assert {key: prepared[key] for key in described} == described
        assert ("fileName" in prepared) == bool(more)
        expected = content.encode() if isinstance(content, str) else content
        assert await task.call("getBinaryDataBuffer", 0, prepared) == expected


async def test_a_new_content_has_a_new_id_and_leaves_the_old_one_as_it_was() -> None:
    async with served_locally() as task:
        old = await task.call("prepareBinaryData", b"old", "a.txt")
        new = await task.call("setBinaryDataBuffer", old, b"newer")
        assert new == {**old, "id": new["id"], "bytes": 5, "fileSize": "5 B"}
        assert await task.call("getBinaryDataBuffer", 0, old) == b"old"
        assert await task.call("getBinaryDataBuffer", 0, new) == b"newer"


@pytest.mark.parametrize("size", [0, 1, SLICE - 1, SLICE, SLICE + 1, 3 * SLICE])
async def test_contents_of_any_size_arrive_whole(tmp_path: Path, size: int) -> None:
    content = bytes(number % 251 for number in range(size))
    (tmp_path / "file").write_bytes(content)
    binaries = Binaries()
    async with served_locally(execution_with({"file": binaries.attach(tmp_path / "file")}), binaries) as task:
        assert await task.call("getBinaryDataBuffer", 0, "file") == content


@pytest.mark.parametrize(
    ("name", "params", "complaint"),
    [
        ("assertBinaryData", [1, "a"], "contain a binary file 'a', but none was found [item 1]"),
        ("assertBinaryData", [0, "nope"], "The item has no binary field 'nope' [item 0]"),
        ("assertBinaryData", [2, "a"], "There is no item 2: the node was given 2"),
        ("assertBinaryData", ["0", "a"], "There is no item '0'"),
        ("getBinaryDataBuffer", [0, "nope"], "The item has no binary field 'nope' [item 0]"),
        ("getBinaryDataBuffer", [0], "helpers.getBinaryDataBuffer: missing a required argument"),
        ("getBinaryDataBuffer", [0, ["a"]], "The item has no binary field ['a'] [item 0]"),
        ("prepareBinaryData", [], "helpers.prepareBinaryData: missing a required argument"),
        ("prepareBinaryData", [5], "helpers.prepareBinaryData: bytes or text are needed, not int"),
        ("prepareBinaryData", [b"", 5], "helpers.prepareBinaryData: the name of the file is not a text, but int"),
        ("setBinaryDataBuffer", ["a", b""], "the first argument is not binary data"),
        ("binaryToString", [b"\xe4", "nonsense"], "there is no encoding 'nonsense'"),
    ],
)
async def test_binary_functions_say_what_is_wrong(name: str, params: list[Any], complaint: str) -> None:
    async with served_locally(execution_with({"a": {"mimeType": "text/plain", "data": ""}})) as task:
        assert complaint in await task.error(name, *params)


@pytest.mark.parametrize(
    ("params", "text"), [([b"\xc3\xa4"], "ä"), ([b"\xe4", "latin1"], "ä"), ([b"a\xff"], "a\ufffd")]
)
async def test_bytes_become_text(params: list[Any], text: str) -> None:
    async with served_locally() as task:
        assert await task.call("binaryToString", *params) == text


# The execution


def test_the_nodes_of_an_execution_stand_in_a_row() -> None:
    data = Execution(
        before=(LocalNode("A", ({"json": {"a": 1}}, {"json": {"a": 2}})), LocalNode("B", ({"json": {}},))),
        node_name="C",
    ).data()
    assert [node["name"] for node in data["workflow"]["nodes"]] == ["A", "B", "C"]
    assert {name: where["main"][0][0]["node"] for name, where in data["workflow"]["connections"].items()} == {
        "A": "B",
        "B": "C",
    }
    runs = data["runExecutionData"]["resultData"]["runData"]
    assert [run["source"] for (run,) in runs.values()] == [
        [],
        [{"previousNode": "A", "previousNodeOutput": 0, "previousNodeRun": 0}],
    ]
    assert data["connectionInputSource"]["main"][0]["previousNode"] == "B"
    assert runs["B"][0]["data"]["main"] == [[{"json": {}}]]
    assert data["inputData"]["main"] == [[{"json": {}, "pairedItem": {"item": 0}}]]


@pytest.mark.parametrize(
    ("before", "items", "pairs"),
    [
        (1, [{"json": {}}, {"json": {}}], [{"item": 0}, {"item": 0}]),
        (2, [{"json": {}}, {"json": {}}], [{"item": 0}, {"item": 1}]),
        (2, [{"json": {}, "pairedItem": {"item": 1}}, {"json": {}}], [{"item": 1}, {"item": 1}]),
        (3, [{"json": {}}, {"json": {}}], [None, None]),
    ],
)
def test_items_are_paired_where_n8n_would(before: int, items: list[Json], pairs: list[Any]) -> None:
    execution = Execution(before=(LocalNode("A", [{"json": {}}] * before), LocalNode("B", items)))
    (run,) = execution.data()["runExecutionData"]["resultData"]["runData"]["B"]
    assert [item.get("pairedItem") for item in run["data"]["main"][0]] == pairs
    assert [item["pairedItem"] for item in execution.items] == [{"item": 0}, {"item": 1}], "as n8n hands them on"


def test_the_environment_is_blocked_unless_some_of_it_is_given() -> None:
    assert Execution().data()["envProviderState"] == {
        "env": {},
        "isEnvAccessBlocked": True,
        "isProcessAvailable": True,
    }
    given = Execution(environment={"A": "b"}).data()["envProviderState"]
    assert (given["env"], given["isEnvAccessBlocked"]) == ({"A": "b"}, False)


def test_an_execution_has_a_node_before_the_code() -> None:
    with pytest.raises(ValueError, match="before"):
        Execution(before=())


async def test_functions_fail_with_the_error_that_embedders_may_raise_too() -> None:
    with pytest.raises(CallFailed, match="There is no item 5"):
        await LocalService().call("helpers.assertBinaryData", [5, "a"])
