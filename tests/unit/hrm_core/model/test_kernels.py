"""The fused kernels: right in Triton's interpreter, compiled for each GPU, used where named."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hrm_core import open_checkpoint
from hrm_core.model.attention_choice import load_backend
from hrm_core.model.fused_blocks import KERNEL_NAMES, FusedBlock, can_fuse, fuse
from hrm_core.model.layers import Block

pytestmark = pytest.mark.usefixtures("one_thread")

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed"
)
CPU = torch.device("cpu")

# Triton decides at import whether it interprets. Its autotuner needs a GPU to measure on.
INTERPRET = """
import sys
import torch
import triton

def with_first_config(configs, key):
    return lambda kernel: FirstConfig(configs[0].kwargs, kernel)

class FirstConfig:
    def __init__(self, config, kernel): self.config, self.kernel = config, kernel
    def __getitem__(self, grid):
        return lambda *values, **of: self.kernel[grid(self.config)](*values, **self.config, **of)

triton.autotune = with_first_config
from pathlib import Path
from hrm_core import open_checkpoint
from hrm_core.model.attention_choice import load_backend
from hrm_core.model.fused_blocks import KERNEL_NAMES, can_fuse, fuse
cpu = torch.device("cpu")
for folder in sys.argv[1:]:
    checkpoint = open_checkpoint(Path(folder))
    config = checkpoint.config
    network = checkpoint.load_network(load_backend("sdpa"), cpu, torch.float32)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(config.vocab_size, (3, config.seq_len), generator=generator)
    rows = torch.randn(3, config.puzzle_emb_ndim, generator=generator)
    def segment():
        z_H, z_L = network.segment(*network.fresh_state(3), network.embed(tokens, rows))
        return torch.cat((z_H, z_L))
    expected = segment()
    names = [name for name in KERNEL_NAMES if can_fuse(network, name)]
    for chosen in ([name] for name in names) if len(names) > 1 else [names]:
        fuse(network, chosen)
        torch.testing.assert_close(segment(), expected, atol=2e-4, rtol=1e-4)
    fuse(network, names)
    torch.testing.assert_close(segment(), expected, atol=2e-4, rtol=1e-4)
    print(config.architecture, *names)
"""

COMPILE = """
import sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from hrm_core.model import triton_kernels as fused

data = {"bfloat16": "*bf16", "float16": "*fp16"}[sys.argv[2]]
numbers = dict.fromkeys(("M", "N", "K", "num_positions", "num_rotated"), "i32") | {"eps": "fp32"}
tables = dict.fromkeys(("cos", "sin"), "*fp32")
for kernel, tuner, fixed in (
    (fused.swiglu_kernel, fused._SWIGLU, {}),
    (fused.norm_kernel, fused._NORM, {"BLOCK_N": 512}),
    (fused.rotary_kernel, fused._ROTARY, {"HALF": 32}),
):
    for config in tuner.configs:
        constants = config.kwargs | fixed
        signature = {
            name: "constexpr" if name in constants else (numbers | tables).get(name, data)
            for name in kernel.arg_names
        }
        source = ASTSource(kernel, signature, constexprs=constants)
        options = {"num_warps": config.num_warps, "num_stages": config.num_stages}
        made = triton.compile(source, GPUTarget("cuda", int(sys.argv[1]), 32), options=options)
        print(kernel.__name__, made.metadata.shared, len(made.asm["cubin"]) > 0)
"""

# Where there is no GPU, Dynamo would read Triton's own launching as Python.
TRACE = """
import torch, torch.utils._triton
torch.utils._triton.has_triton = lambda: True
import sys
from pathlib import Path
from hrm_core import open_checkpoint
from hrm_core.model.attention_choice import load_backend
from hrm_core.engine.carry import Carry, run_segment
from hrm_core.model.fused_blocks import KERNEL_NAMES, fuse
checkpoint = open_checkpoint(Path(sys.argv[1]))
cpu = torch.device("cpu")
network = checkpoint.load_network(load_backend("sdpa"), cpu, torch.float32)
fuse(network, KERNEL_NAMES)
def backend(graph, inputs):
    print(sum("triton" in str(node.target) for node in graph.graph.nodes))
    sys.exit()
run = torch.compile(run_segment, fullgraph=True, dynamic=False, backend=backend)
with torch.inference_mode():
    Carry(network, 2, cpu).advance(network, run)
"""

# What a program of each generation can have of shared memory: A100, 4090 and L4, H100.
SHARED = {80: 163 << 10, 89: 99 << 10, 90: 227 << 10}


def run(program: str, *arguments: object, **environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@needs_triton
def test_fused_segments_equal_plain_ones(make_checkpoint: Callable[..., Path]) -> None:
    wide = {"hidden_size": 64, "num_heads": 2, "puzzle_emb_ndim": 64, "H_cycles": 1}
    odd = {"hidden_size": 48, "num_heads": 2, "puzzle_emb_ndim": 48, "H_cycles": 1}
    mlp = {"name": "recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1", "mlp_t": True}
    folders = (
        make_checkpoint("wide", **wide),
        make_checkpoint("odd", canvas=3, **odd),
        make_checkpoint("mlp", **(wide | mlp | {"pos_encodings": "none"})),
    )
    assert run(INTERPRET, *folders, TRITON_INTERPRET="1") == [
        "hrm swiglu norm rotary",
        "hrm swiglu norm",
        "trm swiglu norm",
    ]


@needs_triton
def test_a_step_with_fused_kernels_is_compiled_as_one_graph(
    make_checkpoint: Callable[..., Path],
) -> None:
    folder = make_checkpoint(hidden_size=64, puzzle_emb_ndim=64)
    # Each of six blocks: q, k and v; heads and norm; gate and up; down and norm.
    assert run(TRACE, folder) == ["24"]


@needs_triton
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("capability", SHARED)
def test_every_tile_compiles_for_a_generation_and_the_first_ones_fit_it(
    capability: int, precision: str, tmp_path: Path
) -> None:
    lines = run(COMPILE, capability, precision, TRITON_CACHE_DIR=str(tmp_path))
    made = [line.split() for line in lines]
    assert {name for name, *_ in made} == {"swiglu_kernel", "norm_kernel", "rotary_kernel"}
    assert all(is_made == "True" for *_, is_made in made)
    fitting = {name for name, shared, _ in made if int(shared) <= SHARED[capability]}
    assert len(fitting) == 3


@pytest.mark.parametrize("names", [("swiglu",), KERNEL_NAMES])
def test_named_kernels_take_the_blocks_over_and_give_them_back(
    make_checkpoint: Callable[..., Path], names: tuple[str, ...]
) -> None:
    checkpoint = open_checkpoint(make_checkpoint())
    network = checkpoint.load_network(load_backend("sdpa"), CPU, torch.float32)
    blocks = [module for module in network.modules() if isinstance(module, Block)]
    fuse(network, names)
    assert all(isinstance(block, FusedBlock) and block.kernels == names for block in blocks)
    fuse(network, ())
    assert not any(isinstance(block, FusedBlock) for block in blocks)


def test_without_triton_nothing_can_be_fused(
    make_checkpoint: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = open_checkpoint(make_checkpoint())
    network = checkpoint.load_network(load_backend("sdpa"), CPU, torch.float32)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not any(can_fuse(network, name) for name in KERNEL_NAMES)
