"""Refinement of one segmented video: every track is drawn anew, at every pixel."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from alba.config import REFINED, REVISIONS, network_settings
from alba.datasets import Video, open_as
from alba.errors import StoreError
from alba.inference.publish import check_places, publish_segmentation
from alba.masks import MAX_OBJECTS
from alba.progress import progress
from alba.proposals.regions.superpixels import find_superpixels
from alba.refinement import ObjectCues, Scene, View, shared_cues
from alba.store import ProposalStore, SegmentationStore
from alba.training.checkpoint import Refinement, load_refinement
from alba.training.refinement import refine
from alba.training.scenes import read_views


def refine_video(
    video: Video,
    proposals: Path,
    flow: Path,
    segmentation: Path,
    refinement: Path,
    output: Path,
    masks: Path,
) -> None:
    """Refine a segmentation; publish indexed PNGs and the store that announces them.

    Parameters
    ----------
    video : Video
    proposals, flow : Path
        Stores of the video.
    segmentation : Path
        Store of the segmentation whose tracks are refined; where only its main track is shown, that one.
    refinement : Path
        Checkpoint folder.
    output : Path
        Segmentation store.
    masks : Path
        Folder of the PNGs, named like the frames.

    Raises
    ------
    CheckpointError
        There is no refinement network in the folder.
    StoreError
        A store is missing, damaged or not of this video, the segmentation is of other proposals or refined
        already, or an output's place is taken.
    """
    check_places(output, masks)
    trained = load_refinement(refinement)
    rough = open_as(SegmentationStore, segmentation, video)
    digest = open_as(ProposalStore, proposals, video).digest
    if rough.attributes["provenance"]["inputs"].get("proposals", digest) != digest:
        raise StoreError(
            f"{segmentation} was made from other proposals than {proposals}",
            "name those that it was made from",
        )
    selection, slots = rough.read("selection"), rough.read("slot")
    tracks = _tracks_of(rough, segmentation)
    most = 1 if tracks == "main" else MAX_OBJECTS

    def painter(t: int, _: NDArray[np.bool_]) -> NDArray[np.uint8]:
        return np.minimum(rough.read("label_maps", t), most)

    views: list[View] = []
    superpixels = []
    source = read_views(
        video, proposals, flow, selection, np.minimum(slots, most), painter, trained.settings.pixels
    )
    for work, motion, view in progress(source, f"look at {video.name}", len(video)):
        views.append(view)
        superpixels.append(find_superpixels(work.lab, motion.residual).labels.astype(np.uint16))
    scene = Scene.of(views)
    probabilities, ids = _probabilities(scene, trained, tracks)
    refined = np.stack(
        [
            _draw(probabilities[:, t], ids, superpixels[t], video.size)
            for t in progress(range(len(video)), f"draw {video.name}")
        ]
    )
    provenance = {
        "stage": "refine",
        "row": REFINED,
        "settings": network_settings(trained.settings),
        "revision": REVISIONS["refine"],
        "inputs": {"video": video.name, "segmentation": rough.digest},
    }
    publish_segmentation(video, refined, selection, slots, provenance, output, masks)


def _tracks_of(rough: SegmentationStore, path: Path) -> str:
    """Which tracks a segmentation shows, as in `SegmentSettings`."""
    provenance = rough.attributes["provenance"]
    if provenance["stage"] != "segment":
        raise StoreError(f"{path} is refined already", "name the segmentation that it was made from")
    return str(provenance["settings"]["tracks"])


def _probabilities(scene: Scene, trained: Refinement, tracks: str) -> tuple[NDArray[np.float16], list[int]]:
    """Maps of all tracks, (K, T, h, w), and which tracks they are."""
    ids = [1] if tracks == "main" else scene.track_ids
    shared, cues = shared_cues(scene), ObjectCues(scene)
    maps = np.zeros((len(ids), len(scene), *scene.size), np.float16)
    for target, k in zip(maps, progress(ids, "refine", unit="track"), strict=True):
        target[:] = refine(trained, shared, cues.of(k))
    return maps, ids


def _draw(
    probabilities: NDArray[np.float16],
    ids: list[int],
    superpixels: NDArray[np.uint16],
    size: tuple[int, int],
) -> NDArray[np.uint8]:
    """Label map of a frame: the likeliest track of each pixel where it is likelier than not.

    Half of a probability is its mean over the superpixel, which keeps to the edges that there are.

    Parameters
    ----------
    probabilities : (K, h, w) float16
    ids : list of int
    superpixels : (h', w') uint16
        At the size of the regions.
    size : (int, int)
        (H, W).
    """
    label_map = np.zeros(size, np.uint8)
    best = np.full(size, 0.5, np.float32)
    areas = np.bincount(superpixels.ravel())
    for k, probability in zip(ids, probabilities, strict=True):
        at_regions = enlarge(probability.astype(np.float32), superpixels.shape)
        means = np.bincount(superpixels.ravel(), at_regions.ravel()) / areas
        mixed = enlarge(((at_regions + means[superpixels]) / 2).astype(np.float32), size)
        likelier = mixed > best
        label_map[likelier] = k
        best[likelier] = mixed[likelier]
    return label_map


def enlarge(picture: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    """Interpolate an (h, w) picture bilinearly at (H, W) pixels."""
    return cv2.resize(picture, size[::-1], interpolation=cv2.INTER_LINEAR)
