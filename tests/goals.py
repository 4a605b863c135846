"""How the races of `bench` hold what they measure against a goal."""

from __future__ import annotations

import pytest


def hold(told: str, share: float, request: pytest.FixtureRequest) -> None:
    """Print what was measured, and hold it against its goal.

    To miss it is an expected failure that tells the figure, and with pytest's `--strict` a failure; to miss it by four
    times is one always.

    Args:
        told: what was measured, with its goal.
        share: of the goal that was reached; 1 and more is all of it.
        request: of the case.
    """
    with request.getfixturevalue("capsys").disabled():
        print(f"\n{told}")
    assert share >= 1 / 4, told
    if share < 1:
        (pytest.fail if request.config.getoption("strict", False) else pytest.xfail)(told)
