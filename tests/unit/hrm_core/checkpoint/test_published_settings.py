"""Every published setting, against the model written down once more in plain numpy.

The numpy model follows the papers' formulas position by position and shares no code with the room.
"""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from tolerances import assert_near

from hrm_core import Checkpoint, Engine, EngineConfig, Halting, Sample, open_checkpoint, parse_arch
from hrm_core.model.attention_choice import load_backend
from hrm_core.model.network import build_network

pytestmark = pytest.mark.usefixtures("one_thread")

MakeCheckpoint = Callable[..., Path]
Floats = npt.NDArray[np.float64]
CPU = torch.device("cpu")
TRM_NAME = "recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1"
EXTENDED_HRM_NAME = "recursive_reasoning.hrm@HierarchicalReasoningModel_ACTV1"


class NumpyModel:
    """One sample at a time, in float64."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.config = checkpoint.config
        self.weights = {k: v.double().numpy() for k, v in checkpoint.trunk.items()}

    def embed(self, tokens: npt.NDArray[np.int32], row: npt.NDArray[np.float32]) -> Floats:
        config, weights = self.config, self.weights
        prefix = np.zeros(config.puzzle_emb_len * config.hidden_size)
        prefix[: len(row)] = row
        e = np.concatenate(
            (
                prefix.reshape(config.puzzle_emb_len, config.hidden_size),
                weights["embed_tokens.embedding_weight"][tokens],
            )
        )
        if config.pos_encodings == "learned":
            e = (e + weights["embed_pos.embedding_weight"]) / np.sqrt(2)
        return np.sqrt(config.hidden_size) * e

    def segment(self, z_H: Floats, z_L: Floats, e: Floats) -> tuple[Floats, Floats]:
        top = "L_level" if self.config.architecture == "trm" else "H_level"
        for _ in range(self.config.H_cycles):
            for _ in range(self.config.L_cycles):
                z_L = self.level("L_level", z_L + z_H + e)
            z_H = self.level(top, z_H + z_L)
        return z_H, z_L

    def level(self, name: str, x: Floats) -> Floats:
        num_layers = self.config.L_layers if name == "L_level" else self.config.H_layers
        for layer in range(num_layers):
            path = f"{name}.layers.{layer}"
            if self.config.mlp_t:
                x = self.rms(x.T + self.swiglu(f"{path}.mlp_t", x.T)).T
            else:
                x = self.rms(x + self.attention(path, x))
            x = self.rms(x + self.swiglu(f"{path}.mlp", x))
        return x

    def rms(self, x: Floats) -> Floats:
        mean = (x**2).mean(axis=-1, keepdims=True)
        return np.asarray(x / np.sqrt(mean + self.config.rms_norm_eps))

    def swiglu(self, path: str, x: Floats) -> Floats:
        both = x @ self.weights[f"{path}.gate_up_proj.weight"].T
        gate, up = np.split(both, 2, axis=-1)
        return np.asarray(
            (gate / (1 + np.exp(-gate)) * up) @ self.weights[f"{path}.down_proj.weight"].T
        )

    def attention(self, path: str, x: Floats) -> Floats:
        width = self.config.head_dim
        qkv = x @ self.weights[f"{path}.self_attn.qkv_proj.weight"].T
        mixed = np.empty_like(x)
        for head in range(self.config.num_heads):
            columns = slice(head * width, (head + 1) * width)
            q, k, v = (part[:, columns] for part in np.split(qkv, 3, axis=-1))
            if self.config.pos_encodings == "rope":
                q, k = self.turn(q), self.turn(k)
            scores = np.exp(q @ k.T / np.sqrt(width))
            mixed[:, columns] = scores / scores.sum(axis=-1, keepdims=True) @ v
        return np.asarray(mixed @ self.weights[f"{path}.self_attn.o_proj.weight"].T)

    def turn(self, x: Floats) -> Floats:
        """Turn each pair (x_j, x_{j + half}) by its position's angle."""
        half = x.shape[1] // 2
        turned = np.empty_like(x)
        for position, j in itertools.product(range(len(x)), range(half)):
            angle = position / self.config.rope_theta ** (2 * j / (2 * half))
            a, b = x[position, j], x[position, j + half]
            turned[position, j] = a * np.cos(angle) - b * np.sin(angle)
            turned[position, j + half] = b * np.cos(angle) + a * np.sin(angle)
        return turned

    def run(
        self, tokens: npt.NDArray[np.int32], row: npt.NDArray[np.float32], num_segments: int
    ) -> tuple[Floats, Floats]:
        """Give logits [S, vocab] and (q_halt, q_continue) after so many segments."""
        shape = (self.config.num_positions, self.config.hidden_size)
        z_H = np.broadcast_to(self.weights["H_init"], shape)
        z_L = np.broadcast_to(self.weights["L_init"], shape)
        e = self.embed(tokens, row)
        for _ in range(num_segments):
            z_H, z_L = self.segment(z_H, z_L, e)
        logits = z_H[self.config.puzzle_emb_len :] @ self.weights["lm_head.weight"].T
        q = self.weights["q_head.weight"] @ z_H[0] + self.weights["q_head.bias"]
        return logits, q


def draw_sample(checkpoint: Checkpoint) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    config = checkpoint.config
    rng = np.random.default_rng(2)
    tokens = rng.integers(0, config.vocab_size, config.seq_len).astype(np.int32)
    row = np.zeros(0, dtype=np.float32)
    return tokens, checkpoint.rows.gather([3])[0] if config.puzzle_emb_ndim else row


SETTINGS: dict[str, dict[str, Any]] = {
    "hrm, rope": {},
    "hrm, learned positions": {"pos_encodings": "learned"},
    "hrm, wide row": {"puzzle_emb_ndim": 40},
    "hrm, narrow row": {"puzzle_emb_ndim": 5},
    "hrm, no rows": {"puzzle_emb_ndim": 0},
    "hrm, no rows, learned positions": {"puzzle_emb_ndim": 0, "pos_encodings": "learned"},
    "hrm, other cycles and depths": {"H_cycles": 3, "L_cycles": 1, "H_layers": 2, "L_layers": 3},
    "hrm, eps and theta": {"rms_norm_eps": 0.1, "rope_theta": 50.0},
    "hrm of trm's repository": {"name": EXTENDED_HRM_NAME},
    "hrm of trm's repository, mlp_t": {"name": EXTENDED_HRM_NAME, "mlp_t": True},
    "hrm of trm's repository, no positions": {"name": EXTENDED_HRM_NAME, "pos_encodings": "none"},
    "hrm of trm's repository, mlp_t, no rows": {
        "name": EXTENDED_HRM_NAME,
        "mlp_t": True,
        "pos_encodings": "none",
        "puzzle_emb_ndim": 0,
    },
    "trm": {"name": TRM_NAME},
    "trm, derived prefix": {"name": TRM_NAME, "puzzle_emb_len": 0, "puzzle_emb_ndim": 40},
    "trm, learned positions": {"name": TRM_NAME, "pos_encodings": "learned", "puzzle_emb_len": 3},
    "trm, no positions": {"name": TRM_NAME, "pos_encodings": "none"},
    "trm, mlp_t": {"name": TRM_NAME, "mlp_t": True, "puzzle_emb_len": 2},
    "trm, no rows": {"name": TRM_NAME, "puzzle_emb_ndim": 0},
    "trm, continue head": {"name": TRM_NAME, "no_ACT_continue": False},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_published_setting_loads_and_computes_what_its_formulas_say(
    make_checkpoint: MakeCheckpoint, name: str
) -> None:
    arch = {"name": "hrm.hrm_act_v1@HierarchicalReasoningModel_ACTV1", **SETTINGS[name]}
    folder = make_checkpoint(**arch)
    # The writer spells the class its own way: put the published spelling back.
    path = folder / "all_config.yaml"
    lines = path.read_text().splitlines()
    spelled = [f"  name: {arch['name']}" if line.endswith("_ACTV1") else line for line in lines]
    path.write_text("\n".join(spelled))
    checkpoint = open_checkpoint(folder)
    tokens, row = draw_sample(checkpoint)
    network = checkpoint.load_network(load_backend("sdpa"), CPU, torch.float32)
    model = NumpyModel(checkpoint)
    for num_segments in (1, 2):
        logits, q = model.run(tokens, row, num_segments)
        with torch.inference_mode():
            states = network.fresh_state(1)
            e = network.embed(torch.from_numpy(tokens)[None], torch.from_numpy(row)[None])
            for _ in range(num_segments):
                states = network.segment(*states, e)
            found_q = [float(value) for value in network.read_q(states[0])]
            found_logits = network.read_logits(states[0])[0].numpy()
        assert_near(found_logits, logits, atol=2e-4)
        assert_near(found_q, q, atol=2e-4)


@pytest.mark.parametrize("name", [EXTENDED_HRM_NAME, TRM_NAME])
def test_without_rows_there_is_no_prefix_and_the_engine_runs(
    make_checkpoint: MakeCheckpoint, name: str
) -> None:
    folder = make_checkpoint(
        name=name, puzzle_emb_ndim=0, documents={"identifiers.json": ["<blank>"]}
    )
    checkpoint = open_checkpoint(folder)
    assert checkpoint.config.puzzle_emb_len == 0
    assert checkpoint.config.num_positions == checkpoint.config.seq_len == 16
    assert (checkpoint.config.num_rows, checkpoint.rows.num_rows) == (0, 0)
    tokens, row = draw_sample(checkpoint)
    engine = Engine(checkpoint, EngineConfig(CPU, num_slots=3))
    engine.add([Sample("only", tokens, row)], job=0, halting=Halting.FIXED, max_segments=2)
    (outcome,) = engine.drain()
    logits, q = NumpyModel(checkpoint).run(tokens, row, 2)
    assert outcome.tokens.tolist() == logits.argmax(axis=-1).tolist()
    assert_near([outcome.q_halt_logit, outcome.q_continue_logit], q, atol=2e-4)


def test_a_yaml_number_spelled_1e_5_is_a_number(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint(rms_norm_eps=0.25)
    path = folder / "all_config.yaml"
    text = path.read_text()
    assert "rms_norm_eps: 0.25" in text
    path.write_text(text.replace("rms_norm_eps: 0.25", "rms_norm_eps: 1e-5"))
    assert open_checkpoint(folder).config.rms_norm_eps == 1e-5


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_weights_load_and_stay_near_the_exact_model(
    make_checkpoint: MakeCheckpoint, dtype: str
) -> None:
    checkpoint = open_checkpoint(make_checkpoint(forward_dtype=dtype))
    assert checkpoint.trunk["H_init"].dtype == getattr(torch, dtype)
    tokens, row = draw_sample(checkpoint)
    engine = Engine(checkpoint, EngineConfig(CPU, num_slots=2))
    assert engine.precision == dtype
    engine.add([Sample("only", tokens, row)], job=0, halting=Halting.FIXED, max_segments=1)
    (outcome,) = engine.drain()
    logits, q = NumpyModel(checkpoint).run(tokens, row, 1)
    top_two = np.sort(logits, axis=-1)[:, -2:]
    is_clear = top_two[:, 1] - top_two[:, 0] > 0.2
    assert is_clear.sum() > 4
    assert (outcome.tokens == logits.argmax(axis=-1))[is_clear].all()
    assert_near(outcome.q_halt_logit, q[0], atol=0.15)


def test_defaults_are_the_reference_s() -> None:
    arch = {
        "name": TRM_NAME,
        "H_cycles": 3,
        "L_cycles": 6,
        "L_layers": 2,
        "hidden_size": 512,
        "num_heads": 8,
        "expansion": 4,
        "halt_max_steps": 16,
        "pos_encodings": "rope",
        "puzzle_emb_ndim": 512,
    }
    config = parse_arch({"arch": arch}).configure(vocab_size=12, seq_len=900, num_rows=2)
    assert (config.rms_norm_eps, config.rope_theta) == (1e-5, 10000.0)
    assert (config.forward_dtype, config.puzzle_emb_len) == ("bfloat16", 16)
    assert (config.mlp_t, config.no_ACT_continue) == (False, True)


@pytest.mark.parametrize(
    ("vocab_size", "seq_len", "num_parameters"),
    [(12, 900, 27_276_290), (11, 81, 27_275_266), (6, 900, 27_270_146)],
    ids=["arc-2", "sudoku-extreme", "maze-30x30-hard"],
)
def test_the_published_hrm_has_the_published_number_of_parameters(
    vocab_size: int, seq_len: int, num_parameters: int
) -> None:
    arch = {
        "name": "hrm.hrm_act_v1@HierarchicalReasoningModel_ACTV1",
        "H_cycles": 2,
        "L_cycles": 2,
        "H_layers": 4,
        "L_layers": 4,
        "hidden_size": 512,
        "num_heads": 8,
        "expansion": 4,
        "halt_max_steps": 16,
        "pos_encodings": "rope",
        "puzzle_emb_ndim": 512,
    }
    config = parse_arch({"arch": arch}).configure(
        vocab_size=vocab_size, seq_len=seq_len, num_rows=1
    )
    network = build_network(config, load_backend("sdpa"), torch.bfloat16, meta=True)
    assert sum(param.numel() for param in network.parameters()) == num_parameters


def test_written_settings_read_back_as_the_same_configuration(
    make_checkpoint: MakeCheckpoint, tiny_config: Callable[..., object]
) -> None:
    for number, arch in enumerate(SETTINGS.values()):
        folder = make_checkpoint(f"made-{number}", **arch)
        config = open_checkpoint(folder).config
        expected = tiny_config(**arch, num_rows=config.num_rows)
        assert config == expected, arch
