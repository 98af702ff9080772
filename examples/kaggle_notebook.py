"""A Kaggle notebook as a script: answers the competition's test file, without network.

Attach three data sets to the notebook: the competition's, this package with its wheels, and a
checkpoint. Elsewhere give their paths:

    python examples/kaggle_notebook.py [CHALLENGES.json] [CHECKPOINT] [SUBMISSION.json] [MINUTES]
"""

import subprocess
import sys
from pathlib import Path

# %% Paths on Kaggle
INPUT = Path("/kaggle/input")
CHALLENGES = INPUT / "arc-prize-2025" / "arc-agi_test_challenges.json"
CHECKPOINT = INPUT / "hrm-arc-checkpoint"
WHEELS = INPUT / "hrm-arc-wheels"
SUBMISSION = Path("/kaggle/working/submission.json")
# The limit is twelve hours; the rest is for what Kaggle does around it.
MINUTES = 11 * 60


# %% Install the package from the attached wheels: there is no network
def install() -> None:
    """Install the package where it is not installed yet."""
    if WHEELS.is_dir():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index"]
        subprocess.run([*command, f"--find-links={WHEELS}", "hrm-arc"], check=True)


# %% Adapt to the puzzles that the checkpoint has no rows for, then vote until the time is over
def submit(
    challenges: Path, checkpoint: Path, submission: Path, minutes: float, *, adapt: bool = True
) -> int:
    """Answer the file; a valid submission is there from the first moment on.

    If the notebook is stopped, running this again continues from there.
    """
    command = [sys.executable, "-m", "service.cli", "submit", str(challenges)]
    command += ["--checkpoint", str(checkpoint), "--out", str(submission)]
    command += ["--minutes", f"{minutes:g}"]
    if adapt:
        command += ["--adapt", "auto"]
    return subprocess.run(command, check=False).returncode


def main(
    challenges: str = str(CHALLENGES),
    checkpoint: str = str(CHECKPOINT),
    submission: str = str(SUBMISSION),
    minutes: str = str(MINUTES),
) -> int:
    """Install the package, then answer the file."""
    install()
    return submit(Path(challenges), Path(checkpoint), Path(submission), float(minutes))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
