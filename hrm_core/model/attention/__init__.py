"""Full attention behind one contract: `(q, k, v) -> out`, all [B, S, heads, head_dim]."""

from hrm_core.model.attention.choice import (
    Choice,
    Timing,
    available_backends,
    by_length,
    choose,
    load_backend,
)

__all__ = ["Choice", "Timing", "available_backends", "by_length", "choose", "load_backend"]
