"""Trees of merging regions: every node is a coherent piece of the frame."""

from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from alba.proposals.regions.superpixels import Superpixels

_POWER = 0.75  # 1 would be Ward's cost, which grows with the regions
_LAST_MERGES = 80  # what merges earlier is too alike its surroundings to be an object


def tree_nodes(
    superpixels: Superpixels, means: NDArray[np.float32], smallest: float, largest: float
) -> NDArray[np.bool_]:
    """Merge the most similar neighbours until one region is left.

    The cost of a merge is Ward's: the growth of the variance within, damped in the areas so that
    large regions may still join.

    Parameters
    ----------
    superpixels : Superpixels
    means : (S, C) float32
        What similar regions have in common, scaled so that Euclidean distance is meaningful.
    smallest, largest : float
        Areas in pixels; other nodes are left out.

    Returns
    -------
    (N, S) bool
        Members of every node, in the order of merging.
    """
    children = _merge(superpixels, means)
    areas = [float(a) for a in superpixels.areas]
    order, start, stop = _leaf_order(len(superpixels), children)
    for one, other in children:
        areas.append(areas[one] + areas[other])
    late = [node for pair in children[-_LAST_MERGES:] for node in pair]
    kept = [node for node in late if smallest <= areas[node] <= largest]
    members = np.zeros((len(kept), len(superpixels)), bool)
    for row, node in zip(members, kept, strict=True):
        row[order[start[node] : stop[node]]] = True
    return members


def _merge(superpixels: Superpixels, means: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Pairs of nodes in the order of merging; the k-th pair becomes node S + k."""
    count = len(superpixels)
    area = superpixels.areas.tolist()
    mean = means.tolist()
    neighbours: list[set[int]] = [set() for _ in range(count)]
    low, high = superpixels.edges.T
    distance = np.square(means[low] - means[high]).sum(1)
    harmonic = superpixels.areas[low] * superpixels.areas[high]
    harmonic /= superpixels.areas[low] + superpixels.areas[high]
    pairs = superpixels.edges.tolist()
    for i, j in pairs:
        neighbours[i].add(j)
        neighbours[j].add(i)
    heap = [(c, i, j) for c, (i, j) in zip((distance * harmonic**_POWER).tolist(), pairs, strict=True)]
    heapify(heap)
    alive = [True] * count
    children = []
    while heap:
        _, i, j = heappop(heap)
        if not (alive[i] and alive[j]):
            continue
        node = len(area)
        children.append((i, j))
        alive[i] = alive[j] = False
        alive.append(True)
        a, b = area[i], area[j]
        total = a + b
        area.append(total)
        here = [(a * x + b * y) / total for x, y in zip(mean[i], mean[j], strict=True)]
        mean.append(here)
        around = (neighbours[i] | neighbours[j]) - {i, j}
        neighbours.append(around)
        for k in around:
            near = neighbours[k]
            near.discard(i)
            near.discard(j)
            near.add(node)
            gap = sum([(x - y) * (x - y) for x, y in zip(here, mean[k], strict=True)])
            heappush(heap, (gap * (total * area[k] / (total + area[k])) ** _POWER, k, node))
    return children


def _leaf_order(count: int, children: list[tuple[int, int]]) -> tuple[NDArray[np.intp], list[int], list[int]]:
    """Leaves in depth-first order, and the range of every node in it."""
    sizes = [1] * count
    for one, other in children:
        sizes.append(sizes[one] + sizes[other])
    start = [0] * len(sizes)
    for node in range(len(sizes) - 1, count - 1, -1):
        one, other = children[node - count]
        start[one], start[other] = start[node], start[node] + sizes[one]
    order = np.empty(count, np.intp)
    order[start[:count]] = np.arange(count)
    return order, start, [a + b for a, b in zip(start, sizes, strict=True)]
