"""Whether a slot's answer still changes from segment to segment."""

import torch
from torch import Tensor

from hrm_core.config import ARC_VOCAB_SIZE, ModelConfig

# An answer counts as settled when it has stayed the same for so many segments.
SETTLED_SEGMENTS = 4
FIRST_COLOUR = 2


def answer_part(predictions: Tensor, config: ModelConfig) -> Tensor:
    """Blank what decoding does not look at, since the network never learned what to put there.

    What counts is what runs down and right from the top-left corner in colours alone. Vocabularies
    other than ARC's are kept whole.

    Shapes: uint8 [B, S], both.
    """
    if config.vocab_size != ARC_VOCAB_SIZE:
        return predictions
    is_colour = (predictions >= FIRST_COLOUR).to(torch.int32)
    is_colour = is_colour.view(-1, config.canvas, config.canvas)
    part = is_colour.cumprod(2, dtype=torch.int32).cumprod(1, dtype=torch.int32)
    return predictions * part.view_as(predictions).to(torch.uint8)
