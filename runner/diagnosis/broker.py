"""The task broker: each of its addresses, its clock, and whether it takes us. No runner is registered by this."""

from __future__ import annotations

import secrets

from runner.clock import SystemClock
from runner.connection.failures import ConnectionLost, Refused, Unreachable
from runner.connection.probe import Attempt, ask, try_addresses
from runner.connection.transport import Socket
from runner.connection.websocket import WebSocketTransport
from runner.diagnosis.finding import Finding, Situation, ok, problem, warning
from runner.diagnosis.settings import has_credential, usable_config

MOST_APART = 5.0
"""How far apart two clocks may be, in seconds. The broker tells its time in whole ones."""

FIRST_WORDS = b"broker:inforequest"
"""What a broker says first on an open WebSocket."""

NOT_THERE = (
    "Start n8n with N8N_RUNNERS_MODE=external. In another container or on another machine, n8n has to listen for "
    "runners with N8N_RUNNERS_BROKER_LISTEN_ADDRESS=0.0.0.0, and N8N_RUNNERS_TASK_BROKER_URI has to name it here"
)


async def addresses(situation: Situation) -> list[Finding]:
    """Connect to each address that the name of the broker has."""
    config = usable_config(situation)
    try:
        attempts = await try_addresses(config.task_broker_uri)
    except OSError as error:
        return [problem(f"{config.task_broker_uri}: the name cannot be resolved: {error.strerror or error}", NOT_THERE)]
    reached = [attempt for attempt in attempts if not attempt.error]
    return [_address(attempt, any_reached=bool(reached)) for attempt in attempts]


def _address(attempt: Attempt, *, any_reached: bool) -> Finding:
    if not attempt.error:
        return ok(f"{attempt.address} answers")
    text = f"{attempt.address}: {attempt.error}"
    if any_reached:
        return warning(text, "Another address of the same name answers: name that one in N8N_RUNNERS_TASK_BROKER_URI")
    return problem(text, NOT_THERE)


async def clock(situation: Situation) -> list[Finding]:
    """Compare the time that the broker's answers bear with that of this machine."""
    try:
        answer = await ask(usable_config(situation).task_broker_uri)
    except Unreachable as error:
        return [warning(f"it cannot be compared: {error}", "See what is said about the broker")]
    if answer.date is None:
        return [ok("the broker does not tell its time")]
    apart = answer.date - SystemClock().wall()
    if abs(apart) <= MOST_APART:
        return [ok("they agree")]
    which = "ahead of" if apart > 0 else "behind"
    return [
        warning(
            f"the broker's clock is {abs(apart):.0f} s {which} this machine's",
            "Let both keep time by NTP: code reads this machine's clock, and n8n stamps what happens with its own",
        )
    ]


async def token(situation: Situation) -> list[Finding]:
    """Open a WebSocket as a runner does, hear the broker's first words, and leave without having registered."""
    config = usable_config(situation)
    if not has_credential(config):
        return [problem("there is none to be tried", "See what is said about the credential")]
    if not config.auth_token:
        return [ok("N8N_RUNNERS_GRANT_TOKEN is not tried: it would be spent")]
    try:
        socket = await WebSocketTransport(config).open(f"doctor-{secrets.token_hex(8)}")
    except Refused as error:
        return [
            problem(
                f"the broker refuses N8N_RUNNERS_AUTH_TOKEN: {error}",
                "Set it to exactly what n8n has: the same variable on n8n. A line break at the end counts there",
            )
        ]
    except Unreachable as error:
        return [problem(f"no connection came about: {error}", "See what is said about the broker")]
    try:
        words = await _first_words(socket)
    except ConnectionLost as error:
        return [problem(f"the WebSocket was closed at once: {error}", "Look into the log of n8n, or of the proxy")]
    finally:
        await socket.close()
    if FIRST_WORDS not in words:
        return [problem("what answers on the WebSocket is not a task broker", "Check N8N_RUNNERS_TASK_BROKER_URI")]
    return [ok("the broker takes it, and WebSockets come through")]


async def _first_words(socket: Socket) -> bytes:
    """The first text that comes. Raises ConnectionLost where none does."""
    while not isinstance(frame := await socket.receive(), bytes):
        pass  # a sign of life, or something that no broker sends
    return frame
