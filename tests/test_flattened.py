"""What can be told of a net from scores that count each yes/no decision."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sklearn.metrics import f1_score

from replicate.common.errors import UserError
from replicate.common.paths import EXPECTED
from replicate.scores.flattened import Decisions, decisions_of
from replicate.tables.file import load_tables


@pytest.mark.parametrize(
    ("found", "scores"),
    [(Decisions(0, 0), (10 / 11, 10 / 21)), (Decisions(1, 0), (1.0, 1.0)), (Decisions(0, 10), (0, 0))],
)
def test_scores_of_known_nets(found: Decisions, scores: tuple[float, float]) -> None:
    """Always no, always right, and always wrong."""
    assert found.scores(11) == pytest.approx(scores)


def test_scores_are_scikit_learns() -> None:
    """Of 40 texts with 4 labels, 25 get a yes to their own and 13 one to another, the flattened scores are these."""
    gold, said = [], []
    for text in range(40):
        gold += [1, 0, 0, 0]
        said += [int(text < 25), int(text >= 27), 0, 0]
    scores = [f1_score(gold, said, average=average) for average in ("micro", "macro")]
    found = Decisions(25 / 40, 13 / 40)
    assert found.scores(4) == pytest.approx(scores)
    back = decisions_of(scores[0], scores[1], 4)
    assert back is not None
    assert (back.right, back.wrong) == pytest.approx((found.right, found.wrong), abs=1e-6)


@pytest.mark.parametrize(("micro", "macro"), [(0.95, 0.2), (0.5, 0.9), (1.2, 0.5)])
def test_scores_that_no_net_has(micro: float, macro: float) -> None:
    """Two scores that contradict each other decode to nothing."""
    assert decisions_of(micro, macro, 11) is None


def test_printed_figures_come_out_of_what_they_are_decoded_to() -> None:
    """Every printed pair of PaddleNLP's, to the digits that it has; all stay below what always saying no gives."""
    printed = load_tables()["few_shot"].flattened
    assert len(printed) == 7
    for one in printed:
        micro, macro = one.decisions.scores(one.classes)
        assert (f"{100 * micro:.2f}", f"{100 * macro:.2f}") == (one.micro, one.macro)
        assert micro < 10 / 11


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('micro = "89.67"', 'micro = "189.67"', "flattened.1.micro: not a percentage"),
        ('macro = "66.30"', 'macro = "6.30"', "flattened.1.macro: no net has a micro-F1 of 89.67 and"),
        ('macro = "66.30"', 'macro = "two thirds"', "flattened.1.macro: not a decimal number"),
        ("classes = 11", "classes = 1", "flattened.1.classes: not 2 to 1000 labels"),
        ("classes = 11", f"classes = {10**18}", "flattened.1.classes: not 2 to 1000 labels"),
        ("classes = 11", "classes = 11\nmean = 3", "flattened.1.mean: unknown key"),
        ('printed = "0.5046"', 'printed = "half"', "elsewhere.1.printed: not a decimal number"),
        ('method = "fine-tuning"\n', "", "elsewhere.1.method: missing"),
    ],
)
def test_a_fault_names_file_and_key(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    """What no source prints is one line."""
    shutil.copy(EXPECTED / "ernie3_kuake_qic.toml", tmp_path)
    text = (EXPECTED / "few_shot.toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "few_shot.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_tables(tmp_path)
    assert str(caught.value).startswith(f"{path}: {complaint}")
