"""Trees of merging regions: every node is a coherent piece of the frame."""

import numpy as np
from numpy.typing import NDArray

from alba.proposals.regions.superpixels import Superpixels
from alba.stand_ins import StandIn, stand_ins

with stand_ins([StandIn("higra.plot")]):  # it imports matplotlib, which takes longer than all else here
    import higra as hg

_LAST_MERGES = 80  # what merges earlier is too alike its surroundings to be an object


def tree_nodes(
    superpixels: Superpixels, means: NDArray[np.float32], smallest: float, largest: float
) -> NDArray[np.bool_]:
    """Merge the most similar neighbours until one region is left, in two ways.

    Ward's cost, the growth of the variance within, prefers compact pieces of like size; the mean
    step across the common boundary lets one large piece grow along what it resembles.

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
        Members of the nodes of both trees.
    """
    low, high = superpixels.edges.T
    graph = hg.UndirectedGraph(len(superpixels))
    graph.add_edges(low, high)
    areas = superpixels.areas.astype(np.float64)
    ward, _ = hg.binary_partition_tree_ward_linkage(graph, means.astype(np.float64), areas, "none")
    steps = np.linalg.norm(means[low] - means[high], axis=1).astype(np.float64)
    mean_step, _ = hg.binary_partition_tree_average_linkage(
        graph, steps, superpixels.lengths.astype(np.float64)
    )
    return np.concatenate([_late_nodes(tree, areas, smallest, largest) for tree in (ward, mean_step)])


def _late_nodes(
    tree: hg.Tree, areas: NDArray[np.float64], smallest: float, largest: float
) -> NDArray[np.bool_]:
    """Members of the parts of the last merges, (N, S) bool."""
    parents = tree.parents()
    nodes = np.arange(len(parents))
    sizes = hg.attribute_area(tree, areas)
    late = parents >= len(parents) - _LAST_MERGES
    kept = np.flatnonzero(late & (sizes >= smallest) & (sizes <= largest))
    within = nodes[:, None] == kept
    for node in nodes[late][-2::-1]:  # but the root; parents have higher numbers than their children
        within[node] |= within[parents[node]]
    lowest = hg.propagate_sequential(tree, nodes, ~late)  # late node that each node lies in
    return within[lowest[: len(areas)]].T
