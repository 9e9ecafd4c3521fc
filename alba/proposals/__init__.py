"""Mask proposals: one protocol, several backends, and the stage that writes the proposals store."""

from alba.proposals.protocol import BatchProposalBackend, FrameInput, ProposalBackend, Proposals
from alba.proposals.stage import compute_proposals, load_backend

__all__ = [
    "BatchProposalBackend",
    "FrameInput",
    "ProposalBackend",
    "Proposals",
    "compute_proposals",
    "load_backend",
]
