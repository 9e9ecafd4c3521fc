"""Batch normalisation over the shares that several processes have of a batch."""

from typing import Any

import torch
from torch import Tensor, distributed, nn

from alba.training.hardware import Hardware


def join_batch_norms(network: nn.Module, hardware: Hardware) -> None:
    """Let a network in training normalise by means and variances of the whole batch; in one process it does.

    PyTorch's own layer for this works on GPUs only.

    Parameters
    ----------
    network : nn.Module
        Its layers are exchanged; names, parameters and buffers stay the same.
    hardware : Hardware
    """
    if hardware.size == 1:
        return
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if type(layer) is nn.BatchNorm2d:
                joint = _JointBatchNorm(layer.num_features, layer.eps, layer.momentum)
                joint.load_state_dict(layer.state_dict())
                setattr(parent, name, joint.to(layer.weight.device))


class _JointBatchNorm(nn.BatchNorm2d):
    def forward(self, features: Tensor) -> Tensor:
        """(n, C, h, w) to the same, where n may differ between processes and may be 0."""
        if not self.training:
            return super().forward(features)
        values = features.float()
        count = _sum_over_processes(values.new_tensor(values.numel() / self.num_features))
        mean = _sum_over_processes(values.sum((0, 2, 3))) / count
        centred = values - mean[:, None, None]
        variance = _sum_over_processes(centred.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            self._remember(mean, variance * count / (count - 1))
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(features.dtype)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, share: Tensor) -> Tensor:
        whole = share.clone()
        distributed.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        whole = gradient.clone()
        distributed.all_reduce(whole)
        return whole


def _sum_over_processes(share: Tensor) -> Tensor:
    """Sum over all processes; its gradient is what the sum means to all of them."""
    whole: Tensor = _Sum.apply(share)
    return whole
