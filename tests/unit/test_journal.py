"""The journal: what it keeps, what it forgets, and what it counts for ever."""

from __future__ import annotations

import json

import attrs
import pytest

from statemachine import ConnectionEvent, ConnectionState, ConnectionStep, Entry, Journal, Outcome
from statemachine.journal import DEFAULT_LIMIT

S, E = ConnectionState, ConnectionEvent


def taken(event: ConnectionEvent, before: ConnectionState, after: ConnectionState) -> ConnectionStep:
    return ConnectionStep(event, before, after, Outcome.TAKEN)


def refused_by_table(event: ConnectionEvent, state: ConnectionState, outcome: Outcome) -> ConnectionStep:
    return ConnectionStep(event, state, state, outcome)


CONNECTED = taken(E.CONNECT, S.DISCONNECTED, S.CONNECTING)
UNREACHABLE = taken(E.UNREACHABLE, S.CONNECTING, S.BACKOFF)
RETRIED = taken(E.RETRY, S.BACKOFF, S.CONNECTING)
LATE = refused_by_table(E.LOST, S.CONNECTING, Outcome.STALE)
USELESS = refused_by_table(E.CLOSED, S.CONNECTING, Outcome.IGNORED)


def journal_of(*steps: ConnectionStep, limit: int = DEFAULT_LIMIT) -> Journal:
    journal = Journal(lambda: 0.0, limit)
    for step in steps:
        journal.record(step)
    return journal


def test_an_entry_says_all_that_the_step_said_and_when() -> None:
    times = iter([12.5, 13.0])
    journal = Journal(lambda: next(times))
    step = ConnectionStep(E.LOST, S.LISTENING, S.BACKOFF, Outcome.TAKEN, "no pong")
    entry = journal.record(step, 7)
    assert entry == Entry(12.5, "lost", "listening", "backoff", "no pong", Outcome.TAKEN, 7)
    assert journal.record(step).time == 13.0
    assert journal.entries[0] == entry


def test_a_journal_starts_empty() -> None:
    journal = journal_of()
    assert (journal.entries, journal.counts, journal.path()) == ((), {}, ())


def test_the_oldest_entries_go_first() -> None:
    journal = journal_of(CONNECTED, UNREACHABLE, RETRIED, limit=2)
    assert [entry.event for entry in journal.entries] == ["unreachable", "retry"]


def test_a_journal_is_bounded_unless_told_otherwise() -> None:
    journal = journal_of(*[LATE] * (DEFAULT_LIMIT + 1))
    assert len(journal.entries) == DEFAULT_LIMIT


def test_the_counts_outlive_the_entries() -> None:
    journal = journal_of(CONNECTED, LATE, LATE, USELESS, UNREACHABLE, limit=1)
    assert journal.counts == {Outcome.TAKEN: 2, Outcome.STALE: 2, Outcome.IGNORED: 1}


def test_whoever_reads_the_counts_cannot_change_them() -> None:
    journal = journal_of(CONNECTED)
    dict.clear(journal.counts)  # type: ignore[arg-type]
    assert journal.counts == {Outcome.TAKEN: 1}


def test_entries_that_were_read_do_not_change_later() -> None:
    journal = journal_of(CONNECTED)
    entries = journal.entries
    journal.record(UNREACHABLE)
    assert len(entries) == 1


def test_an_entry_cannot_be_changed() -> None:
    (entry,) = journal_of(CONNECTED).entries
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        entry.why = "another reason"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("step", "ignored"), [(CONNECTED, False), (USELESS, True), (LATE, True)], ids=["taken", "ignored", "stale"]
)
def test_what_changed_nothing_counts_as_ignored(step: ConnectionStep, ignored: bool) -> None:
    (entry,) = journal_of(step).entries
    assert entry.ignored is ignored


def test_an_entry_goes_into_json_as_it_is() -> None:
    journal = Journal(lambda: 1.5)
    journal.record(ConnectionStep(E.LOST, S.CONNECTING, S.CONNECTING, Outcome.STALE, "late"), 3)
    assert json.loads(json.dumps(journal.entries[0].as_dict())) == {
        "time": 1.5,
        "event": "lost",
        "source": "connecting",
        "target": "connecting",
        "why": "late",
        "outcome": "stale",
        "number": 3,
        "ignored": True,
    }


def test_the_path_is_the_states_gone_through() -> None:
    assert journal_of(CONNECTED, UNREACHABLE, RETRIED).path() == ("disconnected", "connecting", "backoff", "connecting")


def test_what_moved_nothing_is_not_on_the_path() -> None:
    killed = taken(E.LOST, S.SHUTTING_DOWN, S.SHUTTING_DOWN)
    shutdown = taken(E.SHUTDOWN, S.CONNECTING, S.SHUTTING_DOWN)
    journal = journal_of(USELESS, CONNECTED, LATE, shutdown, killed)
    assert journal.path() == ("disconnected", "connecting", "shutting_down")


def test_the_path_begins_with_the_oldest_entry_that_is_kept() -> None:
    assert journal_of(CONNECTED, UNREACHABLE, RETRIED, limit=1).path() == ("backoff", "connecting")


def test_a_journal_of_nothing_but_ignored_events_has_no_path() -> None:
    assert journal_of(USELESS, LATE).path() == ()
