"""Families of candidates: sets of superpixels that may be an object or a part of one.

Every function returns (N, S) bool. Diversity of families helps more than the best family alone.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components, dijkstra

from alba.proposals.regions.superpixels import Superpixels

_PIECES = 6  # of each level, the largest


def level_sets(
    superpixels: Superpixels,
    values: NDArray[np.float32],
    thresholds: tuple[float, ...],
    smallest: float,
) -> NDArray[np.bool_]:
    """What exceeds each threshold: whole, its connected pieces, and these without their holes.

    Parameters
    ----------
    superpixels : Superpixels
    values : (S,) float32
    thresholds : tuple of float
    smallest : float
        Area in pixels below which a piece is left out.
    """
    sets = []
    for threshold in thresholds:
        level = values > threshold
        pieces = connected_pieces(superpixels, level, smallest)[:_PIECES]
        filled = [fill_holes(superpixels, piece) for piece in pieces]
        sets += [level[None], pieces, np.array(filled, bool).reshape(-1, len(superpixels))]
    return np.concatenate(sets)


def connected_pieces(
    superpixels: Superpixels, level: NDArray[np.bool_], smallest: float = 0.0
) -> NDArray[np.bool_]:
    """Connected pieces of one set with more than `smallest` pixels, the largest first."""
    low, high = superpixels.edges.T
    inside = (level[low] & level[high]).astype(np.float32)
    graph = superpixels.graph(inside)
    graph.eliminate_zeros()
    _, piece = connected_components(graph, directed=False)
    areas = np.bincount(piece, superpixels.areas * level)
    largest = np.argsort(-areas, kind="stable")[: np.count_nonzero(areas > smallest)]
    return (piece[None] == largest[:, None]) & level


def fill_holes(superpixels: Superpixels, member: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Add every enclosed piece of the outside that is smaller than the set itself."""
    outside = connected_pieces(superpixels, ~member)
    areas = outside @ superpixels.areas
    holes = (areas < 0.3 * superpixels.areas[member].sum()) & ~(outside & superpixels.on_border).any(1)
    return member | outside[holes].any(0)


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
