"""What HRM and TRM share: embeddings in, logits and q out, a segment in between."""

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hrm_core.config import ModelConfig
from hrm_core.layers import Attend, CosSin, Embedding, Linear, rotary_tables


class Network(nn.Module, ABC):
    """A recurrent network over (z_H, z_L), without its table of puzzle rows.

    The rows come in from outside: the table is thousands of times larger than what a job needs.
    Parameters may be stored in any dtype; the computation runs in `dtype`.
    """

    H_init: Tensor
    L_init: Tensor
    rotary_cos: Tensor
    rotary_sin: Tensor

    def __init__(self, config: ModelConfig, attend: Attend, dtype: torch.dtype) -> None:
        super().__init__()
        self.config = config
        self.attend = attend
        self.dtype = dtype
        size = config.hidden_size
        self.embed_tokens = Embedding(config.vocab_size, size)
        if config.pos_encodings == "learned":
            self.embed_pos = Embedding(config.num_positions, size)
        self.lm_head = Linear(size, config.vocab_size)
        self.q_head = Linear(size, 2, bias=True)
        self.register_buffer("H_init", torch.empty(size, dtype=dtype))
        self.register_buffer("L_init", torch.empty(size, dtype=dtype))
        if config.pos_encodings == "rope":
            # Made on the CPU even under a meta device: these are computed, never loaded.
            cos, sin = rotary_tables(
                config.num_positions, config.head_dim, config.rope_theta, torch.device("cpu")
            )
            self.register_buffer("rotary_cos", cos, persistent=False)
            self.register_buffer("rotary_sin", sin, persistent=False)

    @abstractmethod
    def segment(self, z_H: Tensor, z_L: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        """Run one segment (one ACT step); gradients reach back as far as training wants them to.

        Shapes: all [B, P + S, D].
        """

    def embed(self, tokens: Tensor, puzzle_rows: Tensor) -> Tensor:
        """Make the input injection e.

        Shapes: tokens int [B, S]; puzzle_rows float32 [B, puzzle_emb_ndim]; e [B, P + S, D].
        """
        config = self.config
        e = F.embedding(tokens, self.embed_tokens.embedding_weight.to(self.dtype))
        if config.puzzle_emb_len:
            prefix_size = config.puzzle_emb_len * config.hidden_size
            padded = F.pad(puzzle_rows.to(self.dtype), (0, prefix_size - puzzle_rows.shape[-1]))
            prefix = padded.view(-1, config.puzzle_emb_len, config.hidden_size)
            e = torch.cat((prefix, e), dim=-2)
        if config.pos_encodings == "learned":
            e = 0.707106781 * (e + self.embed_pos.embedding_weight.to(self.dtype))
        return math.sqrt(config.hidden_size) * e

    def read_q(self, z_H: Tensor) -> tuple[Tensor, Tensor]:
        """Read (q_halt, q_continue) off the first position.

        Shapes: z_H [B, P + S, D]; two float32 [B].
        """
        # Multiplied and summed row by row: a matrix product this narrow rounds a row differently
        # at another place in the batch, and q decides when a sample halts.
        products = z_H[:, 0, None].float() * self.q_head.weight.to(self.dtype).float()
        bias = self.q_head.get_parameter("bias").to(self.dtype).float()
        q = (products.sum(-1) + bias).to(self.dtype).float()
        return q[:, 0], q[:, 1]

    def read_logits(self, z_H: Tensor) -> Tensor:
        """Read the canvas's logits.

        Shapes: z_H [B, P + S, D]; logits [B, S, vocab] in the computation's dtype.
        """
        logits: Tensor = self.lm_head(z_H[:, self.config.puzzle_emb_len :])
        return logits

    def cos_sin(self) -> CosSin | None:
        """Rotary tables, or none where positions are encoded another way."""
        if self.config.pos_encodings != "rope":
            return None
        return self.rotary_cos, self.rotary_sin

    def fresh_state(self, batch: int) -> tuple[Tensor, Tensor]:
        """Start states z_H, z_L.

        Shapes: two [batch, P + S, D].
        """
        shape = (batch, self.config.num_positions, self.config.hidden_size)
        z_H, z_L = (state.to(self.dtype).expand(shape) for state in (self.H_init, self.L_init))
        return z_H.clone(), z_L.clone()
