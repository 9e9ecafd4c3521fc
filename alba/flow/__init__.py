"""Optical flow: one protocol, several backends, and the stage that writes the flow store."""

from alba.flow.protocol import BatchFlowBackend, FlowBackend, FramePair
from alba.flow.stage import compute_flow, load_backend

__all__ = ["BatchFlowBackend", "FlowBackend", "FramePair", "compute_flow", "load_backend"]
