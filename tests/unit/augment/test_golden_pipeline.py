"""The reference's pipeline: symmetries, encoding, variants, decoding."""

from typing import Any

import numpy as np
from plain_decoding import decode, invert

from augment import (
    Dialect,
    Grid,
    apply_dihedral,
    decode_variants,
    encode,
    encode_variants,
    invert_dihedral,
)
from hrm_core.training.arrays import shift

Pipeline = dict[str, Any]


def test_golden_pipeline_dihedral_matches_the_reference(golden_pipeline: Pipeline) -> None:
    for case in golden_pipeline["dihedral"]:
        turned = apply_dihedral(np.array(case["of"], dtype=np.uint8), case["id"])
        assert turned.tolist() == case["is_"], case["id"]
        assert invert_dihedral(turned, case["id"]).tolist() == case["inverse_of_that"], case["id"]


def test_golden_pipeline_covers_all_eight_symmetries(golden_pipeline: Pipeline) -> None:
    assert sorted({case["id"] for case in golden_pipeline["dihedral"]}) == list(range(8))


def test_golden_pipeline_encode_matches_the_reference(golden_pipeline: Pipeline) -> None:
    for case in golden_pipeline["encode"]:
        grids = [Grid.from_rows(case["input"]), Grid.from_rows(case["output"])]
        down, right = np.array([[case["row"], case["col"]]] * 2).T
        tokens = shift(encode(grids, 30).astype(np.uint8), 30, down, right)
        assert tokens[0].tolist() == case["input_tokens"], case["task"]
        assert tokens[1].tolist() == case["output_tokens"], case["task"]


def test_golden_pipeline_encode_needs_no_offset_at_the_corner(golden_pipeline: Pipeline) -> None:
    cases = [case for case in golden_pipeline["encode"] if (case["row"], case["col"]) == (0, 0)]
    assert cases
    tokens = encode([Grid.from_rows(case["input"]) for case in cases], 30)
    assert tokens.tolist() == [case["input_tokens"] for case in cases]


def test_golden_pipeline_variant_names_match_in_both_dialects(golden_pipeline: Pipeline) -> None:
    for case in golden_pipeline["variants"]:
        for dialect, name in ((Dialect.HRM, case["hrm_name"]), (Dialect.TRM, case["trm_name"])):
            puzzle, variant = dialect.parse(name)
            assert puzzle == case["puzzle"]
            assert dialect.name(puzzle, variant) == name


def test_golden_pipeline_variants_of_grids_match_the_reference(golden_pipeline: Pipeline) -> None:
    for case in golden_pipeline["variants"]:
        _, variant = Dialect.HRM.parse(case["hrm_name"])
        moved = variant.apply_grid(Grid.from_rows(case["grid"]))
        assert moved.to_rows() == case["variant"], case["hrm_name"]
        assert invert(variant, moved.cells).tolist() == case["back"], case["hrm_name"]


def test_golden_pipeline_variants_survive_tokens(golden_pipeline: Pipeline) -> None:
    for case in golden_pipeline["variants"]:
        _, variant = Dialect.TRM.parse(case["trm_name"])
        tokens = encode_variants(Grid.from_rows(case["grid"]), [variant], 30)
        assert tokens.tolist() == encode([Grid.from_rows(case["variant"])], 30).tolist()
        (back,) = decode_variants(tokens, [variant])
        assert back is not None
        assert back.tolist() == case["back"]


def test_golden_pipeline_decode_matches_the_reference(golden_pipeline: Pipeline) -> None:
    cases = golden_pipeline["decode"]
    decoded = decode(np.array([case["tokens"] for case in cases]))
    for case, cells in zip(cases, decoded, strict=True):
        # The reference's grid of no cells is our abstention.
        empty = 0 in case["shape"]
        assert (None if cells is None else cells.tolist()) == (None if empty else case["grid"])
