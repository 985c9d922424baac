"""What serves tasks without an n8n: an execution that is made up, binary data in files and memory, HTTP direct.

Used with the embedded broker:

    from runner.broker.local import Execution, LocalNode, LocalService

    orders = LocalNode("Orders", ({"json": {"id": 7}},))
    async with LocalService(Execution(before=(orders,))) as service:
        task = broker.request(settings, service=service)
"""

from runner.broker.local.binaries import Binaries
from runner.broker.local.execution import Execution, LocalNode
from runner.broker.local.http_client import DirectHttp, Http, NoHttp
from runner.broker.local.local_service import LocalService

__all__ = ["Binaries", "DirectHttp", "Execution", "Http", "LocalNode", "LocalService", "NoHttp"]
