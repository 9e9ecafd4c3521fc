"""What the supervised trainings do with a batch: a step down its loss, and the sums for the log."""

import torch
from torch import Tensor, nn

from alba.training.hardware import Hardware
from alba.training.run import Run


class Tally:
    """Loss and accuracy over all decisions of an epoch, in all processes.

    Parameters
    ----------
    hardware : Hardware
    figure : str
        What stands beside the loss: "accuracy", or "iou" where masks are decided.
    """

    def __init__(self, hardware: Hardware, figure: str = "accuracy") -> None:
        self._hardware, self._figure = hardware, figure
        self.loss = self.right = self.count = 0.0

    def add(self, loss: Tensor, right: Tensor, count: int) -> float:
        """Take in a batch.

        Parameters
        ----------
        loss, right : () tensor
            Sum of the losses and number of right decisions, or sum of IoUs, in this process's share.
        count : int
            Decisions of the whole batch.

        Returns
        -------
        float
            Sum of the losses of the whole batch.
        """
        summed, correct = self._hardware.total(loss.item(), right.item())
        self.loss += summed
        self.right += correct
        self.count += count
        return summed

    def row(self, of: str) -> dict[str, float]:
        """Means, to be logged: of "train" or "validation"; none where nothing came in."""
        if not self.count:
            return {}
        return {f"loss/{of}": self.loss / self.count, f"{self._figure}/{of}": self.right / self.count}


def descend(run: Run, network: nn.Module, loss: Tensor, right: Tensor, count: int, tally: Tally) -> float:
    """One step of the optimizer down the mean loss of a batch.

    Parameters
    ----------
    run : Run
    network : nn.Module
        The one that gave the loss.
    loss, right, count
        As for `Tally.add`, with gradients.
    tally : Tally

    Returns
    -------
    float
        Length of the gradient.

    Raises
    ------
    TrainingError
        Loss or gradient is not finite.
    """
    remedy = f"lower {run.description['kind']}.learning_rate"
    run.require_finite(tally.add(loss.detach(), right, count), "the loss", remedy)
    run.optimizer.zero_grad()
    (loss / count).backward()
    run.hardware.add_gradients(network)
    norm = float(nn.utils.get_total_norm([p.grad for p in network.parameters() if p.grad is not None]))
    run.require_finite(norm, "the length of the gradient", remedy)
    run.optimizer.step()
    return norm


def mean(values: list[float]) -> float:
    """Mean of a list that may be empty, then 0."""
    return float(torch.tensor(values, dtype=torch.float64).mean()) if values else 0.0
