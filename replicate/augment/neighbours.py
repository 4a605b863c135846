"""The nearest rows of many rows of a matrix, exactly; reads a mapped matrix without keeping it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from replicate.augment.shortlist import TILE, Floats, Rows, shortlist

# Rows whose neighbours are searched together: bounds the memory that they take.
_QUERIES = 2**13
# Multiplications below which all products are taken in double precision: that takes as long as importing ONNX Runtime.
_SMALL = 2**32
# Pairs that are compared in double precision at a time.
_COMPARED = 2048
# Rows fetched before their pages are let go: for one row that is touched the kernel may map 2 MiB around it.
_FETCHED = 16
# Digits that products are rounded to, so that no last bit of a sum decides.
_DIGITS = 9


def nearest_rows(matrix: Floats, rows: Rows, count: int, let_go: Callable[[], object]) -> Rows:
    """The `count` other rows of greatest product with each of `rows`, greatest first; of equal ones the earlier first.

    Args:
        matrix: float32, rows of length 1, or 0.
        rows: row numbers.
        count: how many for each, fewer than the matrix has rows.
        let_go: called whenever what was read of the matrix so far isn't needed any more.

    Returns:
        Row numbers [len(rows), count].
    """
    found = np.empty((len(rows), count), dtype=np.int64)
    for start in range(0, len(rows), _QUERIES):
        part = rows[start : start + _QUERIES]
        queries = _fetch(matrix, part, let_go)
        search = _search_all if len(part) * matrix.size < _SMALL else _search_listed
        found[start : start + _QUERIES] = search(matrix, part, queries, count, let_go)
    return found


def _fetch(matrix: Floats, rows: Rows, let_go: Callable[[], object]) -> Floats:
    fetched = np.empty((len(rows), matrix.shape[1]), dtype=np.float32)
    for start in range(0, len(rows), _FETCHED):
        fetched[start : start + _FETCHED] = matrix[rows[start : start + _FETCHED]]
        let_go()
    return fetched


def _search_listed(matrix: Floats, rows: Rows, queries: Floats, count: int, let_go: Callable[[], object]) -> Rows:
    """Takes the exact products of those pairs alone that the 8-bit ones don't rule out."""
    listed = shortlist(matrix, rows, queries, count, let_go)
    query, row = listed.query, listed.row
    decided = np.delete(np.arange(len(rows)), listed.undecided)
    # What `count` rows have exactly rules out most of the pairs that their bounds leave; those listed first have most.
    first = (np.searchsorted(query, decided)[:, None] + np.arange(count)).ravel()
    least = np.empty(len(rows))
    least[decided] = _products(matrix, queries, query[first], row[first], let_go).reshape(-1, count).min(axis=1)
    kept = listed.most >= least[query]
    query, row = query[kept], row[kept]
    order = np.lexsort((row, -_products(matrix, queries, query, row, let_go), query))
    found = np.empty((len(rows), count), dtype=np.int64)
    found[decided] = row[order[np.searchsorted(query, decided)[:, None] + np.arange(count)]]
    if len(rest := listed.undecided):
        found[rest] = _search_all(matrix, rows[rest], queries[rest], count, let_go)
    return found


def _products(matrix: Floats, queries: Floats, query: Rows, row: Rows, let_go: Callable[[], object]) -> Floats:
    """The rounded product of each pair, in one walk through the matrix."""
    products = np.empty(len(row))
    order = np.argsort(row, kind="stable")
    ends = np.searchsorted(row[order], np.arange(TILE[1], len(matrix), TILE[1]))
    for inside in np.split(order, ends):
        for some in np.array_split(inside, 1 + len(inside) // _COMPARED):
            products[some] = np.einsum("pd,pd->p", queries[query[some]], matrix[row[some]], dtype=np.float64)
        let_go()
    return products.round(_DIGITS)


def _search_all(matrix: Floats, rows: Rows, queries: Floats, count: int, let_go: Callable[[], object]) -> Rows:
    """Takes the exact products of all pairs; it alone is fit for queries that have too many rows alike."""
    scores = np.full((len(rows), count), -np.inf)
    near = np.zeros((len(rows), count), dtype=np.int64)
    width = max(TILE[1], count + 1)
    for start in range(0, len(matrix), width):
        block = matrix[start : start + width].T.astype(np.float64)
        let_go()
        for first in range(0, len(rows), TILE[0]):
            part = slice(first, first + TILE[0])
            tile = (queries[part].astype(np.float64) @ block).round(_DIGITS)
            own = rows[part] - start
            mine = np.flatnonzero((own >= 0) & (own < tile.shape[1]))
            tile[mine, own[mine]] = -np.inf  # no row is its own neighbour
            better = np.flatnonzero(tile.max(axis=1) > scores[part, -1])
            merged = _merge(scores[part][better], near[part][better], tile[better], start)
            scores[first + better], near[first + better] = merged
    return near


def _merge(kept: Floats, near: Rows, fresh: Floats, start: int) -> tuple[Floats, Rows]:
    """As many as are `kept` of them and of `fresh`, greatest first, of equal ones the earlier; and their row numbers.

    Args:
        kept: scores [queries, count], greatest first.
        near: the row number of each.
        fresh: scores [queries, width] of the rows from number `start` on, which come after those in `near`.
    """
    scores = np.concatenate([kept, fresh], axis=1)
    count = kept.shape[1]
    numbers = np.arange(start - count, start + fresh.shape[1])
    everyone = np.arange(len(scores))
    best, rows = np.empty_like(kept), np.empty_like(near)
    for place in range(count):
        column = scores.argmax(axis=1)
        best[:, place] = scores[everyone, column]
        rows[:, place] = np.where(column < count, near[everyone, np.minimum(column, count - 1)], numbers[column])
        scores[everyone, column] = -np.inf
    return best, rows
