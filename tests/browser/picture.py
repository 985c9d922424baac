"""Takes the picture of the page that the documentation shows, of a real runner at work.

python -m tests.browser.picture
"""

from __future__ import annotations

import asyncio
import random

from runner import StatusServer, TaskRunner
from runner.broker import BrokerLimits, EmbeddedBroker
from tests.browser.browser import looking_at
from tests.support import AUTH_TOKEN, ROOT, code_settings, config_for

PICTURE = ROOT / "docs" / "pictures" / "inspect.png"
SECONDS = 75.0
NODES = ("Sum up invoices", "Clean addresses", "Detect language", "Join with CRM", "Score leads")
WORKFLOWS = ("Monthly billing", "Support triage", "CRM sync")


async def work(broker: EmbeddedBroker, chance: random.Random) -> None:
    """One task, most of them short."""
    seconds = chance.expovariate(4) if chance.random() < 0.95 else chance.uniform(5, 20)
    code = "return 1 / 0" if chance.random() < 0.05 else f"import time\ntime.sleep({seconds})\nreturn {{}}"
    names = {"nodeName": chance.choice(NODES), "workflowName": chance.choice(WORKFLOWS)}
    await broker.request(code_settings(code, **names)).end()


async def main() -> None:
    """Keep a runner busy for a while, and take the picture."""
    chance = random.Random(7)
    limits = BrokerLimits(attempts_per_second=100)
    async with EmbeddedBroker(AUTH_TOKEN, limits=limits) as broker:
        runner = TaskRunner(config_for(broker, max_concurrency=8, graceful_shutdown_timeout=0.1))
        async with (
            StatusServer(runner, port=0) as server,
            runner,
            looking_at(server.port, 1100, 980) as look,
            asyncio.TaskGroup() as group,
        ):
            until = asyncio.get_running_loop().time() + SECONDS
            while asyncio.get_running_loop().time() < until:
                group.create_task(work(broker, chance))
                await asyncio.sleep(chance.expovariate(6))
            await look.page.screenshot(path=PICTURE)
    print(PICTURE)


if __name__ == "__main__":
    asyncio.run(main())
