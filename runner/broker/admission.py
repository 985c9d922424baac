"""Who may connect: grant tokens that are good once and for a short time, and how many attempts a second."""

from __future__ import annotations

import hmac
import random
from collections import deque

from runner.clock import Clock


class GrantTokens:
    """Issues grant tokens to those who know the auth token, and takes each of them once."""

    def __init__(self, auth_token: str, lifetime: float, clock: Clock, entropy: random.Random | None = None) -> None:
        """An issuer. `lifetime` is how long a token is good for, in seconds; `entropy` is what it is made from."""
        self._entropy = entropy or random.SystemRandom()
        self._auth_token = auth_token
        self._lifetime = lifetime
        self._clock = clock
        self._expiry: dict[str, float] = {}

    def knows(self, auth_token: str) -> bool:
        """Whether this is the auth token."""
        return hmac.compare_digest(auth_token.encode("utf-8", "replace"), self._auth_token.encode())

    def issue(self) -> str:
        """A fresh grant token."""
        now = self._clock.now()
        self._expiry = {token: expiry for token, expiry in self._expiry.items() if expiry > now}
        token = self._entropy.randbytes(32).hex()
        self._expiry[token] = now + self._lifetime
        return token

    def take(self, token: str) -> bool:
        """Use a token up. Returns whether it was good."""
        return self._expiry.pop(token, 0.0) > self._clock.now()


class RateLimit:
    """So many a second, counted over the second that has just passed."""

    def __init__(self, per_second: int, clock: Clock) -> None:
        """A limit that nothing has used yet."""
        self._per_second = per_second
        self._clock = clock
        self._admitted: deque[float] = deque()

    def admits(self) -> bool:
        """Whether one more is within the limit; if so, it counts."""
        now = self._clock.now()
        while self._admitted and self._admitted[0] <= now - 1.0:
            self._admitted.popleft()
        if len(self._admitted) >= self._per_second:
            return False
        self._admitted.append(now)
        return True
