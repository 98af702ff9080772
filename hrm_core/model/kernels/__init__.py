"""Fused kernels for CUDA, in Triton: used where a tuning found that they win."""

from hrm_core.model.kernels.block import KERNEL_NAMES, can_fuse, fuse

__all__ = ["KERNEL_NAMES", "can_fuse", "fuse"]
