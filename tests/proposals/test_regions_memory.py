import numpy as np

from alba.proposals.regions.memory import Memory
from alba.proposals.regions.superpixels import Superpixels

HEIGHT, WIDTH, COLUMNS = 12, 24, 6


def columns() -> Superpixels:
    """A frame split into six upright bars of four pixels."""
    labels = np.repeat(np.arange(COLUMNS, dtype=np.int32), WIDTH // COLUMNS)[None].repeat(HEIGHT, 0)
    edges = np.stack([np.arange(COLUMNS - 1), np.arange(1, COLUMNS)], 1).astype(np.int32)
    areas = np.bincount(labels.ravel()).astype(np.float32)
    return Superpixels(labels, areas, edges, np.full(COLUMNS - 1, HEIGHT, np.float32))


def flow_back(dx: float) -> np.ndarray:
    flow = np.zeros((2, HEIGHT, WIDTH), np.float32)
    flow[0] = dx
    return flow


def bars(*chosen: int) -> np.ndarray:
    return np.isin(np.arange(COLUMNS), chosen)


def test_first_frame_has_no_past():
    recalled = Memory().recall(columns(), flow_back(0))
    assert recalled.coverage.shape == (0, COLUMNS)
    assert not recalled.consensus.any()


def test_proposals_arrive_where_the_flow_takes_them():
    memory, consensus = Memory(), np.float32([0, 1, 0.5, 0, 0, 0])
    memory.keep(columns(), bars(1)[None], consensus)
    recalled = memory.recall(columns(), flow_back(-4))  # what is here was one bar further left
    np.testing.assert_allclose(recalled.coverage, [bars(2)], atol=1e-6)
    np.testing.assert_allclose(recalled.consensus, [0, 0, 1, 0.5, 0, 0], atol=1e-6)


def test_consensus_fades_when_nothing_confirms_it():
    memory, nothing = Memory(), np.zeros(COLUMNS, np.float32)
    memory.keep(columns(), bars(1)[None], bars(1).astype(np.float32))
    for _ in range(2):
        memory.recall(columns(), flow_back(0))
        memory.keep(columns(), np.zeros((0, COLUMNS), bool), nothing)
    recalled = memory.recall(columns(), flow_back(0))
    np.testing.assert_allclose(recalled.consensus, 0.25 * bars(1), atol=1e-6)
    assert len(recalled.coverage) == 0
