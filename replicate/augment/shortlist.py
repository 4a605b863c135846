"""Which rows of a matrix can be among the nearest of a row: 8-bit products of all, and how far off those can be.

A row x and a query q, both of length 1 at most, are rounded to whole multiples x' and q' of a unit. As
q.x - q'.x' = q.(x - x') + (q - q').x - (q - q').(x - x'), the Cauchy-Schwarz inequality bounds what that does to their
product: |q.x - q'.x'| <= e + f + e f with e = |x - x'| and f = |q - q'|. Both are computed for the very vectors, so the
bound holds whatever these are. Where `count` rows are known to have products of L at least, any row with
q'.x' + e + f + e f < L can be left out. The q'.x' are sums of integers, the same on every machine and in every order.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.common.cores import cores

Floats = NDArray[np.floating[Any]]
Rows = NDArray[np.int64]

# Queries and rows of a tile: large enough for the product's full speed, and 2 MiB of products stay in the caches.
TILE = (512, 1024)
# Tiles of rows that are rounded at a time; rows of a tile that are passed over at a time for a query; and in how many
# lots a tile's rows are compared with what is known so far.
_TILES, _STRIP, _LOTS = 32, 32, 4
# Both factors are unsigned for ONNX Runtime: where one is signed, a processor without VNNI adds products in 16 bits,
# which may overflow.
_LEVEL, _ZERO = 127, 128
# Stands for no product: below all that there are, and in any unit below -1, up to 50,000 dimensions.
_NONE, _LEAST = -(2**31), -(2**30)
# What the bound is widened by, a share and a sum, since rests and their lengths are computed in float32: in thousands
# of dimensions the one is wrong by less than the sum, the other by less than the share.
_SHARE, _SUM = 1.001, 1e-6
# A query that has had more rows near it is left to a search of all: there are too many alike, and these take memory.
_MOST = 512
_MOST_THREADS = 8


@dataclass(frozen=True)
class Shortlist:
    """Pairs of a query and a row, among which are the nearest rows of all queries but those `undecided`.

    Attributes:
        query: query number of each pair, ascending.
        row: its row number, for each query that of the greatest 8-bit product first.
        most: what its product is at most.
        undecided: numbers of the queries that too many rows are near to, ascending; they have no pairs.
    """

    query: Rows
    row: Rows
    most: Floats
    undecided: Rows


def shortlist(matrix: Floats, rows: Rows, queries: Floats, count: int, let_go: Callable[[], object]) -> Shortlist:
    """What `nearest_rows` has to compare; reads the matrix once, in as many threads as OMP_NUM_THREADS says.

    Args:
        matrix: float32, rows of length 1 at most.
        rows: row numbers.
        queries: these rows.
        count: how many near rows each query wants.
        let_go: called whenever what was read of the matrix so far isn't needed any more.
    """
    threads = min(int(os.environ.get("OMP_NUM_THREADS") or cores()), _MOST_THREADS)
    starts = range(0, len(matrix), TILE[1])
    parts = [slice(first, first + TILE[0]) for first in range(0, len(rows), TILE[0])]
    searches = [_Search(rows[part], _rounded(queries[part], axis=1), count) for part in parts]
    with ThreadPoolExecutor(threads) as pool:
        for first in range(0, len(starts), _TILES):
            tiles = list(pool.map(partial(_tile, matrix), starts[first : first + _TILES]))
            let_go()
            list(pool.map(partial(_Search.see, tiles=tiles), searches))
        kept = list(pool.map(_Search.pairs, searches))
    return Shortlist(
        np.concatenate([query + part.start for (query, _, _), part in zip(kept, parts, strict=True)]),
        np.concatenate([row for _, row, _ in kept]),
        np.concatenate([most for _, _, most in kept]),
        np.flatnonzero(np.concatenate([search.counts for search in searches]) > _MOST),
    )


@dataclass(frozen=True)
class _Rounded:
    """Vectors as whole multiples of a unit, their own or a common one, and how long the rest is: at most, if common."""

    whole: NDArray[np.uint8]
    unit: Floats
    error: Floats


@dataclass(frozen=True)
class _Tile:
    """`rows` rows of the matrix from number `start` on; others follow that stand for nothing."""

    start: int
    rows: int
    rounded: _Rounded


def _rounded(vectors: Floats, axis: int | None) -> _Rounded:
    """`axis` 1 gives each vector a unit of its own; `_ZERO` is added to all multiples."""
    unit = np.abs(vectors).max(axis=axis, keepdims=True) / np.float32(_LEVEL)
    unit[unit < 1e-30] = 1
    whole = np.rint(vectors / unit)
    rest = vectors - whole * unit
    error = np.sqrt(np.einsum("rd,rd->r", rest, rest))
    return _Rounded((whole + _ZERO).astype(np.uint8), unit.ravel().astype(np.float64), error.astype(np.float64))


def _tile(matrix: Floats, start: int) -> _Tile:
    rounded = _rounded(matrix[start : start + TILE[1]], axis=None)
    rows = len(rounded.whole)
    whole = np.pad(rounded.whole, ((0, TILE[1] - rows), (0, 0)))
    return _Tile(start, rows, _Rounded(whole, rounded.unit, rounded.error.max()))


@dataclass
class _Search:
    """What is known of some queries after the tiles seen so far.

    Attributes:
        least: of each query, what `count` rows have at least [queries, count].
        counts: how many rows could not be left out.
    """

    rows: Rows
    queries: _Rounded
    count: int
    least: Floats = field(init=False)
    counts: Rows = field(init=False)
    _found: list[tuple[Rows, Rows, Floats]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.least = np.full((len(self.rows), self.count), -np.inf)
        self.counts = np.zeros(len(self.rows), dtype=np.int64)
        self._product = product_with(self.queries.whole)

    def see(self, tiles: list[_Tile]) -> None:
        """Most strips hold no row near a query: all that they cost is the product and the search for its maximum."""
        for tile in tiles:
            products = self._product(tile.rounded.whole)
            own = self.rows - tile.start
            mine = np.flatnonzero((own >= 0) & (own < tile.rows))
            products[own[mine], mine] = _NONE  # no row is its own neighbour
            products[tile.rows :] = _NONE
            strips = products.reshape(-1, _STRIP, len(self.rows))
            top = strips.max(axis=1)
            unit = self.queries.unit * tile.rounded.unit
            rounding, of_tile = self.queries.error, tile.rounded.error
            error = _SHARE * (rounding + of_tile + rounding * of_tile) + _SUM
            # The maxima of lots are those of different rows, as are those of earlier tiles.
            lots = top.reshape(_LOTS, -1, len(self.rows)).max(axis=1)
            both = np.concatenate([self.least, (lots * unit - error).T], axis=1)
            self.least = np.partition(both, -self.count, axis=1)[:, -self.count :]
            # An integer below it, so that what equals it is kept.
            limit = np.floor(np.maximum((self.least[:, 0] - error) / unit, _LEAST)).astype(np.int32) - 1
            limit[self.counts > _MOST] = np.iinfo(np.int32).max
            # Ten times as fast as np.nonzero of two dimensions.
            strip, query = np.divmod(np.flatnonzero(top > limit), len(self.rows))
            some, place = np.divmod(np.flatnonzero(strips[strip, :, query] > limit[query, None]), _STRIP)
            query, row = query[some], strip[some] * _STRIP + place
            self.counts += np.bincount(query, minlength=len(self.counts))
            few = self.counts[query] <= _MOST
            query, row = query[few], row[few]
            self._found.append((query, row + tile.start, products[row, query] * unit[query] + error[query]))

    def pairs(self) -> tuple[Rows, Rows, Floats]:
        """Query, row and what their product is at most, of the pairs that still can't be left out, query by query."""
        query, row, most = (np.concatenate(parts) for parts in zip(*self._found, strict=True))
        kept = np.flatnonzero((most >= self.least[query, 0]) & (self.counts[query] <= _MOST))
        kept = kept[np.lexsort((-most[kept], query[kept]))]
        return query[kept], row[kept], most[kept]


def product_with(queries: NDArray[np.uint8]) -> Callable[[NDArray[np.uint8]], NDArray[np.int32]]:
    """The exact product [rows, queries] of rows and `queries`, less `_ZERO` each, in one thread.

    ONNX Runtime has kernels for AMX, VNNI, AVX2 and NEON; NumPy has none for integers.
    """
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["rows", "queries", "zero", "zero"], ["products"])],
        "products",
        [helper.make_tensor_value_info("rows", TensorProto.UINT8, [None, queries.shape[1]])],
        [helper.make_tensor_value_info("products", TensorProto.INT32, [None, len(queries)])],
        [
            # A constant is packed for the kernel once.
            numpy_helper.from_array(np.ascontiguousarray(queries.T), "queries"),
            helper.make_tensor("zero", TensorProto.UINT8, [], [_ZERO]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda rows: session.run(None, {"rows": rows})[0]  # type: ignore[no-any-return]
