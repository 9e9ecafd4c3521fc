"""Scoring of segmentations on disk, ours or any method's."""

from alba.evaluation.evaluate import evaluate
from alba.evaluation.submission import write_submission
from alba.evaluation.tables import COLUMNS, Results, results_table, write_results

__all__ = ["COLUMNS", "Results", "evaluate", "results_table", "write_results", "write_submission"]
