"""The same thing in Python and in JavaScript, in one workflow: what code knows of n8n and has it do."""

from __future__ import annotations

from tests.n8n.workflows import EACH_ITEM, Code, Language, Loop, Twins

ORDERS = "return [{'json': {'order': n, 'of': 'ab'[n % 2]}} for n in range(3)]"
CUSTOMERS = "return [{'json': {'customer': name}} for name in 'abc']"

BY_NAME = Twins(
    "by-name",
    before=(Code(ORDERS), Code(CUSTOMERS)),
    python="""\
orders = _("by-name 0")
customers = _("by-name 1")
return [{"json": {
    "orders": [item["json"] for item in orders.all()],
    "first": customers.first()["json"],
    "last": customers.last()["json"],
    "item": orders.item["json"],
    "executed": [orders.isExecuted, _("by-name both").isExecuted],
    "mode": customers.params["mode"],
    "older": [_node["by-name 1"].json["customer"], _node["by-name 0"].runIndex, dict(_node["by-name 0"].binary)],
    "matching": [orders.itemMatching(1)["json"]["order"], orders.pairedItem(2)["json"]["order"]],
    "output": [len(orders.all(0)), len(orders.all(0, 0)), orders.last(0, -1)["json"]["order"]],
    "first of the webhook": _("webhook by-name").first()["json"]["body"],
}}]""",
    javascript="""\
const orders = $("by-name 0");
const customers = $("by-name 1");
return [{json: {
    orders: orders.all().map((item) => item.json),
    first: customers.first().json,
    last: customers.last().json,
    item: orders.item.json,
    executed: [orders.isExecuted, $("by-name both").isExecuted],
    mode: customers.params.mode,
    older: [$node["by-name 1"].json.customer, $node["by-name 0"].runIndex, {...$node["by-name 0"].binary}],
    matching: [orders.itemMatching(1).json.order, orders.pairedItem(2).json.order],
    output: [orders.all(0).length, orders.all(0, 0).length, orders.last(0, -1).json.order],
    "first of the webhook": $("webhook by-name").first().json.body,
}}]""",
)

DOTS = Twins(
    "dots",
    before=(Code("return [{'json': {'a': {'b': [{'c': 1}]}, 'items': 2}}]"),),
    python="""\
item = _input.first()
return [{"json": {
    "dots": item.json.a.b[0].c,
    "keys": item["json"]["a"]["b"][0]["c"],
    "items": item.json["items"],
    "node": _("dots 0").first().json.a.b[0].c,
}}]""",
    javascript="""\
const item = $input.first();
return [{json: {
    dots: item.json.a.b[0].c,
    keys: item.json.a.b[0].c,
    items: item.json.items,
    node: $("dots 0").first().json.a.b[0].c,
}}]""",
)

INPUT = Twins(
    "input",
    before=(Code(ORDERS),),
    python="""\
from n8n_runner_stubs import *  # for editors alone
return [{"json": {
    "all": [item["json"] for item in _input.all()],
    "first": _input.first()["json"],
    "last": _input.last()["json"],
    "item": _input.item["json"],
    "json": _json,
    "previous": [_prevNode.name, _prevNode.outputIndex, _prevNode.runIndex],
    "indexes": [_runIndex, _itemIndex],
    "mode": _parameter["mode"],
    "before": [_input.params["mode"], dict(_input.context)],
    "items": len(_items),
}}]""",
    javascript="""\
return [{json: {
    all: $input.all().map((item) => item.json),
    first: $input.first().json,
    last: $input.last().json,
    item: $input.item.json,
    json: $json,
    previous: [$prevNode.name, $prevNode.outputIndex, $prevNode.runIndex],
    indexes: [$runIndex, $itemIndex],
    mode: $parameter.mode,
    before: [$input.params.mode, {...$input.context}],
    items: items.length,
}}]""",
)

EACH = Twins(
    "pairs",
    before=(Code(ORDERS), Code("return [{'json': {'twice': i}, 'pairedItem': {'item': i}} for i in (2, 0, 1, 2)]")),
    mode=EACH_ITEM,
    python="""\
return {"json": {
    "json": _json,
    "item": _input.item["json"],
    "from": _("pairs 0").item["json"],
    "match": _("pairs 0").itemMatching(_itemIndex)["json"],
    "paired": _item["pairedItem"],
    "index": _itemIndex,
}}""",
    javascript="""\
return {json: {
    json: $json,
    item: $input.item.json,
    from: $("pairs 0").item.json,
    match: $("pairs 0").itemMatching($itemIndex).json,
    paired: item.pairedItem,
    index: $itemIndex,
}}""",
)

ABOUT = Twins(
    "about",
    python="""\
return [{"json": {
    "execution": [_execution.id, _execution.mode, _execution.resumeUrl, _execution.resumeFormUrl],
    "workflow": [_workflow.id, _workflow.name, _workflow.active],
    "variables": dict(_vars),
    "environment": _env["N8N_LISTEN_ADDRESS"],
    "zone": _now.strftime("%z"),
    "today": _today.isoformat(),
    "minute": _now.strftime("%Y-%m-%dT%H:%M"),
    "jmespath": _jmespath({"people": [{"age": 20}, {"age": 30}]}, "people[?age > `25`].age"),
}}]""",
    javascript="""\
return [{json: {
    execution: [$execution.id, $execution.mode, $execution.resumeUrl, $execution.resumeFormUrl],
    workflow: [$workflow.id, $workflow.name, $workflow.active],
    variables: {...$vars},
    environment: $env.N8N_LISTEN_ADDRESS,
    zone: $now.toFormat("ZZZ"),
    today: $today.toISO({suppressMilliseconds: true}),
    minute: $now.toFormat("yyyy-MM-dd'T'HH:mm"),
    jmespath: $jmespath({people: [{age: 20}, {age: 30}]}, "people[?age > `25`].age"),
}}]""",
)

STATIC = Twins(
    "static",
    python="""\
everywhere = _getWorkflowStaticData("global")
mine = _getWorkflowStaticData("node")
everywhere["python"] = everywhere.get("python", 0) + 1
mine.calls = mine.get("calls", 0) + 10
mine["nested"] = {"list": [*mine.get("nested", {}).get("list", []), _execution.id]}
return [{"json": {"everywhere": everywhere["python"], "mine": mine["calls"], "list": len(mine["nested"]["list"])}}]""",
    javascript="""\
const everywhere = $getWorkflowStaticData("global");
const mine = $getWorkflowStaticData("node");
everywhere.javascript = (everywhere.javascript ?? 0) + 1;
mine.calls = (mine.calls ?? 0) + 10;
mine.nested = {list: [...(mine.nested?.list ?? []), $execution.id]};
return [{json: {everywhere: everywhere.javascript, mine: mine.calls, list: mine.nested.list.length}}]""",
)

BINARY = Twins(
    "binary",
    python="""\
content = await _helpers.getBinaryDataBuffer(0, "file")
known = _helpers.assertBinaryData(0, "file")
prepared = _helpers.prepareBinaryData(content[::-1], "reversed-" + known["fileName"], "text/x-reversed")
replaced = _helpers.setBinaryDataBuffer(known, content + b"!")
text = _helpers.binaryToString(b"\\xe4", "latin1")
return [{
    "json": {"size": len(content), "type": _binary["file"]["mimeType"], "text": text},
    "binary": {"prepared": prepared, "replaced": replaced},
}]""",
    javascript="""\
const content = await this.helpers.getBinaryDataBuffer(0, "file");
const known = await this.helpers.assertBinaryData(0, "file");
const prepared = await this.helpers.prepareBinaryData(
    Buffer.from(content).reverse(), "reversed-" + known.fileName, "text/x-reversed");
const replaced = await this.helpers.setBinaryDataBuffer(known, Buffer.concat([content, Buffer.from("!")]));
const text = await this.helpers.binaryToString(Buffer.from([0xe4]), "latin1");
return [{
    json: {size: content.length, type: $input.first().binary.file.mimeType, text},
    binary: {prepared, replaced},
}]""",
    after=(
        Code(
            """\
const described = async (index, name) => {
    const {id, ...known} = $input.all()[index].binary[name];
    return {...known, content: (await this.helpers.getBinaryDataBuffer(index, name)).toString("base64")};
};
return await Promise.all($input.all().map(async (item, index) => ({json: {
    ...item.json,
    prepared: await described(index, "prepared"),
    replaced: await described(index, "replaced"),
}})));""",
            language=Language.JAVASCRIPT,
        ),
    ),
)

HTTP = Twins(
    "http",
    python="""\
outcomes = []
for options in _("webhook http").first()["json"]["body"]["requests"]:
    try:
        answer = _helpers.httpRequest(options)
        outcomes.append({"bytes": list(answer)} if isinstance(answer, bytes) else {"answer": answer})
    except Exception as error:
        outcomes.append({"error": str(error)})
return [{"json": {"outcomes": outcomes}}]""",
    javascript="""\
const outcomeOf = async (send, options) => {
    try {
        const answer = await send(options);
        return Buffer.isBuffer(answer) || answer?.type === "Buffer"
            ? {bytes: [...(answer.data ?? answer)]} : {answer};
    } catch (error) {
        return {error: error.message};
    }
};
const {requests, legacy} = $("webhook http").first().json.body;
return [{json: {
    outcomes: await Promise.all(requests.map((options) => outcomeOf(this.helpers.httpRequest, options))),
    legacy: await Promise.all(legacy.map((options) => outcomeOf(this.helpers.request, options))),
}}]""",
)

CUSTOM = Twins(
    "custom",
    python="""\
_execution.customData.set("python", "by Python")
_execution.customData.setAll({"more": "1", "and_more": "2"})
return [{"json": {"got": _execution.customData.get("python")}}]""",
    javascript="""\
$execution.customData.set("javascript", "by JavaScript");
return [{json: {got: $execution.customData.get("python")}}]""",
    after=(
        Code("return [{'json': dict(_execution.customData.getAll())}]"),
        Code(
            "return [{json: {python: $json, javascript: $execution.customData.getAll()}}]", language=Language.JAVASCRIPT
        ),
    ),
)

ERRORS = Twins(
    "errors",
    python="""\
def told(call):
    try:
        call()
    except Exception as error:
        return str(error)

return [{"json": {
    "no file": told(lambda: _helpers.assertBinaryData(0, "nope")),
    "no node": bool(told(lambda: _("nobody").first())),
    "no server": told(lambda: _helpers.httpRequest({"url": "http://127.0.0.1:1/"})),
    "bad query": bool(told(lambda: _jmespath({}, "["))),
}}]""",
    javascript="""\
const told = async (call) => {
    try {
        await call();
    } catch (error) {
        return error.message;
    }
};
return [{json: {
    "no file": await told(() => this.helpers.assertBinaryData(0, "nope")),
    "no node": Boolean(await told(() => $("nobody").first())),
    "no server": await told(() => this.helpers.httpRequest({url: "http://127.0.0.1:1/"})),
    "bad query": Boolean(await told(() => $jmespath({}, "["))),
}}]""",
)

LOOP = Loop(
    "loop-runs",
    before=(Code(ORDERS),),
    python="""\
loop = _("loop-runs loop")
return [{"json": {**_json, "python": {
    "runs": [_runIndex, _node["loop-runs loop"].runIndex],
    "context": [loop.context["currentRunIndex"], loop.context["noItemsLeft"]],
    "from": _("loop-runs 0").item["json"]["order"],
    "first run": loop.all(1, 0)[0]["json"]["order"],
    "last run": loop.all(1)[0]["json"]["order"],
    "this run": loop.first(1, _runIndex)["json"]["order"],
}}, "pairedItem": 0}]""",
    javascript="""\
const loop = $("loop-runs loop");
return [{json: {...$json, javascript: {
    runs: [$runIndex, $node["loop-runs loop"].runIndex],
    context: [loop.context.currentRunIndex, loop.context.noItemsLeft],
    from: $("loop-runs 0").item.json.order,
    "first run": loop.all(1, 0)[0].json.order,
    "last run": loop.all(1)[0].json.order,
    "this run": loop.first(1, $runIndex).json.order,
}}, pairedItem: 0}]""",
)

HELPER_FLOWS = (BY_NAME, DOTS, INPUT, EACH, ABOUT, STATIC, BINARY, HTTP, CUSTOM, ERRORS, LOOP)
