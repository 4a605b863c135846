"""The plans of the profile `small` keep their stated rates, and the simulation is of those plans."""

from __future__ import annotations

import numpy as np
import pytest

from replicate.tables.file import load_tables
from replicate.tables.profile import load_profile
from replicate.tables.sequential import plan_of
from replicate.verdicts.decisions import decide
from replicate.verdicts.sequential import WORDS
from replicate.verdicts.sequential_rates import DRAWS, SMALL, any_false, corners, run
from tests.rates import refuted

TRIALS = 1500


@pytest.mark.parametrize(
    ("family", "table"), [("the article's claims", "ernie3_kuake_qic"), ("pruning without a leak", "compression")]
)
def test_the_simulated_plan_is_the_one_in_force(family: str, table: str) -> None:
    """Looks, level, nets, margin, and the kind of each claim."""
    ours, simulated = plan_of(load_tables()[table], load_profile("small")), SMALL[family].plan
    assert ours is not None
    for name in ("first", "most", "alpha", "rho", "nets", "pairing", "level"):
        assert getattr(ours, name) == getattr(simulated, name), name
    assert {ours.margins[claim.metric] for claim in ours.claims} == {*simulated.margins.values()}
    assert [claim.kind for claim in ours.claims] == [claim.kind for claim in simulated.claims]


@pytest.mark.parametrize("draw", [name for name in DRAWS if name != "very skewed"])
@pytest.mark.parametrize("family", SMALL)
def test_false_words_are_rare_at_every_corner(family: str, draw: str) -> None:
    """At most 5 % of families hold a false word, and some claims are decided."""
    study = SMALL[family]
    for means in corners(rows=tuple(study.measured)).values():
        done = run(study.plan, study.draw(np.random.default_rng(1), means, TRIALS, draw=draw))
        assert not refuted(any_false(done, study.plan, means))
        assert np.mean(done.words != WORDS.index("undecided")) > 0.2, "a rule that never decides would pass too"


def test_what_is_simulated_is_what_judges() -> None:
    """One study after another through `decide`, net by net, ends with the words of all at once."""
    study = SMALL["pruning without a leak"]
    one_net = {row: np.random.default_rng(3).normal(0.78, 0.004, (20, 2, 10)) for row in study.measured}
    done = run(study.plan, {row: values.mean(axis=1) for row, values in one_net.items()})
    for trial in range(20):
        found = {
            row: dict(zip(study.plan.nets, values[trial].tolist(), strict=True)) for row, values in one_net.items()
        }
        assert [one.word for one in decide(study.plan, {"accuracy": found})] == [
            WORDS[word] for word in done.words[trial]
        ]
