"""Pictures and tables for people."""

from alba.reporting.ablation import compare_rows
from alba.reporting.comparison import OWN, compare_methods
from alba.reporting.overlay import draw_overlays

__all__ = ["OWN", "compare_methods", "compare_rows", "draw_overlays"]
