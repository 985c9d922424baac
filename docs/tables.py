"""Tables in Markdown."""

from __future__ import annotations


def rows(*cells: tuple[str, ...]) -> str:
    """Rows of a Markdown table, the first being its head."""
    head, *body = (f"| {' | '.join(row)} |" for row in cells)
    return "\n".join([head, "|" + " --- |" * len(cells[0]), *body]) + "\n"
