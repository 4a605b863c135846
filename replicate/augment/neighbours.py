"""The nearest rows of many rows of a matrix, from products of tiles; reads a mapped matrix without keeping it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Rows = NDArray[np.int64]

# Rows whose neighbours are searched together: bounds the memory that they take.
_QUERIES = 2**14
# Queries and rows of a tile: large enough for the product's full speed, and 8 MiB of scores stay in the caches.
_TILE = (1024, 2048)
# Candidates that are compared again in double precision, so that no last bit of a matrix product decides.
_SPARE = 5
_COMPARED = 2048
# Rows fetched before their pages are let go: for one row that is touched the kernel may map 2 MiB around it.
_FETCHED = 16


def nearest_rows(matrix: Floats, rows: Rows, count: int, let_go: Callable[[], object]) -> Rows:
    """The `count` other rows of greatest product with each of `rows`, greatest first; of equal ones the earlier first.

    Args:
        matrix: float32, rows of length 1.
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
        near = _candidates(matrix, part, queries, min(count + _SPARE, len(matrix) - 1), let_go)
        exact = np.empty(near.shape)
        for some in np.array_split(np.arange(len(part)), 1 + near.size // _COMPARED):
            others = _fetch(matrix, near[some].ravel(), let_go).reshape(*near[some].shape, -1)
            exact[some] = np.einsum("qd,qkd->qk", queries[some], others, dtype=np.float64)
        order = np.lexsort((near, -exact.round(9)), axis=1)
        found[start : start + _QUERIES] = np.take_along_axis(near, order, axis=1)[:, :count]
    return found


def _fetch(matrix: Floats, rows: Rows, let_go: Callable[[], object]) -> Floats:
    fetched = np.empty((len(rows), matrix.shape[1]), dtype=np.float32)
    for start in range(0, len(rows), _FETCHED):
        fetched[start : start + _FETCHED] = matrix[rows[start : start + _FETCHED]]
        let_go()
    return fetched


def _candidates(matrix: Floats, rows: Rows, queries: Floats, kept: int, let_go: Callable[[], object]) -> Rows:
    """The `kept` other rows [len(rows), kept] of greatest product as float32 gives it; reads the matrix once.

    Once some rows are kept, few tiles hold a greater score for a given query: what is done for each score is the
    product and one comparison, the search for the query's maximum.
    """
    scores = np.full((len(rows), kept), -np.inf, dtype=np.float32)
    near = np.zeros((len(rows), kept), dtype=np.int64)
    width = max(_TILE[1], kept + 1)
    room = np.empty(_TILE[0] * width, dtype=np.float32)
    for start in range(0, len(matrix), width):
        block = matrix[start : start + width].T
        for first in range(0, len(rows), _TILE[0]):
            part = slice(first, first + _TILE[0])
            shape = (len(queries[part]), block.shape[1])
            tile = np.matmul(queries[part], block, out=room[: shape[0] * shape[1]].reshape(shape))
            own = rows[part] - start
            mine = np.flatnonzero((own >= 0) & (own < shape[1]))
            tile[mine, own[mine]] = -2.0  # below any cosine: no row is its own neighbour
            floor = scores[part, -1]
            if start == 0:  # nothing is kept yet, and not all of the tile should be sorted
                floor = np.nextafter(np.partition(tile, -kept, axis=1)[:, -kept], np.float32(-np.inf))
            beaten = np.flatnonzero(tile.max(axis=1) > floor)
            if len(beaten):
                merged = _merge(scores[part][beaten], near[part][beaten], tile[beaten], start, floor[beaten])
                scores[first + beaten], near[first + beaten] = merged
        let_go()
    return near


def _merge(scores: Floats, near: Rows, tile: Floats, start: int, floor: Floats) -> tuple[Floats, Rows]:
    """What is kept of each query, and of `tile` what is above its `floor`, as many as before, greatest first.

    `tile` holds the scores of the rows from `start` on. Of equal scores the earlier row goes first.
    """
    everyone = np.arange(len(tile))
    # Ten times as fast as np.nonzero of two dimensions.
    above = np.flatnonzero(tile > floor[:, None])
    query, column = np.divmod(above, tile.shape[1])
    all_queries = np.concatenate([np.repeat(everyone, scores.shape[1]), query])
    all_scores = np.concatenate([scores.ravel(), tile.ravel()[above]])
    all_near = np.concatenate([near.ravel(), column + start])
    order = np.lexsort((all_near, -all_scores, all_queries))
    first = np.searchsorted(all_queries[order], everyone)
    chosen = order[first[:, None] + np.arange(scores.shape[1])]
    return all_scores[chosen], all_near[chosen]
