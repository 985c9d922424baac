"""What code is given beside its items, through broker, runner and pool: first of all, each example of the docs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from runner.broker import EmbeddedBroker
from runner.execution.sandbox.child.given import table
from tests.given import ALL, EACH, Runs, running

MODES = {table.ALL: ALL, table.EACH: EACH}
EXAMPLES = [(name, use) for name, row in table.NAMES.items() for use in row.uses]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runs() -> AsyncIterator[Runs]:
    async with EmbeddedBroker("auth-token-of-the-tests") as broker, running(broker) as runs:
        yield runs
        assert broker.violations == []


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("name", "use"), EXAMPLES, ids=[use.python for _, use in EXAMPLES])
async def test_each_example_of_the_documentation_returns_what_it_says(runs: Runs, name: str, use: table.Use) -> None:
    assert await runs.json(use.example, MODES[use.mode]) == use.result
