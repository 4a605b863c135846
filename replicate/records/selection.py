"""The score of one run, its step chosen by its own recipe or by a named rule, so that no rule poses as an effect.

`accuracy` is what the record's predictions give, at the step that the row's recipe chose. `accuracy_by_accuracy` is the
accuracy at the step of its last stage with the best accuracy, `accuracy_by_f1` at that with the best class-1 F1, and
`accuracy_last` at the last one; `f1_...` likewise.
"""

from __future__ import annotations

import math

from replicate.records.run import Record
from replicate.scores.metrics import METRICS, scores

# What a training history holds of each evaluation.
HELD = ("accuracy", "f1")
# By name, the score and what chooses the step; the last step where that is empty.
RULES = {f"{score}_by_{chooser}": (score, chooser) for score in HELD for chooser in HELD} | {
    f"{score}_last": (score, "") for score in HELD
}
SCORES = (*METRICS, *RULES)


def plain_metric(metric: str) -> str:
    """The score that a metric is of, whatever chooses its step."""
    return RULES[metric][0] if metric in RULES else metric


def score_of(record: Record, metric: str) -> float:
    """One of `SCORES`; NaN where the run failed or diverged, or has no history for the rule to choose from.

    Of several steps with one best score the first is chosen, as training does.
    """
    if record.status != "ok":
        return math.nan
    if metric not in RULES:
        return scores(record.counts)[metric]
    score, chooser = RULES[metric]
    wanted = {score, chooser} - {""}
    history = [entry for entry in record.stages[-1]["summary"].get("history", ()) if wanted <= set(entry)]
    if not history:
        return math.nan
    best = max(history, key=lambda entry: entry[chooser]) if chooser else history[-1]
    return float(best[score])
