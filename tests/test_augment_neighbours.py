"""The nearest rows are those that comparing everything finds, whatever the rows are; the bound that saves it holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from replicate.augment import neighbours, shortlist
from replicate.augment.neighbours import nearest_rows
from replicate.augment.shortlist import Floats, Rows
from tests.vectors import vectors_from

COUNT = 3
RANDOM = np.random.default_rng(0)
NORMAL = RANDOM.standard_normal((5000, 24)).astype(np.float32)
KINDS = {
    "random": NORMAL,
    "one of several tiles' end": NORMAL[: 2 * shortlist.TILE[1] + 1],
    "huge and tiny": NORMAL * np.float32(10) ** RANDOM.integers(-18, 18, (5000, 1)).astype(np.float32),
    "few elements rule": NORMAL**9,
    "unit vectors": np.eye(24, dtype=np.float32)[RANDOM.integers(0, 24, 5000)],
    "opposite": NORMAL[:2500].repeat(2, axis=0) * np.tile([[1], [-1]], (2500, 1)).astype(np.float32),
    "each four times": np.tile(NORMAL[:1250], (4, 1)),
    "all alike": np.ones((5000, 24), dtype=np.float32),
    "nearly alike": np.ones((5000, 24), dtype=np.float32) + NORMAL / 1000,
    "all zero": np.zeros((5000, 24), dtype=np.float32),
    "some zero": NORMAL * (np.arange(5000) % 5 > 0)[:, None].astype(np.float32),
    "a tile of zeros": NORMAL * (np.arange(5000) > shortlist.TILE[1])[:, None].astype(np.float32),
}


def of_length_1(matrix: Floats) -> Floats:
    """As `Vectors` holds them."""
    return vectors_from([""] * len(matrix), matrix).matrix


def compare_everything(matrix: Floats, rows: Rows) -> Rows:
    """What `nearest_rows` says it returns."""
    scores = (matrix[rows].astype(np.float64) @ matrix.T.astype(np.float64)).round(9)
    scores[np.arange(len(rows)), rows] = -np.inf
    return np.argsort(-scores, axis=1, kind="stable")[:, :COUNT]


@pytest.fixture
def listing(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Small searches too go through the list, of queries in more than one part."""
    monkeypatch.setattr(neighbours, "_SMALL", 0)
    monkeypatch.setattr(neighbours, "_QUERIES", 700)
    return monkeypatch


@pytest.mark.parametrize("kind", KINDS)
def test_nearest_rows_are_exact(kind: str) -> None:
    """All pairs in double precision: the same rows, the same order, the earlier of equal ones first."""
    matrix = of_length_1(KINDS[kind])
    rows = np.arange(0, len(matrix), 7)
    np.testing.assert_array_equal(nearest_rows(matrix, rows, COUNT, lambda: None), compare_everything(matrix, rows))


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize("kind", KINDS)
def test_listed_rows_are_exact(kind: str, threads: str, listing: pytest.MonkeyPatch) -> None:
    """Leaving out what 8 bits rule out changes nothing, in any number of threads."""
    listing.setenv("OMP_NUM_THREADS", threads)
    matrix = of_length_1(KINDS[kind])
    rows = np.arange(0, len(matrix), 5)
    np.testing.assert_array_equal(nearest_rows(matrix, rows, COUNT, lambda: None), compare_everything(matrix, rows))


def test_queries_with_too_many_near_rows_are_searched_in_full(listing: pytest.MonkeyPatch) -> None:
    """Whether a query has few rows near it or is given up, its neighbours are the same."""
    matrix, rows = of_length_1(NORMAL), np.arange(600)
    given_up = []
    for most in (0, 16, 512):
        listing.setattr(shortlist, "_MOST", most)
        undecided = shortlist.shortlist(matrix, rows, matrix[rows], COUNT, lambda: None).undecided
        given_up.append(len(undecided))
        np.testing.assert_array_equal(nearest_rows(matrix, rows, COUNT, lambda: None), compare_everything(matrix, rows))
    assert given_up[0] == 600 > given_up[1] > given_up[2] == 0


def test_few_pairs_are_compared(listing: pytest.MonkeyPatch) -> None:
    """Of random rows nearly all are ruled out; the nearest are on the list, with products no greater than it says."""
    matrix, rows = of_length_1(RANDOM.standard_normal((5000, 200)).astype(np.float32)), np.arange(300)
    listed = shortlist.shortlist(matrix, rows, matrix[rows], COUNT, lambda: None)
    assert len(listed.query) < 0.01 * 300 * 5000
    exact = np.einsum("pd,pd->p", matrix[rows[listed.query]].astype(np.float64), matrix[listed.row].astype(np.float64))
    assert (exact <= listed.most).all()
    pairs = set(zip(listed.query.tolist(), listed.row.tolist(), strict=True))
    wanted = compare_everything(matrix, rows)
    assert {(query, row) for query, near in enumerate(wanted.tolist()) for row in near} <= pairs


@given(arrays(np.float32, (6, 5), elements=st.floats(-(2.0**100), 2.0**100, width=32)))
@settings(max_examples=300, deadline=None)
def test_rounding_is_bounded(vectors: Floats) -> None:
    """No product is further from that of the rounded vectors than the lengths of the rests allow."""
    matrix = of_length_1(vectors)
    query, row = shortlist._rounded(matrix, axis=1), shortlist._rounded(matrix, axis=None)
    exact = matrix.astype(np.float64) @ matrix.T.astype(np.float64)
    wholes = [rounded.whole.astype(np.float64) - shortlist._ZERO for rounded in (query, row)]
    rounded = wholes[0] @ wholes[1].T * query.unit[:, None] * row.unit
    e, f = row.error[None], query.error[:, None]
    assert (np.abs(exact - rounded) <= shortlist._SHARE * (e + f + e * f) + shortlist._SUM).all()


@pytest.mark.parametrize("size", [1, 3, 200, 1031])
def test_products_of_the_greatest_integers_are_exact(size: int) -> None:
    """No processor's instructions overflow on what queries and rows can hold."""
    queries, rows = (RANDOM.choice(np.array([1, 2, 128, 255], dtype=np.uint8), (count, size)) for count in (40, 70))
    queries[0], queries[1], rows[0], rows[1] = 255, 1, 255, 1
    signed = (rows.astype(np.int64) - shortlist._ZERO) @ (queries.astype(np.int64) - shortlist._ZERO).T
    np.testing.assert_array_equal(shortlist.product_with(queries)(rows), signed)
