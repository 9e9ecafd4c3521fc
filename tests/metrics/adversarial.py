"""Videos that are hard to score: ground truth and predictions as label maps."""

import numpy as np
from hypothesis import strategies as st

VOID = 255

TRAITS = (
    "void",  # pixels left open in the ground truth, in blobs and one by one
    "vanishing",  # objects and tracks that end, or come and go
    "gaps",  # ids below the largest that no pixel has
    "late",  # ids that the first frame has not
    "one-pixel",  # masks of a single pixel
    "borders",  # masks along all four borders and in the corners
    "empty-frames",  # frames without any mask
    "equal",  # predictions that are the ground truth
)


FEW_FRAMES = st.sampled_from([1, 2, 3, 4, 5, 7, 12])


@st.composite
def videos(draw, num_frames=FEW_FRAMES, max_labels=4, max_side=14):
    """(T, H, W) ground truth, of 1 to `max_labels` objects in its first frame, and predictions."""
    shape = (draw(num_frames), draw(st.integers(1, max_side)), draw(st.integers(1, max_side)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    traits = draw(st.sets(st.sampled_from(TRAITS)))
    num_objects, num_tracks = draw(st.integers(1, max_labels)), draw(st.integers(0, max_labels + 1))
    return build(rng, shape, num_objects, num_tracks, traits)


def build(rng, shape, num_objects, num_tracks, traits):
    """Ground truth and predictions with the given traits."""
    truth, prediction = (blocks(rng, shape, num_labels, traits) for num_labels in (num_objects, num_tracks))
    if "equal" in traits:
        prediction = np.where(truth <= num_tracks, truth, 0).astype(np.uint8)
    if "late" in traits:
        truth[1:][rng.random(truth[1:].shape) < 0.1] = num_objects + 1
    if "void" in traits:
        truth[:, : shape[1] // 3, : shape[2] // 2] = VOID
        truth[rng.random(shape) < 0.05] = VOID
    truth[0].flat[rng.integers(truth[0].size)] = num_objects
    return truth, prediction


def blocks(rng, shape, num_labels, traits):
    """Label maps of blocks that drift."""
    cell = int(rng.integers(1, 6))
    rows, columns = (side // cell + 1 for side in shape[1:])
    first = rng.integers(0, num_labels + 1, (rows, columns))
    maps = np.stack([np.roll(first, (t // 3, t // 5), (0, 1)) for t in range(shape[0])])
    maps = np.kron(maps, np.ones((1, cell, cell), int))[:, : shape[1], : shape[2]].astype(np.uint8)
    if "one-pixel" in traits and num_labels:
        maps[maps == num_labels] = 0
        maps[:, rng.integers(shape[1]), rng.integers(shape[2])] = num_labels
    if "borders" in traits and num_labels:
        maps[:, [0, -1], :] = maps[:, :, [0, -1]] = 1
        maps[:, 0, 0], maps[:, -1, -1] = 0, num_labels
    if "gaps" in traits and num_labels > 1:
        maps[maps == rng.integers(1, num_labels)] = 0
    if "vanishing" in traits:
        for label in range(1, num_labels + 1):
            gone = rng.random(shape[0]) < 0.3
            gone |= np.arange(shape[0]) > rng.integers(shape[0])
            maps[gone] *= maps[gone] != label
    if "empty-frames" in traits:
        maps[rng.random(shape[0]) < 0.5] = 0
    return maps
