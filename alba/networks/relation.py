"""The relational assignment network: does a proposal belong to a slot? (section 3.1, figure 3)"""

import torch
from torch import Tensor, nn

from alba.config import AssignmentSettings
from alba.networks.layers import Encoder, Standardize, mlp


class LateRelation(nn.Module):
    """One MLP over the vector that relates a proposal and a slot; the same for every slot.

    Parameters
    ----------
    settings : AssignmentSettings
    num_inputs : int
        Length of a relation vector.
    """

    def __init__(self, settings: AssignmentSettings, num_inputs: int) -> None:
        super().__init__()
        self.standardize = Standardize(num_inputs)
        self.head = mlp(num_inputs, settings.hidden)

    def inputs(self, rows: Tensor) -> Tensor:
        """What `standardize` is fitted on: (P, num_inputs) float."""
        return rows.flatten(0, 1)

    def forward(self, rows: Tensor, num_live: int) -> Tensor:
        """Logits (M, L) of relation vectors (M, L, num_inputs)."""
        logits: Tensor = self.head(self.standardize(rows))
        return logits[..., 0]


class EarlyRelation(nn.Module):
    """Siamese encoder over (I, u, v, p_i, M_{t-1}^k, M_{<i,t}^k), joined by f_i, for every slot k.

    Parameters
    ----------
    settings : AssignmentSettings
    num_features : int
        D, length of f.
    """

    def __init__(self, settings: AssignmentSettings, num_features: int) -> None:
        super().__init__()
        self.rgb = settings.encoder.rgb
        self.encoder = Encoder((5 if self.rgb else 2) + 3, settings.encoder.widths)
        self.standardize = Standardize(num_features)
        self.head = mlp(self.encoder.num_features + num_features, settings.hidden)

    def inputs(self, label_maps: Tensor, pictures: Tensor, features: Tensor) -> Tensor:
        """What `standardize` is fitted on: (P, num_features) float."""
        return features

    def forward(self, label_maps: Tensor, pictures: Tensor, features: Tensor, num_live: int) -> Tensor:
        """Logits of joining slots 1..L.

        Parameters
        ----------
        label_maps : (M, 3, S, S) uint8
            Slots of M_{t-1}, slots of M_{<i,t}, the proposal.
        pictures : (M, 5, S, S) float16
            Red, green, blue, u, v.
        features : (M, D) float32
        num_live : int
            L.

        Returns
        -------
        (M, L) float32
        """
        shared = pictures.float() if self.rgb else pictures[:, 3:].float()
        shared = torch.cat([shared, label_maps[:, 2:].float()], dim=1)
        slots = torch.arange(1, num_live + 1, device=label_maps.device, dtype=torch.uint8)
        of_slot = (label_maps[:, None, :2] == slots[:, None, None, None]).float()
        shared = shared[:, None].expand(-1, num_live, -1, -1, -1)
        encoded = self.encoder(torch.cat([shared, of_slot], dim=2).flatten(0, 1))
        own = self.standardize(features)[:, None].expand(-1, num_live, -1)
        joined = torch.cat([encoded.unflatten(0, (-1, num_live)), own], dim=2)
        logits: Tensor = self.head(joined)
        return logits[..., 0]
