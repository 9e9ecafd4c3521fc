"""Masks and label maps: bits, indexed PNGs, boundaries."""

from alba.masks.bits import pack_masks, packed_width, unpack_masks
from alba.masks.boundary import boundary_map, boundary_radius, dilate
from alba.masks.label_map import (
    MAX_OBJECTS,
    PALETTE,
    VOID,
    label_map_to_masks,
    paint,
    read_label_map,
    write_label_map,
)
from alba.masks.main_track import keep_main_track, track_weights
from alba.masks.overlap import intersection_counts, iou_matrix, mask_boxes

__all__ = [
    "MAX_OBJECTS",
    "PALETTE",
    "VOID",
    "boundary_map",
    "boundary_radius",
    "dilate",
    "intersection_counts",
    "iou_matrix",
    "keep_main_track",
    "label_map_to_masks",
    "mask_boxes",
    "pack_masks",
    "packed_width",
    "paint",
    "read_label_map",
    "track_weights",
    "unpack_masks",
    "write_label_map",
]
