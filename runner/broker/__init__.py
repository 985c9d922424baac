"""A task broker, embedded: the broker's side of the protocol, for `run`, for tests, and for trying things out.

    from runner.broker import EmbeddedBroker

    async with EmbeddedBroker(auth_token="secret") as broker:
        ...                                 # let runners connect to broker.uri
        task = broker.request(settings)
        end = await task.end()

What the code of a task asks n8n for, such as other nodes' items, is answered by the `service` that comes with the
request: a `TaskService` of your own, or one of `runner.broker.local`, which needs no n8n.

It keeps the rules of n8n's own broker (2.41), and is strict about what runners send: every violation is kept in
`broker.violations`.
"""

from runner.broker.limits import BrokerLimits, Violation
from runner.broker.rules import TaskBroker
from runner.broker.server import EmbeddedBroker
from runner.broker.service import CallFailed, NodeTypeWanted, TaskService
from runner.broker.tasks import EndOfTask, RequestedTask, TaskEnd

__all__ = [
    "BrokerLimits",
    "CallFailed",
    "EmbeddedBroker",
    "EndOfTask",
    "NodeTypeWanted",
    "RequestedTask",
    "TaskBroker",
    "TaskEnd",
    "TaskService",
    "Violation",
]
