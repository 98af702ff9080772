"""The weights file among the files of a folder, by one rule for folders and repositories."""

import re
import shutil
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from hrm_core.errors import CheckpointError
from hrm_core.files import replacing

WEIGHTS_NAME = "checkpoint"
FORMS = "`checkpoint`, *.safetensors, step_N, or one *.ckpt, *.pt, *.pth, *.bin or zip of a step"
_STEP = re.compile(r"step_(\d+)")
# A step with a description before or after it: maze_hard_step_32550, step_39060_attn_type.
_DESCRIBED_STEP = re.compile(r"(?:[\w-]*[_-])?step_\d+[\w-]*", re.ASCII)
_SUFFIXES = (".ckpt", ".pt", ".pth", ".bin", ".zip")
# What training programs leave beside their weights.
_OTHER = re.compile(r"\..*|.*_all_preds\b.*|(optimizer|scheduler|rng_state|training_args)\b.*")


def choose_weights(names: Iterable[str]) -> list[str]:
    """Return the weights among the files of one folder: none, one, or several between them.

    `checkpoint` goes before *.safetensors, that before the highest `step_N`, and that before files
    of any other name that weights have.
    """
    listed = sorted(name for name in names if not _OTHER.fullmatch(name))
    if WEIGHTS_NAME in listed:
        return [WEIGHTS_NAME]
    if safetensors := [name for name in listed if name.endswith(".safetensors")]:
        return safetensors
    if steps := {int(match[1]): name for name in listed if (match := _STEP.fullmatch(name))}:
        return [steps[max(steps)]]
    return [name for name in listed if name.endswith(_SUFFIXES) or _DESCRIBED_STEP.fullmatch(name)]


def find_weights(folder: Path) -> Path:
    """Find the weights file of a folder; one that lies in a zip is unpacked beside it.

    Raises: CheckpointError when there is none, or more than one.
    """
    names = choose_weights(path.name for path in folder.iterdir() if path.is_file())
    if not names:
        raise CheckpointError(
            folder, f"no weights ({FORMS})", "Put the published weights file there."
        )
    if len(names) > 1:
        raise CheckpointError(
            folder,
            f"several weights files: {', '.join(names)}",
            "Keep the one that you want there.",
        )
    path = folder / names[0]
    return _unpack(path) if path.suffix == ".zip" else path


def _unpack(path: Path) -> Path:
    """Unpack the weights in a zip as `checkpoint` beside it; torch's own files are left alone.

    Raises: CheckpointError.
    """
    by_hand = "Unpack it by hand, and keep the weights file."
    target = path.with_name(WEIGHTS_NAME)
    try:
        with zipfile.ZipFile(path) as archive:
            members = {
                PurePosixPath(info.filename).name: info
                for info in archive.infolist()
                if not info.is_dir() and "__MACOSX" not in info.filename
            }
            if "data.pkl" in members:
                return path
            names = choose_weights(members)
            if len(names) != 1:
                inside = ", ".join(names) or "none"
                raise CheckpointError(path, f"weights files in it: {inside}", by_hand)
            num_bytes = members[names[0]].file_size
            if num_bytes > shutil.disk_usage(path.parent).free:
                raise CheckpointError(
                    path, f"{num_bytes / 1e9:.1f} GB unpacked do not fit on the disk", by_hand
                )
            with (
                replacing(target, is_shared=True) as partial,
                archive.open(members[names[0]]) as source,
                partial.open("wb") as file,
            ):
                shutil.copyfileobj(source, file, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise CheckpointError(
            path, f"damaged, or no zip that can be read ({error})", "Download or copy it again."
        ) from error
    except OSError as error:
        raise CheckpointError(path, f"cannot be unpacked ({error.strerror})", by_hand) from error
    return target
