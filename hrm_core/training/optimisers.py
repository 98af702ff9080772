"""Adam-atan2 for the trunk, sign-SGD for the touched rows, and the trunk's moving average."""

from collections.abc import Iterable

import torch
from torch import Tensor


class AdamAtan2(torch.optim.Optimizer):
    """Scale-free Adam: the update is an angle, so there is no epsilon and no gradient scale.

    Decoupled decay first; the first moment's bias correction is outside the arctangent.

    Source: arXiv 2407.05872; the order of operations is that of the reference's package.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.95),
        weight_decay: float = 0.1,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step from the current gradients."""
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for param in group["params"]:
                if param.grad is None:
                    continue
                state = self.state[param]
                if not state:
                    state["step"] = 0
                    state["mean"] = torch.zeros_like(param)
                    state["square"] = torch.zeros_like(param)
                state["step"] += 1
                mean = state["mean"].lerp_(param.grad, 1 - beta1)
                square = (
                    state["square"].mul_(beta2).addcmul_(param.grad, param.grad, value=1 - beta2)
                )
                root = square.div(1 - beta2 ** state["step"]).sqrt_()
                param.mul_(1 - group["lr"] * group["weight_decay"])
                step_size = group["lr"] / (1 - beta1 ** state["step"])
                param.sub_(torch.atan2(mean, root), alpha=step_size)


def sign_sgd_rows_(
    table: Tensor, rows: Tensor, gradients: Tensor, lr: float, weight_decay: float
) -> None:
    """Update the touched rows of the table by one step, in place.

    Gradients of one row are summed before the sign is taken.

    Shapes: table [num_rows, n]; rows int64 [B], with repeats; gradients [B, n].
    """
    touched, position = torch.unique(rows, return_inverse=True)
    summed = torch.zeros(
        touched.shape[0], table.shape[1], dtype=gradients.dtype, device=table.device
    )
    if summed.is_cuda:
        # index_add_ sums in no fixed order there, and the tables of ranks would drift apart.
        summed.index_put_((position,), gradients, accumulate=True)
    else:
        summed.index_add_(0, position, gradients)
    table[touched] = table[touched] * (1 - lr * weight_decay) - lr * summed.sign()


class MovingAverage:
    """The exponential moving average of the trunk's parameters.

    Early on it covers only the steps so far: a short run's average would otherwise be mostly its
    starting point.

    Source: arXiv 2510.04871 section 4.7.
    """

    def __init__(self, params: Iterable[tuple[str, Tensor]], decay: float) -> None:
        self.decay = decay
        self.shadow = {name: param.detach().clone() for name, param in params}

    @torch.no_grad()
    def update(self, params: Iterable[tuple[str, Tensor]], step: int) -> None:
        """Move the average towards the values after a step, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, param in params:
            self.shadow[name].lerp_(param, 1 - decay)
