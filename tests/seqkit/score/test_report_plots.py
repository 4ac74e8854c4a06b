"""The report's plots: bars of errors, the learning curve, the run's name, and attention of chosen items."""

import json
import re
from pathlib import Path

from seqkit.errors import InputError
from seqkit.score.report import Provenance, ScoredItem, write_report
from seqkit.score.report_plots import WIDTH, interval_bar, learning_curve, scale


def test_a_bar_is_as_long_as_its_value_and_errors_have_another_color() -> None:
    score = {"value": 50.0, "low": 25.0, "high": 75.0}
    for metric, color in (("wer", "--lost"), ("bleu", "--bar")):
        bar = interval_bar(score, metric, 100.0)
        assert f'<rect width="{WIDTH / 2:.1f}"' in bar and color in bar
        assert f"M{WIDTH / 4:.1f} " in bar and f"H{WIDTH * 3 / 4:.1f}" in bar
    assert scale([score]) == 100 and scale([score, {"value": 120.0, "low": 90.0, "high": 150.0}]) == 150


def test_the_learning_curve_has_a_panel_for_each_series(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    assert learning_curve(log) == ""
    rows = [
        {"step": 1, "loss": 3.0},
        {"step": 2, "validation": {"wer": 90.0, "<x>": 1.0}},
        {"step": 3, "loss": 1.0},
        {"step": 4, "validation": {"wer": 40.0}},
        {"event": "resumed"},
    ]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"step": 5, "lo')
    page = learning_curve(log)
    assert page.count("<polyline") == 2 and "training loss: 3 at step 1 to 1 at step 3" in page
    assert "validation wer: 90 at step 2 to 40 at step 4" in page and "x>" not in page  # of which there is one point
    first = re.search('points="([^"]*)"', page)
    assert first and first[1] == "4.0,4.0 276.0,106.0"


def test_a_report_names_its_run_and_shows_attention_of_chosen_items(tmp_path: Path) -> None:
    drawn = []

    def draw(number: int) -> None:
        drawn.append(number)

    def item(number: int) -> ScoredItem:
        def own(path: Path) -> None:
            if number == 0:
                raise InputError("plots need a model with <attention>")
            draw(number)
            path.write_bytes(b"one")
            path.with_name("two.png").write_bytes(b"two")

        said = " ".join(["a"] * (10 - number) + ["b"] * number)
        return ScoredItem(f"i{number}", [" ".join("a" * 10)], said, draw=own)

    run = tmp_path / "my run"
    run.mkdir()
    (run / "log.jsonl").write_text('{"step": 1, "loss": 3}\n{"step": 2, "loss": 1}\n')
    about = Provenance("wlas", "val", None, "cpu", {"beam": 1}, run)
    report = write_report(tmp_path / "out", [item(n) for n in range(10)], ["wer"], about)
    page = (tmp_path / "out" / "report.html").read_text()
    assert report["run"] == "my run" and "<h1>my run: wlas, val</h1>" in page
    assert "errors: lower is better" in page and "Learning curve" in page
    assert len(drawn) == 5 and {1, 8, 9} < set(drawn)  # two of each kind, one of which cannot be drawn
    assert page.count("data:image/png") == 10 and "plots need a model with &lt;attention&gt;" in page
    plain = write_report(tmp_path / "out", [item(3)._replace(draw=None)], ["wer"], about._replace(run=None))
    page = (tmp_path / "out" / "report.html").read_text()
    assert plain["run"] is None and "<h1>wlas, val</h1>" in page and "Attention" not in page
