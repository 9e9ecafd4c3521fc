"""Optical flow: one protocol, several backends, and the stage that writes the flow store."""

from alba.flow.protocol import FlowBackend
from alba.flow.stage import compute_flow, load_backend

__all__ = ["FlowBackend", "compute_flow", "load_backend"]
