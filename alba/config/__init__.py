"""Typed settings: one model per stage, validated once, hashed into the keys of the stores."""

from alba.config.keys import REVISIONS, ROWS, stage_key
from alba.config.load import load_settings, parse_settings, read_words
from alba.config.settings import (
    AssignmentSettings,
    Configuration,
    DatasetSettings,
    EncoderSettings,
    EvaluationSettings,
    FlowSettings,
    GroupingSettings,
    LabelSettings,
    ProposalSettings,
    ProtocolName,
    ReinforceSettings,
    SegmentSettings,
    SelectionSettings,
    SpritesSettings,
    Stages,
    TrainingSettings,
)

__all__ = [
    "REVISIONS",
    "ROWS",
    "AssignmentSettings",
    "Configuration",
    "DatasetSettings",
    "EncoderSettings",
    "EvaluationSettings",
    "FlowSettings",
    "GroupingSettings",
    "LabelSettings",
    "ProposalSettings",
    "ProtocolName",
    "ReinforceSettings",
    "SegmentSettings",
    "SelectionSettings",
    "SpritesSettings",
    "Stages",
    "TrainingSettings",
    "load_settings",
    "parse_settings",
    "read_words",
    "stage_key",
]
