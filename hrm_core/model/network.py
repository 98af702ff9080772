"""The networks HRM and TRM: embeddings in, logits and q out; and their initialisation."""

import math
from abc import ABC, abstractmethod
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hrm_core.model.attention import Attend
from hrm_core.model.config import ModelConfig
from hrm_core.model.layers import CosSin, Embedding, Level, Linear, rotary_tables


class Network(nn.Module, ABC):
    """A recurrent network over (z_H, z_L), without its table of puzzle rows.

    S is the whole canvas, or the cells of its top-left square, by the shape of the tokens. Rows are
    an input: the table is thousands of times larger than what a job needs. Parameters may be stored
    in any dtype; the computation runs in `dtype`.
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
            # On the CPU even under a meta device: these are computed, never loaded.
            cos, sin = rotary_tables(
                config.num_positions, config.head_dim, config.rope_theta, torch.device("cpu")
            )
            self.register_buffer("rotary_cos", cos, persistent=False)
            self.register_buffer("rotary_sin", sin, persistent=False)

    @abstractmethod
    def segment(self, z_H: Tensor, z_L: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        """Run one segment (one ACT step); gradients reach back as far as training uses them.

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
            positions = self._cropped(self.embed_pos.embedding_weight, e.shape[-2])
            e = 0.707106781 * (e + positions.to(self.dtype))
        return math.sqrt(config.hidden_size) * e

    def read_q(self, z_H: Tensor) -> tuple[Tensor, Tensor]:
        """Return (q_halt, q_continue), computed from the first position.

        Shapes: z_H [B, P + S, D]; two float32 [B].
        """
        # Multiplied and summed row by row: a matrix product this narrow rounds a row differently at
        # another position in the batch, and q decides when a sample halts.
        products = z_H[:, 0, None].float() * self.q_head.weight.to(self.dtype).float()
        bias = self.q_head.get_parameter("bias").to(self.dtype).float()
        q = (products.sum(-1) + bias).to(self.dtype).float()
        return q[:, 0], q[:, 1]

    def read_logits(self, z_H: Tensor) -> Tensor:
        """Return the canvas's logits.

        Shapes: z_H [B, P + S, D]; logits [B, S, vocab] in the computation's dtype.
        """
        logits: Tensor = self.lm_head(z_H[:, self.config.puzzle_emb_len :])
        return logits

    def cos_sin(self, length: int) -> CosSin | None:
        """Return rotary tables for P + S positions; None without rotary encoding."""
        if self.config.pos_encodings != "rope":
            return None
        return self._cropped(self.rotary_cos, length), self._cropped(self.rotary_sin, length)

    def fresh_state(self, batch: int, num_cells: int | None = None) -> tuple[Tensor, Tensor]:
        """Return start states z_H, z_L for `num_cells` cells (S), None for the whole canvas.

        Shapes: two [batch, P + S, D].
        """
        config = self.config
        length = config.puzzle_emb_len + (config.seq_len if num_cells is None else num_cells)
        shape = (batch, length, config.hidden_size)
        z_H, z_L = (state.to(self.dtype).expand(shape) for state in (self.H_init, self.L_init))
        return z_H.clone(), z_L.clone()

    def _cropped(self, table: Tensor, length: int) -> Tensor:
        """Return a table's rows of the prefix and of the canvas's top-left square.

        Shapes: [positions of the canvas, n] to [length, n].
        """
        config = self.config
        if length == config.num_positions:
            return table
        num_before = config.puzzle_emb_len
        side = math.isqrt(length - num_before)
        square = table[num_before:].view(config.canvas, config.canvas, -1)[:side, :side]
        return torch.cat((table[:num_before], square.flatten(0, 1)))


class HRM(Network):
    """The Hierarchical Reasoning Model: a slow level H over a fast level L, one-step gradient.

    Source: arXiv 2506.21734 section 2.
    """

    def __init__(self, config: ModelConfig, attend: Attend, dtype: torch.dtype) -> None:
        super().__init__(config, attend, dtype)
        self.H_level = Level(config, config.H_layers)
        self.L_level = Level(config, config.L_layers)

    def segment(self, z_H: Tensor, z_L: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        """Run H_cycles x L_cycles; only the last L and the last H application carry gradient."""
        config, cos_sin, attend = self.config, self.cos_sin(e.shape[1]), self.attend
        last_H, last_L = config.H_cycles - 1, config.L_cycles - 1
        with torch.no_grad():
            for H_cycle in range(config.H_cycles):
                for L_cycle in range(config.L_cycles):
                    if (H_cycle, L_cycle) != (last_H, last_L):
                        z_L = self.L_level(z_L, z_H + e, cos_sin, attend)
                if H_cycle != last_H:
                    z_H = self.H_level(z_H, z_L, cos_sin, attend)
        z_L = self.L_level(z_L, z_H + e, cos_sin, attend)
        z_H = self.H_level(z_H, z_L, cos_sin, attend)
        return z_H, z_L


class TRM(Network):
    """The Tiny Recursive Model: one level refines z_L with the input and z_H without it.

    Source: arXiv 2510.04871 section 4.
    """

    def __init__(self, config: ModelConfig, attend: Attend, dtype: torch.dtype) -> None:
        super().__init__(config, attend, dtype)
        self.L_level = Level(config, config.L_layers)

    def segment(self, z_H: Tensor, z_L: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        """Run H_cycles x L_cycles; the whole last H-cycle carries gradient."""
        with torch.no_grad():
            for _ in range(self.config.H_cycles - 1):
                z_H, z_L = self._cycle(z_H, z_L, e)
        return self._cycle(z_H, z_L, e)

    def _cycle(self, z_H: Tensor, z_L: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        cos_sin, attend = self.cos_sin(e.shape[1]), self.attend
        for _ in range(self.config.L_cycles):
            z_L = self.L_level(z_L, z_H + e, cos_sin, attend)
        z_H = self.L_level(z_H, z_L, cos_sin, attend)
        return z_H, z_L


def build_network(
    config: ModelConfig, attend: Attend, dtype: torch.dtype, *, meta: bool = False
) -> Network:
    """Make the network that a configuration describes, its parameters uninitialised.

    With `meta`, parameters take no memory until weights are assigned to them.
    """
    kind = TRM if config.architecture == "trm" else HRM
    with torch.device("meta") if meta else nullcontext():
        return kind(config, attend, dtype)


Q_HALT_BIAS = -5.0  # q starts near zero probability, which speeds up the bootstrap


def initialise(network: Network, generator: torch.Generator) -> None:
    """Fill every parameter and initial state in place.

    LeCun-scaled truncated normals with an exact standard deviation; the q head starts blank.

    Source: arXiv 2506.21734, Methods.
    """
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, Linear):
                truncated_normal_(module.weight, module.weight.shape[1] ** -0.5, generator)
            elif isinstance(module, Embedding):
                std = module.embedding_weight.shape[1] ** -0.5
                truncated_normal_(module.embedding_weight, std, generator)
        nn.init.zeros_(network.q_head.weight)
        nn.init.constant_(network.q_head.get_parameter("bias"), Q_HALT_BIAS)
        for state in (network.H_init, network.L_init):
            state.copy_(truncated_normal_(torch.empty(state.shape), 1.0, generator))


def truncated_normal_(tensor: Tensor, std: float, generator: torch.Generator) -> Tensor:
    """Fill with a normal truncated at two standard deviations, rescaled to have exactly `std`.

    `nn.init.trunc_normal_` gives a smaller deviation than requested (0.88 of it).
    """
    bound = 2.0
    mass = math.erf(bound / math.sqrt(2))
    density = math.exp(-0.5 * bound**2) / math.sqrt(2 * math.pi)
    shrink = math.sqrt(1 - 2 * bound * density / mass)
    nn.init.trunc_normal_(tensor, 0.0, 1.0, -bound, bound, generator=generator)
    return tensor.mul_(std / shrink)
