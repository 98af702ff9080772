"""The numeric tests on lesser processors than this one, with little of any tolerance used.

The two variables make oneDNN and torch's own kernels do without the newer instructions. What is
rounded otherwise there must still be far from every limit, so that no processor is the first to
exceed one.
"""

import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
NUMERIC_TESTS = (
    "tests/unit/hrm_core",
    "tests/property/test_crop_networks.py",
    "tests/property/test_engine_properties.py",
    "tests/unit/service/solving/test_self_test.py",
)
ALLOWED_SHARE = 2 / 3
ONEDNN = (None, "AVX2", "AVX512_CORE", "AVX512_CORE_BF16")
ATEN = (None, "avx2", "default")
NUM_THREADS = (1, 2, 4)
HAS_AMX = torch.cpu.get_capabilities().get("amx_tile", False)
INSTRUCTION_SETS = [
    {
        name: value
        for name, value in (("ONEDNN_MAX_CPU_ISA", onednn), ("ATEN_CPU_CAPABILITY", aten))
        if value is not None
    }
    for onednn, aten in product(ONEDNN, ATEN)
]


@pytest.mark.full
@pytest.mark.parametrize("num_threads", NUM_THREADS)
@pytest.mark.parametrize(
    "instruction_set", INSTRUCTION_SETS, ids=lambda chosen: "-".join(chosen.values()) or "own"
)
def test_numeric_tests_use_at_most_two_thirds_of_their_tolerances(
    instruction_set: dict[str, str], num_threads: int, tmp_path: Path
) -> None:
    if set(instruction_set) == {"ATEN_CPU_CAPABILITY"} and HAS_AMX:
        pytest.skip("no processor has AMX without AVX-512, and torch's attention fails there")
    log = tmp_path / "tolerances.txt"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-m",
            "not full",
            *NUMERIC_TESTS,
        ],
        cwd=ROOT,
        env={
            **os.environ,
            **instruction_set,
            "OMP_NUM_THREADS": str(num_threads),
            # Threads that spin at barriers stand in each other's way where cores are shared.
            "OMP_WAIT_POLICY": "passive",
            "TOLERANCE_SHARE": str(ALLOWED_SHARE),
            "TOLERANCE_LOG": str(log),
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-5000:]
    closest = max(log.read_text(encoding="utf-8").splitlines(), key=lambda it: float(it.split()[0]))
    print(f"{instruction_set or 'own'}, {num_threads} thread(s): {closest}")  # noqa: T201
