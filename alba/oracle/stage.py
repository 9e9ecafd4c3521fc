"""The labels stage: one annotated video's proposals into a labels store."""

from pathlib import Path

import numpy as np

from alba.config import REVISIONS, LabelSettings
from alba.datasets import Video, open_as
from alba.masks import VOID
from alba.oracle.greedy import label_frame
from alba.progress import progress
from alba.store import LABELS, ProposalStore, StoreWriter


def label_video(video: Video, settings: LabelSettings, proposals: Path, output: Path) -> None:
    """Write the labels store of one video.

    Parameters
    ----------
    video : Video
        Must be annotated.
    settings : LabelSettings
    proposals : Path
        The video's proposals store.
    output : Path

    Raises
    ------
    DatasetError
        The video has no annotations, or one is damaged.
    StoreError
        The proposals are of another video.
    """
    store = open_as(ProposalStore, proposals, video)
    truth = np.stack([video.annotation(t) for t in range(len(video))])
    num_objects = int(truth.max(initial=0, where=truth != VOID))
    provenance = {
        "stage": "labels",
        "settings": settings.model_dump(mode="json"),
        "revision": REVISIONS["labels"],
        "inputs": {"video": video.name, "proposals": store.digest},
    }
    with StoreWriter(output, LABELS, video.size, provenance) as writer:
        writer.append("object_ids", np.arange(1, num_objects + 1, dtype=np.uint8))
        for t in progress(range(len(video)), f"label {video.name}"):
            labels = label_frame(store.frame_masks(t), truth[t], num_objects, settings)
            writer.append("iou", labels.iou)
            writer.append("selected", labels.selected)
            writer.append("oracle_object", labels.oracle_object)
            writer.append("oracle_segmentation", labels.segmentation[None])
            writer.append("ground_truth", truth[t][None])
