"""Diagrams: nothing of a table is missing in any form; the current state and a journal's path are marked on request."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from statemachine import (
    CONNECTION,
    FORMATS,
    TASK,
    ConnectionEvent,
    ConnectionMachine,
    ConnectionState,
    GraphvizMissing,
    Journal,
    Lifecycle,
    Table,
    TaskEvent,
    TaskMachine,
    TaskState,
    render,
    to_dot,
    to_json,
    to_mermaid,
    to_svg,
)

AnyTable = Table[Any, Any, Any]

TABLES = pytest.mark.parametrize("table", [CONNECTION, TASK], ids=lambda table: table.name)
SVG = "{http://www.w3.org/2000/svg}"


def arrows(table: AnyTable) -> set[tuple[str, str, str]]:
    """(source, event, target) of every arrow."""
    return {(source.value, row.event.value, row.target.value) for source, row in table.arrows()}


def drawn(pattern: str, text: str) -> set[tuple[str, str, str]]:
    """(source, event, target) of every arrow that the text of a diagram has."""
    return {
        (match["source"], event, match["target"])
        for match in re.finditer(pattern, text, re.MULTILINE)
        for event in match["events"].split(", ")
    }


def a_machine_that_lost_a_connection() -> ConnectionMachine:
    """It was never registered on its first connection, and stands in `authenticated` on the second."""
    machine = ConnectionMachine(Journal(lambda: 7.0))
    machine.fire(ConnectionEvent.CONNECT)
    machine.fire(ConnectionEvent.ACCEPTED, 1)
    machine.fire(ConnectionEvent.CONNECT)  # ignored
    machine.fire(ConnectionEvent.LOST, 1, "reset by peer")
    machine.fire(ConnectionEvent.RETRY, 1)
    machine.fire(ConnectionEvent.REGISTERED, 1)  # stale
    machine.fire(ConnectionEvent.ACCEPTED, 2)
    return machine


TAKEN = {"connect": 1, "accepted": 2, "lost": 1, "retry": 1}
VISITED = {"disconnected", "connecting", "authenticated", "backoff"}

MERMAID_ARROW = r"^    (?P<source>\w+) --> (?P<target>\w+): (?P<events>[\w, ]+)$"
DOT_ARROW = r'^    "(?P<source>\w+)" -> "(?P<target>\w+)" \[label="(?P<events>[\w, ]+)"\];$'


@TABLES
def test_mermaid_draws_every_arrow_and_no_other(table: AnyTable) -> None:
    assert drawn(MERMAID_ARROW, to_mermaid(table)) == arrows(table)


@TABLES
def test_dot_draws_every_arrow_and_no_other(table: AnyTable) -> None:
    assert drawn(DOT_ARROW, to_dot(table)) == arrows(table)


@TABLES
@pytest.mark.parametrize("form", ["mermaid", "dot", "json"])
def test_every_state_and_every_event_appears(table: AnyTable, form: str) -> None:
    words = set(re.findall(r"\w+", render(table, form)))
    names: set[str] = {row.state.value for row in table.states} | {row.event.value for row in table.events}
    assert names <= words


def test_a_mermaid_line_is_what_mermaid_reads() -> None:
    lines = to_mermaid(CONNECTION).splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> disconnected"]
    assert "    auth_failed --> connecting: connect" in lines
    assert "    shutting_down --> shutting_down: lost" in lines


def test_events_between_the_same_states_share_an_arrow() -> None:
    assert "    running --> finished: done, failed\n" in to_mermaid(TASK)


def test_mermaid_ends_a_dead_end_and_only_that() -> None:
    assert re.findall(r"(\w+) --> \[\*\]", to_mermaid(TASK)) == ["finished"]
    assert re.findall(r"(\w+) --> \[\*\]", to_mermaid(CONNECTION)) == []


def test_mermaid_marks_the_current_state() -> None:
    assert "    class listening current\n" in to_mermaid(CONNECTION, ConnectionState.LISTENING)
    assert "current" not in to_mermaid(CONNECTION)


def test_dot_marks_the_current_state() -> None:
    text = to_dot(CONNECTION, ConnectionState.LISTENING)
    marked = [line.split()[0] for line in text.splitlines() if "penwidth" in line]
    assert marked == ['"listening"']
    assert "penwidth" not in to_dot(CONNECTION)


def test_dot_starts_at_the_initial_state_and_rings_dead_ends() -> None:
    lines = to_dot(TASK).splitlines()
    assert lines[0] == 'digraph "task" {'
    assert lines[-1] == "}"
    assert '    "" -> "accepted";' in lines
    assert [line.split()[0] for line in lines if "peripheries=2" in line] == ['"finished"']


def test_dot_carries_the_meaning_of_each_state() -> None:
    text = to_dot(CONNECTION)
    for row in CONNECTION.states:
        assert f'    "{row.state.value}" [tooltip="{row.meaning}"];' in text


@TABLES
def test_json_holds_the_whole_table_with_its_meanings(table: AnyTable) -> None:
    document = json.loads(to_json(table))
    assert (document["name"], document["meaning"], document["initial"]) == (
        table.name,
        table.meaning,
        table.initial.value,
    )
    assert meanings(document["states"]) == {row.state.value: row.meaning for row in table.states}
    assert meanings(document["events"]) == {row.event.value: row.meaning for row in table.events}
    assert meanings(document["effects"]) == {row.effect.value: row.meaning for row in table.effects}
    assert [row["meaning"] for row in document["transitions"]] == [row.meaning for row in table.transitions]
    assert set(json_arrows(document)) == arrows(table)


def meanings(rows: list[dict[str, str]]) -> dict[str, str]:
    return {row["name"]: row["meaning"] for row in rows}


def json_arrows(document: Any) -> Iterator[tuple[str, str, str]]:
    for row in document["transitions"]:
        for source in row["from"]:
            yield source, row["event"], row["to"]


def test_json_holds_the_effects_and_the_exits() -> None:
    document = json.loads(to_json(CONNECTION))
    listening = next(row for row in document["states"] if row["name"] == "listening")
    lost = next(row for row in document["transitions"] if row["event"] == "lost" and row["to"] == "backoff")
    assert listening["entering"] == ["start_offers", "start_idle_timer", "start_age_timer"]
    assert listening["leaving"] == ["stop_offers", "stop_idle_timer", "stop_age_timer"]
    assert listening["leads_to"] == ["connecting", "backoff", "shutting_down"]
    assert lost["effects"] == ["cancel_connection"]


@pytest.mark.parametrize(("current", "name"), [(TaskState.RUNNING, "running"), (None, None)])
def test_json_names_the_current_state(current: Enum | None, name: str | None) -> None:
    assert json.loads(to_json(TASK, current))["current"] == name


@pytest.mark.parametrize(
    ("form", "renderer"), [("mermaid", to_mermaid), ("dot", to_dot), ("json", to_json)], ids=["mermaid", "dot", "json"]
)
def test_render_finds_the_form_by_its_name(form: str, renderer: Any) -> None:
    assert render(TASK, form, TaskState.RUNNING) == renderer(TASK, TaskState.RUNNING)


def test_an_unknown_form_is_refused_with_the_names_of_the_known() -> None:
    with pytest.raises(ValueError, match=r"'png': it is one of mermaid, dot, svg, json"):
        render(TASK, "png")
    assert FORMATS == ("mermaid", "dot", "svg", "json")


@pytest.mark.needs("dot")
def test_svg_is_a_picture_with_every_state_and_every_event() -> None:
    picture = ElementTree.fromstring(render(CONNECTION, "svg", ConnectionState.LISTENING))
    assert picture.tag == f"{SVG}svg"
    labels = " ".join("".join(text.itertext()) for text in picture.iter(f"{SVG}text"))
    words = set(re.findall(r"\w+", labels))
    assert {state.value for state in ConnectionState} <= words
    assert {row.event.value for row in CONNECTION.events} <= words
    assert len(picture.findall(".//*[@stroke-width='3']")) == 1


def test_without_graphviz_svg_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        GraphvizMissing, match=r"`dot` was not found: install the package `graphviz`.*mermaid"
    ) as caught:
        to_svg(CONNECTION)
    assert caught.value.reason == "SVG needs Graphviz, and its command `dot` was not found"


def test_a_graphviz_that_fails_is_reported_as_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dot = tmp_path / "dot"
    dot.write_text("#!/bin/sh\nexit 3\n")
    dot.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GraphvizMissing, match=r"could not draw.*exit status 3"):
        render(CONNECTION, "svg")


# Machines and tables draw themselves


FORMS = pytest.mark.parametrize("form", ["mermaid", "dot", "json", pytest.param("svg", marks=pytest.mark.needs("dot"))])


@TABLES
@FORMS
def test_a_table_draws_itself(table: AnyTable, form: str) -> None:
    middle = table.states[1].state
    assert getattr(table, f"to_{form}")() == render(table, form)
    assert getattr(table, f"to_{form}")(middle) == render(table, form, middle) != render(table, form)


@FORMS
def test_a_machine_marks_its_state_and_its_path_on_request_alone(form: str) -> None:
    machine = a_machine_that_lost_a_connection()
    draw = getattr(machine, f"to_{form}")
    assert draw() == render(CONNECTION, form)
    assert draw(current=True) == render(CONNECTION, form, machine.state)
    assert draw(path=True) == render(CONNECTION, form, path=machine.journal.entries)
    assert draw(current=True, path=True) == render(CONNECTION, form, machine.state, machine.journal.entries)
    assert len({draw(), draw(current=True), draw(path=True), draw(current=True, path=True)}) == 4


def test_a_machine_whose_state_has_moved_on_is_drawn_where_it_stands() -> None:
    task = TaskMachine()
    assert "class accepted current\n" in task.to_mermaid(current=True)
    task.fire(TaskEvent.SETTINGS)
    assert "class running current\n" in task.to_mermaid(current=True)


def test_a_lifecycle_keeps_a_journal_if_it_is_given_one() -> None:
    journal = Journal(lambda: 7.0)
    task = Lifecycle(TASK, journal)
    task.fire(TaskEvent.SETTINGS, "they came")
    task.fire(TaskEvent.SETTINGS, "they came again")
    assert [(entry.event, entry.why, entry.ignored) for entry in journal.entries] == [
        ("settings", "they came", False),
        ("settings", "they came again", True),
    ]
    assert "accepted --> running: settings ×1\n" in task.to_mermaid(path=True)


def test_a_machine_without_a_journal_has_no_path_to_mark() -> None:
    with pytest.raises(ValueError, match="the path is that of a journal, and this machine keeps none"):
        TaskMachine().to_mermaid(path=True)


def test_mermaid_counts_what_was_taken_and_marks_where_it_has_been() -> None:
    text = a_machine_that_lost_a_connection().to_mermaid(path=True)
    assert {event: int(times) for event, times in re.findall(r"(\w+) ×(\d+)", text)} == TAKEN
    visited = re.search(r"^    class ([\w,]+) visited$", text, re.MULTILINE)
    assert visited is not None
    assert set(visited[1].split(",")) == VISITED
    assert "    auth_failed --> connecting: connect\n" in text, "the same event from elsewhere was not taken"


def test_dot_colours_what_was_taken_and_where_it_has_been() -> None:
    lines = a_machine_that_lost_a_connection().to_dot(path=True).splitlines()
    coloured = [line for line in lines if "color=" in line]
    assert {line.split('"')[1] for line in coloured if "->" not in line} == VISITED
    assert [line.split("label=")[1].split(" ")[0] for line in coloured if "->" in line] == [
        '"connect',
        '"accepted',
        '"lost',
        '"retry',
    ]


def test_json_lists_the_path_with_times_and_reasons() -> None:
    document = json.loads(a_machine_that_lost_a_connection().to_json(path=True))
    assert [(step["from"], step["event"], step["to"]) for step in document["path"]] == [
        ("disconnected", "connect", "connecting"),
        ("connecting", "accepted", "authenticated"),
        ("authenticated", "lost", "backoff"),
        ("backoff", "retry", "connecting"),
        ("connecting", "accepted", "authenticated"),
    ]
    assert (document["path"][2]["why"], document["path"][2]["time"]) == ("reset by peer", 7.0)
    assert json.loads(to_json(CONNECTION))["path"] == []


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_none_of_the_table_is_refused(form: str) -> None:
    with pytest.raises(ValueError, match=r"'task' has no state ConnectionState.BACKOFF"):
        render(TASK, form, ConnectionState.BACKOFF)
    entries = a_machine_that_lost_a_connection().journal.entries
    with pytest.raises(ValueError, match=r"by 'connect' from 'disconnected' to 'connecting': 'task' does not"):
        render(TASK, form, path=entries)
