"""What code is given leads no further than the rules of n8n allow: each way in is refused, and is one without them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from textwrap import dedent

import pytest
import pytest_asyncio

from runner.broker import EmbeddedBroker
from tests.given import Runs, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

INSIDES = {
    "the line to the runner": "_helpers._asking._line",
    "a method's object": "_helpers.httpRequest.__self__",
    "a method's function": "_input.all.__func__",
    "the namespace of a module": "_getWorkflowStaticData.__globals__",
    "a closure": "_getWorkflowStaticData.__closure__",
    "the execution behind the input": "_input._execution",
    "the execution behind a node": '_("Customers")._execution',
    "the execution behind all nodes": "_node._execution",
    "the execution behind custom data": "_execution.customData._execution",
    "an attribute by name": 'getattr(_helpers, "_ask" + "ing")',
    "an attribute by a format": '"{0._asking._line}".format(_helpers)',
    "an attribute by an operator": 'operator.attrgetter("_asking._line")(_helpers)',
    "a method by an operator": 'operator.methodcaller("_call", "assertBinaryData", 0, "invoice")(_helpers)',
    "a slot of a class": "type(_helpers)._asking.__get__(_helpers)",
    "a private method of a class": "type(_helpers)._call",
    "the namespace of a class": "type(_helpers).__dict__",
    "the code of a class's method": "type(_json).__getattr__.__code__",
    "the function of a property": "type(_input).item.fget.__globals__",
    "the class of a class": "type(_input).__class__",
    "the bases of a record": "type(_json).__mro__",
    "the module of a class": "type(_helpers).__module__",
    "a search": "_jmespath.__closure__[0]",
    "the state of a record": "_json.__reduce_ex__(2)",
}
"""What lies behind the objects, and an expression that gets there."""

STATEMENTS = {
    "a class of one's own": """
        class Mine(type(_helpers)):
            def inside(self): return self._asking
        mine = Mine(1)
        return {"v": str(mine.inside())}
        """,
    "a pattern": """
        match _helpers:
            case object(_asking=found): return {"v": str(found)}
        """,
    "the traceback of an error": """
        try:
            _helpers.getBinaryDataBuffer(0, "no")
        except Exception as error:
            return {"v": str(error.__traceback__.tb_next.tb_frame.f_globals)[:100]}
        """,
    "a setter": """
        setattr(_helpers, "_asking", 1)
        return {"v": "set"}
        """,
    "a change for everybody": """
        type(_json).__getattr__ = lambda *_: 1
        return {"v": "set"}
        """,
    "a class that says that it is one of ours": """
        global __name__
        __name__ = "runner.execution.sandbox.child.given.records"
        import contextlib
        class Record(contextlib.suppress): pass
        return {"v": str(Record(ValueError)._exceptions)}
        """,
    "a copy": """
        import copy
        return {"v": str(copy.copy(_helpers)._asking)}
        """,
}

CODES = {name: f"import operator\nreturn {{'v': str({expression})}}" for name, expression in INSIDES.items()} | {
    name: dedent(code) for name, code in STATEMENTS.items()
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ruled() -> AsyncIterator[Runs]:
    """With the rules of n8n, and no builtin denied."""
    async with (
        EmbeddedBroker("auth-token-of-the-tests") as broker,
        running(broker, stdlib_allow={"operator", "copy", "contextlib"}, builtins_deny=()) as runs,
    ):
        yield runs


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def free() -> AsyncIterator[Runs]:
    """Without these rules."""
    async with (
        EmbeddedBroker("auth-token-of-the-tests") as broker,
        running(broker, stdlib_allow={"*"}, builtins_deny=(), language="full") as runs,
    ):
        yield runs


@pytest.mark.parametrize("name", CODES)
async def test_the_rules_of_n8n_keep_code_from_what_lies_behind(ruled: Runs, name: str) -> None:
    assert (await ruled.error(CODES[name]))["message"].startswith("Security violation")


@pytest.mark.needs("landlock")
@pytest.mark.parametrize("name", CODES)
async def test_without_them_there_would_be_a_way(free: Runs, name: str) -> None:
    assert (await free.json(CODES[name]))["v"]


async def test_what_is_harmless_is_left_alone(ruled: Runs) -> None:
    code = """
    import copy
    class Order(type(_json)): pass
    order = Order(total=2)
    item = copy.deepcopy(_input.first())
    item.json._id = "x"
    names = [getattr(item.json, "total"), hasattr(item.json, "nothing"), order.total, item.json._id]
    match item.json:
        case {"order": number}: names.append(number)
    names.append(_workflow.name.format())
    return {"v": names}
    """
    assert await ruled.json(dedent(code)) == {"v": [30, False, 2, "x", 1, "Invoices"]}
