"""Inference: one video's stores in, its segmentation out."""

from alba.inference.segment import segment_video

__all__ = ["segment_video"]
