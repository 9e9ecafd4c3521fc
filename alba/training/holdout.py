"""Training videos that a network does not learn from, so that the best of its epochs can be told."""

from collections.abc import Sequence

import numpy as np


def choose_validation(names: Sequence[str], share: float, seed: int) -> list[str]:
    """Names of the videos to validate on; they depend on the set of names, not on its order.

    Parameters
    ----------
    names : sequence of str
        Of all training videos.
    share : float in [0, 1)
        Rounded to whole videos; at least one video stays to learn from.
    seed : int
    """
    num = min(int(share * len(names) + 0.5), len(names) - 1)
    order = np.random.default_rng(seed).permutation(len(names))
    alphabetical = sorted(names)
    return sorted(alphabetical[j] for j in order[:num])
