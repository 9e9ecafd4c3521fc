"""Zero-shot video object segmentation by grouping."""

__version__ = "0.1.0"
