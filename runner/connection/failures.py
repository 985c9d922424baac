"""Why a connection could not be made: which answers are final, and what each one means for people.

The broker's statuses are n8n's: 429 and 503 are about the moment, 400 and 404 about the configuration, and 401 and
403 alone are about the credential.
"""

from __future__ import annotations

import ssl

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy

from runner.errors import TransportFailed

REFUSALS = frozenset({401, 403})
"""The statuses after which another attempt with the same credential is pointless."""

STATUS_MEANINGS = {
    400: "the broker did not like the request (is something else listening there, or is the runner id missing?)",
    401: "the broker did not find the credential in the request",
    403: "the token is wrong, has expired, or was used before",
    404: "no task broker answers at this path: check N8N_RUNNERS_TASK_BROKER_URI and N8N_RUNNERS_PATH",
    429: "too many runners connect at the same time",
    503: "the broker is starting or stopping",
}
"""What an HTTP status of a broker means."""


class Refused(TransportFailed):
    """The broker refused the credential, with this HTTP status."""

    def __init__(self, status: int, why: str) -> None:
        """A refusal, and `why` for people."""
        self.status = status
        super().__init__(why)


class Unreachable(TransportFailed):
    """No connection came about, for a reason that may pass. `status` is the HTTP status of the answer, if one came."""

    def __init__(self, why: str, status: int | None = None) -> None:
        """A failure, and `why` for people."""
        self.status = status
        super().__init__(why)


class ConnectionLost(TransportFailed):
    """An open connection is gone. `code` is the WebSocket's close code, 1006 where there was none."""

    def __init__(self, why: str, code: int = 1006) -> None:
        """The end of a connection, and `why` for people."""
        self.code = code
        super().__init__(why)


def explain_status(status: int) -> str:
    """An HTTP status in words."""
    return f"HTTP {status}: {STATUS_MEANINGS.get(status, 'unexpected')}"


def failure_of(error: Exception) -> Refused | Unreachable:
    """What an error of the HTTP client comes to; the error, without secrets, is its cause."""
    failure: Refused | Unreachable
    if isinstance(error, aiohttp.ClientResponseError):
        error = without_secrets(error)
        if error.status in REFUSALS:
            failure = Refused(error.status, STATUS_MEANINGS[error.status])
        else:
            failure = Unreachable(explain_status(error.status), error.status)
    elif isinstance(error, TimeoutError):
        failure = Unreachable("no answer in time")
    elif isinstance(error, ssl.SSLError | aiohttp.ClientSSLError):
        failure = Unreachable(f"TLS: {error}")
    else:
        failure = Unreachable(str(error) or type(error).__name__)
    failure.__cause__ = error
    return failure


def without_secrets(error: aiohttp.ClientResponseError) -> aiohttp.ClientResponseError:
    """The same error without the request's headers and without the frames it came through: both hold the token."""
    scrubbed = error.request_info._replace(headers=CIMultiDictProxy(CIMultiDict()))
    return type(error)(scrubbed, (), status=error.status, message=error.message)
