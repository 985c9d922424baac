"""Where a task broker is reached: the two addresses that a runner needs, from the one that people configure."""

from __future__ import annotations

import attrs
from yarl import URL


@attrs.frozen
class BrokerAddress:
    """The addresses of a task broker."""

    auth_url: URL
    socket_url: URL

    @classmethod
    def of(cls, uri: str, path: str) -> BrokerAddress:
        """The addresses below a checked broker URI.

        Parameters:
            uri: what N8N_RUNNERS_TASK_BROKER_URI says; a path in it is kept, as a proxy may need it.
            path: what N8N_RUNNERS_PATH says, without a slash at its end.
        """
        base = URL(uri)
        secure = base.scheme in {"https", "wss"}
        below = base.raw_path.rstrip("/") + URL.build(path=path).raw_path.rstrip("/")
        return cls(
            auth_url=base.with_scheme("https" if secure else "http").with_path(f"{below}/auth", encoded=True),
            socket_url=base.with_scheme("wss" if secure else "ws").with_path(f"{below}/_ws", encoded=True),
        )

    def socket_url_for(self, runner_id: str) -> URL:
        """The address of the WebSocket for a runner with this id."""
        return self.socket_url.with_query(id=runner_id)
