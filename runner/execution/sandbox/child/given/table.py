"""The names that code is given, as a table: the code is compiled, the documentation written and tested by it.

The examples are those of the documentation. They run in the execution that `docs/examples/execution.json` describes.
Runs in the child.
"""

from __future__ import annotations

from typing import Any, NamedTuple

EACH = "each item"
ALL = "all items"


class Use(NamedTuple):
    """What can be done with a name, or one thing of several."""

    python: str
    javascript: str
    """The same in JavaScript; nothing if there is none."""
    meaning: str
    example: str
    """Code that does it."""
    result: Any
    """What that code returns, as n8n gets it: the `json` of its first item."""
    mode: str = ALL
    """The mode of the example. In code for each item, it is about the first item."""


class Name(NamedTuple):
    """One name."""

    meaning: str
    uses: tuple[Use, ...]


def _of(item: str, javascript: str, meaning: str, result: Any, mode: str = ALL) -> Use:
    """A use whose example returns just what it gives."""
    return Use(item, javascript, meaning, f'return {{"value": {item}}}', {"value": result}, mode)


NAMES: dict[str, Name] = {
    "_input": Name(
        "What comes into the node.",
        (
            Use(
                "_input.all()",
                "$input.all()",
                "all items, a list",
                'return [{"json": {"sum": sum(item.json.total for item in _input.all())}}]',
                {"sum": 42},
            ),
            Use(
                "_input.first()",
                "$input.first()",
                "the first item",
                "return _input.first().json",
                {"order": 1, "total": 30},
            ),
            Use(
                "_input.last()",
                "$input.last()",
                "the last item",
                "return _input.last().json",
                {"order": 2, "total": 12},
            ),
            Use(
                "_input.item",
                "$input.item",
                "the item that the code runs for; the first one in code for all items",
                'return {"order": _input.item.json.order}',
                {"order": 1},
                EACH,
            ),
            _of("_input.params", "$input.params", "the settings of the node before", {"operation": "getAll"}),
            _of(
                "_input.context",
                "$input.context",
                "what the node before has noted, such as where a loop is",
                {"page": 3},
            ),
        ),
    ),
    "_items": Name(
        "All items, the list that `_input.all()` gives. In code for all items.",
        (_of("len(_items)", "items.length", "how many there are", 2),),
    ),
    "_item": Name(
        "The item that the code runs for. In code for each item.",
        (Use("_item.json", "item.json", "its data", 'return {"total": _item.json.total * 2}', {"total": 60}, EACH),),
    ),
    "_json": Name(
        "The data of the item that the code runs for; of the first one in code for all items.",
        (
            Use(
                "_json",
                "$json",
                "its data",
                'return {"total": _json.total, "same": _json["total"]}',
                {"total": 30, "same": 30},
                EACH,
            ),
        ),
    ),
    "_binary": Name(
        "The files of that item, by name, without their contents: `_helpers.getBinaryDataBuffer` reads these.",
        (_of("_binary.invoice.fileName", "$binary.invoice.fileName", "the name of a file", "a.txt", EACH),),
    ),
    "_": Name(
        "Another node, by its name. Only nodes that have run before this one have data.",
        (
            Use(
                '_("Customers").all()',
                '$("Customers").all()',
                "its items; `all(branch, run)` for another output or an earlier run than the last",
                'return [{"json": {"names": [item.json.name for item in _("Customers").all()]}}]',
                {"names": ["Ada", "Grace"]},
            ),
            _of(
                '_("Customers").first().json.name',
                '$("Customers").first().json.name',
                "its first item; takes the same",
                "Ada",
            ),
            _of(
                '_("Customers").last().json.name',
                '$("Customers").last().json.name',
                "its last item; takes the same",
                "Grace",
            ),
            Use(
                '_("Customers").item',
                '$("Customers").item',
                "the item of that node that the current one comes from",
                'return {"order": _json.order, "customer": _("Customers").item.json.name}',
                {"order": 1, "customer": "Grace"},
                EACH,
            ),
            Use(
                '_("Customers").itemMatching(1)',
                '$("Customers").itemMatching(1)',
                "the item of that node that the item of this index comes from; also called `pairedItem`",
                'names = [_("Customers").itemMatching(index).json.name for index in range(2)]\n'
                'return {"customers": names}',
                {"customers": ["Grace", "Ada"]},
            ),
            _of(
                '_("Customers").params',
                '$("Customers").params',
                "its settings; expressions as they are written",
                {"mode": "raw"},
            ),
            _of('_("Refunds").isExecuted', '$("Refunds").isExecuted', "whether it has run", False),
            _of('_("Orders").context', '$("Orders").context', "what it has noted", {"page": 3}),
        ),
    ),
    "_node": Name(
        "The nodes by name, with the item at the index of the current one. `_(…)` says more.",
        (
            _of('_node["Customers"].json.name', '$node["Customers"].json.name', "the data of that item", "Ada"),
            _of('_node["Customers"].binary', '$node["Customers"].binary', "its files", {}),
            _of(
                '_node["Customers"].parameter',
                '$node["Customers"].parameter',
                "the settings of the node",
                {"mode": "raw"},
            ),
            _of(
                '_node["Customers"].runIndex',
                '$node["Customers"].runIndex',
                "how often it has run, less one; -1 if never",
                0,
            ),
            _of('_node["Orders"].context', '$node["Orders"].context', "what it has noted", {"page": 3}),
        ),
    ),
    "_workflow": Name(
        "The workflow: `id`, `name`, `active`.",
        (_of("_workflow.name", "$workflow.name", "its name", "Invoices"),),
    ),
    "_execution": Name(
        "The execution.",
        (
            _of("_execution.id", "$execution.id", "its number, a text", "231"),
            _of(
                "_execution.mode",
                "$execution.mode",
                "`test` if it was started by hand in the editor, or else `production`",
                "production",
            ),
            _of(
                "_execution.resumeUrl",
                "$execution.resumeUrl",
                "where a Wait node is told to go on; `resumeFormUrl` for its form",
                "http://localhost:5678/webhook-waiting/231",
            ),
            Use(
                '_execution.customData.set("customer", "Ada")',
                '$execution.customData.set("customer", "Ada")',
                "keeps a text with the execution, by which it can be found; `setAll(dict)` for several, "
                "`get(key)` and `getAll()` to read them",
                '_execution.customData.set("customer", "Ada")\nreturn _execution.customData.getAll()',
                {"customer": "Ada"},
            ),
        ),
    ),
    "_prevNode": Name(
        "The node that the items come from: `name`, `outputIndex`, `runIndex`.",
        (_of("_prevNode.name", "$prevNode.name", "its name", "Orders"),),
    ),
    "_runIndex": Name(
        "How often this node has run before in this execution.", (_of("_runIndex", "$runIndex", "a number", 0),)
    ),
    "_itemIndex": Name(
        "The index of the item that the code runs for.",
        (_of("_itemIndex", "$itemIndex", "a number", 0, EACH),),
    ),
    "_parameter": Name(
        "The settings of this node. Expressions are as they are written: to work them out is n8n's.",
        (_of("_parameter.language", "$parameter.language", "one of them", "pythonNative"),),
    ),
    "_vars": Name("The variables of the n8n instance.", (_of("_vars.region", "$vars.region", "one of them", "eu"),)),
    "_env": Name(
        "The environment variables of n8n, not of the runner, where `N8N_BLOCK_ENV_ACCESS_IN_NODE=false` allows it.",
        (_of('_env["SHOP"]', "$env.SHOP", "one of them", "Books & Co"),),
    ),
    "_now": Name(
        "This moment, a `datetime` in the time zone of the workflow.",
        (_of("str(_now.tzinfo)", "$now.zoneName", "its time zone", "Europe/Berlin"),),
    ),
    "_today": Name(
        "Midnight of today, a `datetime` in the time zone of the workflow.",
        (_of("_today.hour", "$today.hour", "its hour", 0),),
    ),
    "_jmespath": Name(
        "Searches data with [JMESPath](https://jmespath.org).",
        (
            Use(
                "_jmespath(data, query)",
                "$jmespath(data, query)",
                "what the query finds",
                'return {"large": _jmespath(_input.all(), "[?json.total > `20`].json.order")}',
                {"large": [1]},
            ),
        ),
    ),
    "_getWorkflowStaticData": Name(
        "Data that stays with the workflow from one execution to the next. A changed dict is saved when the code has "
        "ended; n8n does not save what was started by hand in the editor.",
        (
            Use(
                '_getWorkflowStaticData("global")',
                '$getWorkflowStaticData("global")',
                'the dict of the whole workflow; `"node"` for that of this node alone',
                'data = _getWorkflowStaticData("global")\n'
                'data["runs"] = data.get("runs", 0) + 1\n'
                'return {"runs": data["runs"]}',
                {"runs": 8},
            ),
        ),
    ),
    "_helpers": Name(
        "What n8n does on behalf of the code. Each call waits for its answer; `await` may stand before it, and need "
        "not. What n8n refuses raises an error with its message.",
        (
            Use(
                "_helpers.httpRequest({...})",
                "this.helpers.httpRequest({...})",
                "an HTTP request with n8n's options, also as keywords: `url`, `method`, `headers`, `qs`, `body`, "
                '`json`, `returnFullResponse`, `encoding`, …; `encoding="arraybuffer"` gives bytes',
                'answer = _helpers.httpRequest(url="http://shop.example/rates", json=True)\n'
                'return {"rate": answer.rate}',
                {"rate": 1.25},
            ),
            Use(
                '_helpers.getBinaryDataBuffer(0, "invoice")',
                'this.helpers.getBinaryDataBuffer(0, "invoice")',
                "the contents of a file of an item, as bytes",
                'content = _helpers.getBinaryDataBuffer(0, "invoice")\nreturn {"text": content.decode()}',
                {"text": "Total: 30"},
            ),
            Use(
                '_helpers.prepareBinaryData(content, "b.txt", "text/plain")',
                'this.helpers.prepareBinaryData(content, "b.txt", "text/plain")',
                "makes a file of bytes, for the `binary` of an item",
                'file = await _helpers.prepareBinaryData(b"Total: 42", "b.txt", "text/plain")\n'
                'return [{"json": {"size": file.fileSize}, "binary": {"data": file}}]',
                {"size": "9 B"},
            ),
            Use(
                "_helpers.setBinaryDataBuffer(file, content)",
                "this.helpers.setBinaryDataBuffer(file, content)",
                "puts other contents into a file",
                'file = _binary["invoice"]\nfile = _helpers.setBinaryDataBuffer(file, b"Total: 31")\n'
                'return [{"json": {"name": file.fileName}, "binary": {"invoice": file}}]',
                {"name": "a.txt"},
            ),
            Use(
                "_helpers.binaryToString(content)",
                "this.helpers.binaryToString(content)",
                "bytes as text, in an encoding that may be named (`utf-8`)",
                'return {"text": _helpers.binaryToString(b"Gr\\xfc\\xdfe", "latin1")}',
                {"text": "Grüße"},
            ),
            Use(
                '_helpers.assertBinaryData(0, "invoice")',
                'this.helpers.assertBinaryData(0, "invoice")',
                "what is known of a file of an item; an error if it has none",
                'return {"type": _helpers.assertBinaryData(0, "invoice").mimeType}',
                {"type": "text/plain"},
            ),
        ),
    ),
}
"""The names, in the order of the documentation. `_items`, `_item` and `_query` come with the settings of the task."""

ITEMS = frozenset({"_items", "_item", "_query"})
"""What is there without being asked for, in the modes that have it."""

STUBS = "n8n_runner_stubs"
"""The module that tells editors of these names. `from n8n_runner_stubs import *` does nothing else: it is taken out."""
