"""The pairwise assignment network: are two proposals of the same object? (section 4.1, row "A" of table 1)"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from alba.config import AssignmentSettings
from alba.networks.layers import Standardize, mlp


class PairwiseNetwork(nn.Module):
    """One MLP over a pair of proposals; a slot is as similar as the more similar of its two leads.

    A proposal joins the most similar slot if that one is more likely the same object than not, else a
    free slot; where none is free it joins nothing if it may, or the most similar slot.

    Parameters
    ----------
    settings : AssignmentSettings
    num_inputs : int
        Length of the vector that describes a pair.
    num_slots : int
        K.
    none_action : bool
    """

    def __init__(
        self, settings: AssignmentSettings, num_inputs: int, num_slots: int, none_action: bool
    ) -> None:
        super().__init__()
        self.num_slots, self.none_action = num_slots, none_action
        self.standardize = Standardize(num_inputs)
        self.head = mlp(num_inputs, settings.hidden)

    def inputs(self, rows: Tensor) -> Tensor:
        """The pairs that there are: (P, num_inputs) of (M, L, 2, 1 + num_inputs)."""
        return rows[rows[..., 0] > 0][:, 1:]

    def forward(self, rows: Tensor, num_live: int) -> Tensor:
        """Logits of joining slots 1..L, and of joining nothing where that is possible.

        Parameters
        ----------
        rows : (M, L, 2, 1 + num_inputs) float32
            Of `PairObserver`; the first entry is 0 where there is no pair.
        num_live : int
            L.

        Returns
        -------
        (M, L) or (M, L + 1) float32
            Of a used slot the logit of "same object". An empty slot has what makes all empty ones together
            weigh as much as "neither": 0, less the logarithm of their number.
        """
        known = rows[..., 0] > 0
        pairs = torch.full_like(rows[..., 0], -torch.inf)
        same = self.head(self.standardize(rows[known][:, 1:]))[:, 0]
        pairs[known] = same.to(pairs.dtype)  # half of the bits in mixed precision
        used = known.any(2)
        num_empty = self.num_slots - used.sum(1, keepdim=True)
        logits = torch.where(used, pairs.amax(2), -num_empty.clamp_min(1).to(pairs.dtype).log())
        if self.none_action:
            nothing = torch.zeros_like(logits[:, :1]).masked_fill(num_empty > 0, -torch.inf)
            logits = torch.cat([logits, nothing], dim=1)
        return logits

    @staticmethod
    def loss(logits: Tensor, choice: Tensor, num_used: Tensor) -> Tensor:
        """Log loss of "same object" over used slots, which are another's but for the one that was joined.

        The mean over the slots of a decision, summed over decisions.

        Parameters
        ----------
        logits : (M, L) or (M, L + 1) float
        choice : (M,) int64
            Index of what the oracle joins; beyond the used slots it is a new object or none.
        num_used : (M,) int64
        """
        slots = torch.arange(logits.shape[1], device=logits.device)
        used = slots < num_used[:, None]
        same = (slots == choice[:, None]).to(logits.dtype)
        losses = torch.zeros_like(logits)
        losses[used] = functional.binary_cross_entropy_with_logits(logits[used], same[used], reduction="none")
        return (losses.sum(1) / used.sum(1).clamp_min(1)).sum()
