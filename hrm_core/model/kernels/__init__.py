"""Fused kernels for CUDA, in Triton; used where tuning measured them to be faster."""

from hrm_core.model.kernels.block import KERNEL_NAMES, can_fuse, fuse

__all__ = ["KERNEL_NAMES", "can_fuse", "fuse"]
