"""Answers as pictures: a file, or an element of a page."""

from collections.abc import Sequence
from pathlib import Path

from augment import Grid, Task
from service.render.pictures.layout import lay_out
from service.render.pictures.raster import write_png
from service.render.pictures.svg import scene_svg
from service.wire.errors import PictureError


def draw_answer(
    task: Task,
    attempts: Sequence[Sequence[Grid]],
    captions: Sequence[Sequence[str]],
    path: Path,
) -> None:
    """Draw a puzzle and the attempts at each of its test inputs into a .png or .svg file.

    Raises: PictureError for another suffix, for attempts and captions that do not belong to the
    task's test inputs, and for a path that cannot be written.
    """
    file_format = path.suffix.lower().removeprefix(".")
    if file_format not in ("png", "svg"):
        raise PictureError(f"{path}: a picture is a .png or .svg file; give one of these suffixes")
    scene = lay_out(task, attempts, captions)
    try:
        if file_format == "png":
            write_png(scene, path)
        else:
            path.write_text(scene_svg(scene), encoding="utf-8")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise PictureError(f"{path} cannot be written: {reason}") from error


def answer_svg(
    task: Task,
    attempts: Sequence[Sequence[Grid]],
    captions: Sequence[Sequence[str]],
    *,
    label: str,
) -> str:
    """Draw the same picture as an SVG element; `label` is its text for screen readers.

    Raises: PictureError for attempts and captions that do not belong to the task's test inputs.
    """
    return scene_svg(lay_out(task, attempts, captions), label=label)
