"""Pictures and tables for people."""

from alba.reporting.ablation import compare_rows
from alba.reporting.overlay import draw_overlays

__all__ = ["compare_rows", "draw_overlays"]
