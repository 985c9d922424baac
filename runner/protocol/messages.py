"""Every message between a task broker and a task runner, as a class each; n8n 2.41 is the reference.

The two tables at the end, `FROM_BROKER` and `FROM_RUNNER`, are the protocol: the codec, the embedded broker, the
documentation and the tests are made from them. A field `task_id` is `taskId` on the wire. A field of the type
`msgspec.Raw` is JSON that nobody here looks into: it is passed on as the bytes it is.
"""

from __future__ import annotations

from typing import Any, Final

import attrs
from msgspec import Raw

NULL: Final = Raw(b"null")

# What a broker says


@attrs.frozen
class InfoRequest:
    """The broker's first words: it asks who we are."""


@attrs.frozen
class RunnerRegistered:
    """The broker knows the runner now and takes its offers."""


@attrs.frozen
class TaskOfferAccept:
    """A request was matched with an offer; the runner has two seconds to answer."""

    task_id: str
    offer_id: str


@attrs.frozen
class TaskSettings:
    """What the task is: everything that its executor needs."""

    task_id: str
    settings: Raw


@attrs.frozen
class TaskCancel:
    """The broker has given the task up; nobody waits for its result."""

    task_id: str
    reason: str


@attrs.frozen
class RpcResponse:
    """The answer to a `runner:rpc`."""

    call_id: str
    task_id: str
    status: str
    data: Raw = NULL


@attrs.frozen
class TaskDataResponse:
    """The answer to a `runner:taskdatarequest`."""

    task_id: str
    request_id: str
    data: Raw = NULL


@attrs.frozen
class NodeTypes:
    """The answer to a `runner:nodetypesrequest`."""

    task_id: str
    request_id: str
    node_types: Raw = NULL


@attrs.frozen
class Drain:
    """n8n is about to stop: it takes nothing new, and has what runs, and what waits for an offer, finished before."""


# What a runner says


@attrs.frozen
class Info:
    """The runner's name and the task types that it serves."""

    name: str
    types: list[str]


@attrs.frozen
class TaskOffer:
    """A free slot, offered for `valid_for` milliseconds (whole ones: n8n breaks on a fraction)."""

    offer_id: str
    task_type: str
    valid_for: int


@attrs.frozen
class TaskAccepted:
    """The runner takes the task and waits for its settings."""

    task_id: str


@attrs.frozen
class TaskRejected:
    """The runner does not take the task; the broker matches another offer at once."""

    task_id: str
    reason: str


@attrs.frozen
class TaskDeferred:
    """The request stays with the broker until the next offer: what n8n's launcher says."""

    task_id: str


@attrs.frozen
class DoneData:
    """What a task has come to: its result, and what else it leaves behind, which may be nothing.

    Parameters:
        custom_data: what the code has noted about its execution, an object of texts.
        static_data: the workflow's static data as the code has left it, if it has changed it: the whole of it.
    """

    result: Raw
    custom_data: Raw = NULL
    static_data: Raw = NULL


@attrs.frozen
class TaskDone:
    """The task has a result. Said once."""

    task_id: str
    data: DoneData


@attrs.frozen
class TaskError:
    """The task has failed; `error` has at least a `message`. Said once."""

    task_id: str
    error: dict[str, Any]


@attrs.frozen
class Rpc:
    """A call of one of n8n's functions on behalf of a task."""

    call_id: str
    task_id: str
    name: str
    params: Raw


@attrs.frozen
class TaskDataRequest:
    """A question for the data of a task's execution."""

    task_id: str
    request_id: str
    request_params: Raw


@attrs.frozen
class NodeTypesRequest:
    """A question for descriptions of nodes."""

    task_id: str
    request_id: str
    request_params: Raw


BrokerMessage = (
    InfoRequest
    | RunnerRegistered
    | TaskOfferAccept
    | TaskSettings
    | TaskCancel
    | RpcResponse
    | TaskDataResponse
    | NodeTypes
    | Drain
)

RunnerMessage = (
    Info
    | TaskOffer
    | TaskAccepted
    | TaskRejected
    | TaskDeferred
    | TaskDone
    | TaskError
    | Rpc
    | TaskDataRequest
    | NodeTypesRequest
)

FROM_BROKER: Final[dict[str, type[BrokerMessage]]] = {
    "broker:inforequest": InfoRequest,
    "broker:runnerregistered": RunnerRegistered,
    "broker:taskofferaccept": TaskOfferAccept,
    "broker:tasksettings": TaskSettings,
    "broker:taskcancel": TaskCancel,
    "broker:rpcresponse": RpcResponse,
    "broker:taskdataresponse": TaskDataResponse,
    "broker:nodetypes": NodeTypes,
    "broker:drain": Drain,
}

FROM_RUNNER: Final[dict[str, type[RunnerMessage]]] = {
    "runner:info": Info,
    "runner:taskoffer": TaskOffer,
    "runner:taskaccepted": TaskAccepted,
    "runner:taskrejected": TaskRejected,
    "runner:taskdeferred": TaskDeferred,
    "runner:taskdone": TaskDone,
    "runner:taskerror": TaskError,
    "runner:rpc": Rpc,
    "runner:taskdatarequest": TaskDataRequest,
    "runner:nodetypesrequest": NodeTypesRequest,
}


class RejectReason:
    """Why a runner does not take a task: texts that n8n and its users know."""

    OFFER_EXPIRED: Final = "Offer expired - not accepted within validity window"
    NO_SLOTS: Final = "No open task slots - runner already at capacity"
    SHUTTING_DOWN: Final = "Runner is shutting down"
    DUPLICATE: Final = "Task is already in flight on this runner"


ACKNOWLEDGEMENT_WINDOW_ELAPSED: Final = "Acknowledgement window elapsed"
"""The reason of a `broker:taskcancel` after which the broker has thrown away all offers of the runner."""

LOG_NODE_OUTPUT: Final = "logNodeOutput"
"""The function that shows what code prints."""

FUNCTIONS: Final = (
    LOG_NODE_OUTPUT,
    "helpers.assertBinaryData",
    "helpers.getBinaryDataBuffer",
    "helpers.prepareBinaryData",
    "helpers.setBinaryDataBuffer",
    "helpers.binaryToString",
    "helpers.httpRequest",
    "helpers.request",
)
"""The functions that a task may call; any other is answered with `METHOD_NOT_ALLOWED`."""

METHOD_NOT_ALLOWED: Final = "Method not allowed"
