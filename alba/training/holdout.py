"""Training videos that a network does not learn from, so that the best of its epochs can be told."""

from collections.abc import Sequence

import numpy as np

from alba.errors import TrainingError
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
    first_of: dict[str, str] = {}
    for video in corpus.videos:
        first_of.setdefault(video.backdrop, video.name)
    chosen = set(choose_validation([*first_of.values()], share, seed))
    return [video.name for video in corpus.videos if first_of[video.backdrop] in chosen]


def folds_of(corpus: Corpus, num_folds: int) -> list[int]:
    """Fold of every video; the videos of an origin share theirs, and origins take turns as they come.

    Parameters
    ----------
    corpus : Corpus
    num_folds : int
        At most; never more than there are origins.

    Raises
    ------
    TrainingError
        A video would be shown in two folds, so that no network could be asked about what it has not seen.
    """
    numbers: dict[str, int] = {}
    for video in corpus.videos:
        numbers.setdefault(video.backdrop, len(numbers))
    folds = [numbers[video.backdrop] % min(num_folds, len(numbers)) for video in corpus.videos]
    fold_of: dict[str, int] = {}
    for video, fold in zip(corpus.videos, folds, strict=True):
        for shown in video.made_from or (video.name,):
            if fold_of.setdefault(shown, fold) != fold:
                raise TrainingError(
                    f"{video.name} shows {shown}, which belongs to another fold of cross-fitting",
                    "learn from composites beside the data set that they are made from alone, and make "
                    "generate.groups a multiple of selection.folds",
                )
    return folds
