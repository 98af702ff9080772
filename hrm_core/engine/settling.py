"""Detection of answers that no longer change from segment to segment."""

import math

import torch
from torch import Tensor

from hrm_core.model.config import ARC_VOCAB_SIZE, ModelConfig
from hrm_core.model.layers import stablemax_weights

# An answer counts as settled when it has stayed the same for so many segments.
SETTLED_SEGMENTS = 4
# One segment less for each of these odds that every cell of the answer has against its runner-up.
# Chosen on the demo's 53 test inputs, where lower odds move second attempts; see bench/results.
SPARING_ODDS = (10.0, 50.0, 100.0)
FIRST_COLOUR = 2


def answer_part(predictions: Tensor, config: ModelConfig) -> Tensor:
    """Blank the cells that decoding ignores, since the network never learned what to put there.

    What counts is the area of colours that is connected down and right to the top-left corner.
    Vocabularies other than ARC's are kept whole.

    Shapes: uint8 [B, S], both.
    """
    if config.vocab_size != ARC_VOCAB_SIZE:
        return predictions
    is_colour = (predictions >= FIRST_COLOUR).to(torch.int32)
    side = math.isqrt(predictions.shape[-1])
    is_colour = is_colour.view(-1, side, side)
    part = is_colour.cumprod(2, dtype=torch.int32).cumprod(1, dtype=torch.int32)
    return predictions * part.view_as(predictions).to(torch.uint8)


def count_wanted(
    logits: Tensor, predictions: Tensor, answer: Tensor, config: ModelConfig
) -> Tensor:
    """Return the number of segments for which each answer must stay the same to be settled.

    The odds are stablemax's, which the networks are trained with: logits have no scale.

    Shapes: logits [B, S, vocab]; predictions, answer uint8 [B, S]; result int64 [B].
    """
    tokens = torch.arange(logits.shape[-1], device=logits.device)
    others = logits.masked_fill(tokens == predictions.unsqueeze(-1), -torch.inf)
    first, second = (stablemax_weights(x.amax(-1).float()) for x in (logits, others))
    counts = answer > 0 if config.vocab_size == ARC_VOCAB_SIZE else torch.ones_like(answer).bool()
    min_odds = torch.where(counts, first / second, torch.inf).amin(-1)
    min_odds = torch.where(counts.any(-1), min_odds, 0.0)  # an empty answer has no clear cell
    return SETTLED_SEGMENTS - torch.stack([min_odds >= odds for odds in SPARING_ODDS]).sum(0)
