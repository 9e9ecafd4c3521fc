r"""Where a policy loses J&F: in the wrong slot, in no slot, by worse masks, or in frames without the object.

    OMP_NUM_THREADS=1 python benchmarks/grouping_losses.py \
        '{"layout": "davis17", "root": "cache/sprites/sprites-..."}' \
        --proposals cache/sprites/proposals-... --flow cache/sprites/flow-... \
        --selection cache/sprites/selection-... [--split val] cache/sprites/{assignment,reinforce}-...

Annotated videos are grouped at working resolution by the most probable decisions of each network, tracks
matched as in the evaluation. The best that is compared with begins each object of a frame with its best
single proposal, joins what raises its J after that, and never takes one object for another; "oracle" is the
teacher of supervised training. Every object of every frame counts once. Where another slot than the matched
one has at least .2 more J&F with it the object is in the wrong slot, below .1 it is in none; the rest of
what is lost is the masks'.

Videos are read once, so the networks must look at pictures of the same size, if at any, and have the same
settings of grouping.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray

from alba.config import DatasetSettings, LabelSettings, ReinforceSettings, load_settings
from alba.grouping import Episodes, GroupingVideo, roll_out
from alba.metrics.davis import match_tracks
from alba.oracle import label_video
from alba.training.assignment import load_training_videos, oracle_slots
from alba.training.checkpoint import Assignment, load_assignment, load_selection
from alba.training.compatibility import check_grouping, check_networks
from alba.training.corpus import Corpus
from alba.training.credit import pixels_of_objects
from alba.training.episodes import Example, score_by_truth
from alba.training.hardware import Hardware, use_hardware

KINDS = "wrong slot", "no slot", "worse mask", "object away"


def main() -> None:
    arguments = parse()
    dataset = load_settings(DatasetSettings, arguments.dataset)
    selection = load_selection(arguments.selection)
    assignments = [load_assignment(folder) for folder in arguments.networks]
    for folder, assignment in zip(arguments.networks, assignments, strict=True):
        check_networks(arguments.selection, selection, folder, assignment)
        check_grouping(folder, assignment, assignments[0].grouping)
        assert assignment.picture_size == assignments[0].picture_size, f"{folder} sees other pictures"
    with TemporaryDirectory() as labels, use_hardware(ReinforceSettings()) as hardware:
        corpus = Corpus.of(dataset, arguments.split, arguments.proposals, arguments.flow, Path(labels))
        for video in corpus.videos:
            stores = (folder / f"{video.name}.zarr" for folder in (arguments.proposals, Path(labels)))
            label_video(video, LabelSettings(), *stores)
        videos = load_training_videos(corpus, selection, arguments.selection, assignments[0])
        examples = [score_by_truth(video, hardware) for video in videos]
        print(f"{'network':24s}{'J&F':>8s}{'best':>8s}{'oracle':>8s}" + "".join(f"{k:>16s}" for k in KINDS))
        for folder, assignment in zip(arguments.networks, assignments, strict=True):
            report(folder.name, examples, assignment, hardware)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("dataset", help="data set: JSON text or a file")
    parser.add_argument("networks", type=Path, nargs="+", help="checkpoints of assignment or reinforce")
    for name in ("proposals", "flow", "selection"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--split", default="val")
    return parser.parse_args()


def report(name: str, examples: Sequence[Example], assignment: Assignment, hardware: Hardware) -> None:
    """Print J&F and what each kind of loss takes of it, with the number of objects in frames."""
    parts = [losses_of(example, assignment, hardware) for example in examples if example.usable]
    mine, best, oracle, kind = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    lost = [f"{(best - mine)[kind == k].sum() / len(kind):8.3f} ({(kind == k).sum():5d})" for k in range(4)]
    print(f"{name:24s}{mine.mean():8.3f}{best.mean():8.3f}{oracle.mean():8.3f}" + "".join(lost), flush=True)


def losses_of(
    example: Example, assignment: Assignment, hardware: Hardware
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """J&F of the policy, at best and of the oracle, and kind of loss: (T O,) each."""
    video, truth = example.video, example.truth
    num_slots, num_objects = assignment.grouping.num_slots, truth.num_objects

    def taught(slots: list[NDArray[np.uint8]]) -> NDArray[np.float64]:
        episodes = roll_out([video], assignment.observer, None, num_slots, teacher=[slots])
        return matched_quality(example, episodes)[0]

    network = hardware.run(assignment.network)
    episodes = roll_out([video], assignment.observer, network, num_slots, device=hardware.device)
    mine, any_slot = matched_quality(example, episodes)
    assert video.truth is not None
    present = (video.truth[..., None] == np.arange(1, num_objects + 1)).any((1, 2))
    kind = np.select([~present, any_slot > mine + 0.2, mine < 0.1], [3, 0, 1], 2)
    best = taught(best_slots(video, num_objects))
    oracle = taught(oracle_slots(video, LabelSettings().join_min_precision, num_slots))
    return mine.ravel(), best.ravel(), oracle.ravel(), kind.ravel()


def matched_quality(example: Example, episodes: Episodes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """J&F of each object in each frame with its track, and with whichever slot fits best: (T, O) each."""
    maps = torch.from_numpy(episodes.video_label_maps(0)[0]).to(example.truth.device)
    J, F = (scores.cpu().numpy() for scores in example.truth.score(maps))
    quality = (J + F) / 2
    tracks = match_tracks(J, F)
    return quality[:, tracks, np.arange(len(tracks))], quality.max(1)


def best_slots(video: GroupingVideo, num_objects: int) -> list[NDArray[np.uint8]]:
    """Slot of every proposal, that of its object: the best single one first, then what raises J."""
    assert video.truth is not None
    slots = []
    for frame, truth in zip(video.frames, video.truth, strict=True):
        pixels = pixels_of_objects(frame.cell_map, truth, len(frame.sizes), num_objects)
        slots.append(best_slots_of_frame(frame.membership, pixels))
    return slots


def best_slots_of_frame(membership: NDArray[np.bool_], pixels: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Slots of the N proposals of a frame of A cells: membership (N, A), pixels (A, O + 1), all last."""
    num, num_objects = len(membership), pixels.shape[1] - 1
    slots = np.zeros(num, np.uint8)
    if not num:
        return slots
    size = pixels[:, :-1].sum(0)

    def similarity(cells: NDArray[np.bool_], o: int) -> float:
        shared, area = pixels[cells, o].sum(), pixels[cells, -1].sum()
        return float(shared / max(area + size[o] - shared, 1))

    alone = np.array([[similarity(cells, o) for o in range(num_objects)] for cells in membership])
    # Where two objects have the same best proposal it is that of the one that it fits better.
    first = {int(alone[:, o].argmax()): int(o) for o in np.argsort(alone.max(0)) if alone[:, o].any()}
    held: dict[int, NDArray[np.bool_]] = {}
    free = np.ones(len(pixels), bool)
    for i, cells in enumerate(membership):
        gains = {o: similarity(mask | cells & free, o) - similarity(mask, o) for o, mask in held.items()}
        joined = first.get(i, max(gains, key=lambda o: gains[o], default=None))
        if joined is None or (i not in first and gains[joined] <= 0):
            continue
        held[joined] = held.get(joined, np.zeros_like(free)) | cells & free
        free &= ~cells
        slots[i] = joined + 1
    return slots


if __name__ == "__main__":
    main()
