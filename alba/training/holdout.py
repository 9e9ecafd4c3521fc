"""Training videos that a network does not learn from, so that the best of its epochs can be told."""

from collections.abc import Sequence

import numpy as np

from alba.training.corpus import Corpus


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


def leave_out(corpus: Corpus, share: float, seed: int) -> list[str]:
    """Names of the videos of a corpus to validate on: a share of the origins, all videos of each.

    An origin is chosen by the name of its first video: what else is made from a data set's videos does not
    change which of them are left out.
    """
    origin_of = {video.name: origin for video, origin in zip(corpus.videos, corpus.origins, strict=True)}
    first_of: dict[int, str] = {}
    for name, origin in origin_of.items():
        first_of.setdefault(origin, name)
    origins = {origin_of[name] for name in choose_validation([*first_of.values()], share, seed)}
    return [name for name, origin in origin_of.items() if origin in origins]
