"""Segmentations drawn over their frames."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alba.datasets import Video
from alba.masks import PALETTE, VOID, read_label_map
from alba.masks.boundary import boundary_map
from alba.reporting.picture import save_picture

NUM_COLUMNS = 6
COLUMN_WIDTH = 320
OPACITY = 0.55


def draw_overlays(video: Video, masks: Path, output: Path) -> None:
    """Draw frames spread over a video with its segmentation, above those with the ground truth.

    Parameters
    ----------
    video : Video
    masks : Path
        Folder of indexed PNGs named like the frames.
    output : Path
        PNG: one column per frame; the lower row only where the video is annotated.

    Raises
    ------
    DatasetError
        A frame or PNG is missing, damaged or of another size.
    EvaluationError
        The picture cannot be written.
    """
    shown = np.unique(np.linspace(0, len(video) - 1, NUM_COLUMNS).round().astype(int))
    rows = [[blend(video.frame(t), _mask(video, t, masks)) for t in shown]]
    if video.annotation_paths is not None:
        rows.append([blend(video.frame(t), video.annotation(t)) for t in shown])
    sheet = np.concatenate([np.concatenate([_shrink(tile) for tile in row], axis=1) for row in rows])
    save_picture(output, Image.fromarray(sheet).save)


def blend(frame: NDArray[np.uint8], label_map: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colour the objects of a frame and draw their outlines.

    Parameters
    ----------
    frame : (H, W, 3) uint8 RGB
    label_map : (H, W) uint8
        0 background, 1..20; void is left as it is.

    Returns
    -------
    (H, W, 3) uint8 RGB
    """
    inside = (label_map > 0) & (label_map != VOID)
    colours = PALETTE[label_map]
    mixed = np.where(inside[..., None], (1 - OPACITY) * frame + OPACITY * colours, frame)
    mixed[boundary_map(np.where(inside, label_map, 0)) > 0] = 255
    return mixed.astype(np.uint8)


def _mask(video: Video, t: int, masks: Path) -> NDArray[np.uint8]:
    path = masks / f"{video.frame_paths[t].stem}.png"
    label_map = read_label_map(path)
    video.check_size(path, label_map.shape)
    return label_map


def _shrink(tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = tile.shape[:2]
    size = (COLUMN_WIDTH, max(1, round(height * COLUMN_WIDTH / width)))
    return np.array(Image.fromarray(tile).resize(size, Image.Resampling.LANCZOS))
