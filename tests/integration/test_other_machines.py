"""What is promised bit by bit holds with other vector instructions and threads; scripts/bits.sh runs all such tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HANDFUL = (
    "tests/text_to_image/test_stable_diffusion.py::test_draws_what_the_pipeline_draws",
    "tests/text_to_image/test_stable_diffusion.py::test_saved_folder_changes_the_encoder_only",
    "tests/text_to_image/test_stable_diffusion.py::test_an_untrained_model_is_saved_bit_by_bit",
    "tests/text_to_speech/test_speecht5.py::test_checkpoints_of_plain_tensors_are_read_and_others_refused",
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting",
    [
        {"ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "1"},
        {"ATEN_CPU_CAPABILITY": "avx2", "DNNL_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "2"},
    ],
)
def test_exact_promises_hold_as_another_machine_computes(setting: dict[str, str]) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *HANDFUL]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **setting}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
