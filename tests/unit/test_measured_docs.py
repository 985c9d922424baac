"""The measured parts of the docs are what the committed measurements say, and say it rightly."""

from __future__ import annotations

import math
import re
from pathlib import Path
from xml.etree import ElementTree

import generate
import measured
import plot
import pytest

from tests.pythons import SUPPORTED

SVG = "{http://www.w3.org/2000/svg}"


def test_a_figure_that_was_changed_by_hand_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "docs").mkdir()
    page = (generate.ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    total = f"**{sum(sum(each.values()) for each in measured.document('where')['costs'].values()):.0f}**"
    assert total in page
    (tmp_path / "docs" / "performance.md").write_text(page.replace(total, "**7**"), encoding="utf-8")
    (tmp_path / "README.md").write_text((generate.ROOT / "README.md").read_text(encoding="utf-8"), encoding="utf-8")
    assert generate.main(["--check"], tmp_path) == 1
    assert "docs/performance.md is stale" in capsys.readouterr().err


def test_the_readme_claims_no_more_than_was_measured() -> None:
    words = " ".join((generate.ROOT / "README.md").read_text(encoding="utf-8").split())
    claim = re.search(r"about (\d+) tasks a second on two cores, where n8n's own runner does (\d+)", words)
    assert claim is not None
    (figure,) = (each for each in measured.document("figures")["figures"] if each["name"] == "tiny-5")
    assert 0.8 * figure["value"] <= int(claim[1]) <= figure["value"]
    assert int(claim[2]) == figure["official"]


def test_every_supported_python_has_its_column() -> None:
    head, *_ = measured.pythons().splitlines()
    assert re.findall(r"Python (3\.\d+)\.\d+", head) == [*SUPPORTED]


def test_the_times_of_a_task_add_up() -> None:
    *rows, total = [line.split("|")[2:6] for line in measured.where().splitlines() if line.startswith("| ")][1:]
    sums = [sum(int(row[column]) for row in rows[1:]) for column in range(4)]
    stated = [int(cell.strip(" *")) for cell in total]
    assert all(math.isclose(added, told, abs_tol=len(rows)) for added, told in zip(sums, stated, strict=True))


@pytest.mark.parametrize(
    ("power", "words"),
    [(0.0, "the same"), (-1.0, "falls"), (0.5, "less than in proportion"), (1.0, "in proportion"), (1.5, "more than")],
)
def test_a_slope_is_said_in_words(power: float, words: str) -> None:
    points = [(10.0**x, 3 * 10.0 ** (x * power)) for x in range(6)]
    curve = {"points": points, "unit": "s", "over": "bytes"}
    assert words in measured.in_words(curve)
    assert f"power {power:.2f}" in measured.in_words(curve)


def test_a_curve_is_drawn_where_its_values_are() -> None:
    tree = ElementTree.fromstring(plot.svg("a < b", "bytes", "s", [(1, 0.01), (10, 0.1), (100, 1)]))
    assert tree.findtext(f"{SVG}title") == "a < b"
    points = [(float(each.get("cx", 0)), float(each.get("cy", 0))) for each in tree.iter(f"{SVG}circle")]
    assert points == [
        (plot.LEFT, plot.HEIGHT - plot.BOTTOM),
        ((plot.LEFT + plot.WIDTH - plot.RIGHT) / 2, (plot.TOP + plot.HEIGHT - plot.BOTTOM) / 2),
        (plot.WIDTH - plot.RIGHT, plot.TOP),
    ]
    labels = {text.text for text in tree.iter(f"{SVG}text")}
    assert {"1", "10", "100", "10 m", "100 m", "bytes"} <= labels
    assert "prefers-color-scheme: dark" in "".join(tree.itertext())
