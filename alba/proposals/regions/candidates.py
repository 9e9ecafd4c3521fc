"""Families of candidates: sets of superpixels that may be an object or a part of one.

Every function returns (N, S) bool. Diversity of families helps more than the best family alone.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, dijkstra

from alba.proposals.regions.sets import Sets
from alba.proposals.regions.superpixels import Superpixels

_PIECES = 6  # of each level, the largest
_LARGEST_HOLE = 0.3  # of the set around it


def level_sets(
    superpixels: Superpixels,
    maps: NDArray[np.float32],
    thresholds: tuple[float, ...],
    smallest: float,
) -> NDArray[np.bool_]:
    """What exceeds each threshold: whole, its connected pieces, and these without their holes.

    Parameters
    ----------
    superpixels : Superpixels
    maps : (M, S) float32
    thresholds : tuple of float
    smallest : float
        Area in pixels below which a piece is left out.
    """
    levels = (maps[:, None] > np.array(thresholds, np.float32)[:, None]).reshape(-1, len(superpixels))
    pieces = largest_pieces(superpixels, levels, smallest)
    return np.concatenate([levels, pieces, fill_holes(superpixels, pieces)])


def largest_pieces(
    superpixels: Superpixels, members: NDArray[np.bool_], smallest: float
) -> NDArray[np.bool_]:
    """Connected pieces of each set that have more than `smallest` pixels, at most six of a set."""
    piece, owner = _connected_pieces(superpixels, members)
    areas = np.bincount(piece.ravel(), (members * superpixels.areas).ravel(), len(owner))
    order = np.flatnonzero(areas > smallest)
    order = order[np.lexsort((-areas[order], owner[order]))]
    rank = np.arange(len(order)) - np.searchsorted(owner[order], owner[order])
    chosen = order[rank < _PIECES]
    return (piece[owner[chosen]] == chosen[:, None]) & members[owner[chosen]]


def fill_holes(superpixels: Superpixels, members: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Add to each set every enclosed piece of its outside that is much smaller than the set itself."""
    if not len(members):
        return members
    sets = Sets(superpixels, members)
    # What reaches beyond the box of a set is outside and not enclosed: a straight line leads to the border.
    x0, y0, x1, y1 = superpixels.boxes.T
    left, top, right, bottom = sets.boxes.T[:, :, None]
    within = (x0 >= left) & (y0 >= top) & (x1 <= right) & (y1 <= bottom) & ~superpixels.on_border
    inner = within & ~members
    touched = superpixels.grow((~within & ~members).T, 1).T & inner
    piece, owner = _connected_pieces(superpixels, inner)
    areas = np.bincount(piece.ravel(), (inner * superpixels.areas).ravel(), len(owner))
    leaks = np.bincount(piece[touched], minlength=len(owner)) > 0
    holes = (areas < _LARGEST_HOLE * sets.areas[owner]) & ~leaks
    return members | (holes[piece] & inner)


def _connected_pieces(
    superpixels: Superpixels, members: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Pieces of K sets at once.

    Returns
    -------
    piece : (K, S) int32
        Piece of every superpixel of every set; what is not in a set is a piece of its own.
    owner : (P,) intp
        Set of every piece.
    """
    low, high = superpixels.edges.T
    both = members.take(low, axis=1) & members.take(high, axis=1)
    which, edge = np.divmod(np.flatnonzero(both), len(low))
    first = which * len(superpixels)
    ends = first + low[edge], first + high[edge]
    graph = coo_array((np.ones(len(edge)), ends), (members.size, members.size))
    num_pieces, flat = connected_components(graph.tocsr(), directed=False)
    owner = np.empty(num_pieces, np.intp)
    owner[flat] = np.repeat(np.arange(len(members)), len(superpixels))
    return flat.reshape(members.shape), owner


def distance_from_border(superpixels: Superpixels, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Geodesic distance of every superpixel from the frame's border, squeezed into [0, 1).

    A step between neighbours costs the difference of their values: an object that an unbroken
    edge sets off from the background is far from the border even where its inside does not move.

    Parameters
    ----------
    superpixels : Superpixels
    values : (S, C) float32
    """
    low, high = superpixels.edges.T
    steps = np.linalg.norm(values[low] - values[high], axis=1)
    sources = np.flatnonzero(superpixels.on_border)
    distance = dijkstra(superpixels.graph(np.maximum(steps, 1e-3)), indices=sources, min_only=True)
    return (distance / max(float(distance.max()), 1.0)).astype(np.float32)


def adjacent_pairs(superpixels: Superpixels, members: NDArray[np.bool_], most: int) -> NDArray[np.bool_]:
    """Unions of two candidates that touch and hardly overlap, those of the best candidates first.

    Parameters
    ----------
    superpixels : Superpixels
    members : (N, S) bool
        The best first.
    most : int
        Largest number of pairs.
    """
    low, high = superpixels.edges.T
    area = members @ superpixels.areas
    weighted = members.astype(np.float32)
    shared = (weighted * superpixels.areas) @ weighted.T
    crossing = weighted[:, low] @ weighted[:, high].T
    touching = (crossing + crossing.T) > 0
    smaller = np.minimum(area[:, None], area[None])
    larger = np.maximum(area[:, None], area[None])
    fit = touching & (shared < 0.1 * smaller) & (smaller > 0.05 * larger)
    one, other = np.nonzero(np.triu(fit, 1))
    first = np.argsort(one + other, kind="stable")[:most]
    return members[one[first]] | members[other[first]]
