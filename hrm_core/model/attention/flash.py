"""FlashAttention 2, 3 and the forward-only build of 3, where installed."""

import importlib
from collections.abc import Callable
from typing import Any

from torch import Tensor

from hrm_core.errors import AttentionError

# Backend name -> module that holds `flash_attn_func`.
FLASH_MODULES = {
    "flash3": "flash_attn_interface",
    "flash3_fwd": "fa3_fwd_interface",
    "flash2": "flash_attn",
}


def load_flash(name: str) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Import one FlashAttention build and wrap it to the contract.

    Shapes: [B, S, heads, head_dim] in and out, bfloat16 or float16, on CUDA.

    Raises: AttentionError when the build cannot be imported.
    """
    try:
        kernel: Callable[..., Any] = importlib.import_module(FLASH_MODULES[name]).flash_attn_func
    except (ImportError, OSError, AttributeError) as error:  # OSError: built for another CUDA
        raise AttentionError(
            f"attention backend {name!r} needs the Python module {FLASH_MODULES[name]!r}, which "
            f"does not import here: {error}"
        ) from error

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = kernel(q, k, v)
        # Builds differ: some return the log-sum-exp with the output.
        result: Tensor = out[0] if isinstance(out, tuple) else out
        return result

    return attend
