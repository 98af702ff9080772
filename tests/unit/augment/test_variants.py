"""Symmetries, palettes, variants and their names."""

import numpy as np
import pytest
from plain_decoding import invert

from augment import (
    DIHEDRAL_INVERSE,
    IDENTITY,
    Dialect,
    Grid,
    Variant,
    VariantNameError,
    apply_dihedral,
    invert_dihedral,
)

CELLS = np.arange(6, dtype=np.uint8).reshape(2, 3)
SHIFT = (0, 2, 3, 4, 5, 6, 7, 8, 9, 1)
SHIFTED = Variant(3, SHIFT)


@pytest.mark.parametrize("dihedral", range(8))
def test_dihedral_turns_each_sheet_of_a_batch(dihedral: int) -> None:
    batch = np.stack([CELLS, CELLS + 1])
    turned = apply_dihedral(batch, dihedral)
    for sheet, isolated in zip(turned, batch, strict=True):
        assert np.array_equal(sheet, apply_dihedral(isolated, dihedral))
    assert np.array_equal(invert_dihedral(turned, dihedral), batch)


def test_dihedral_inverse_is_the_id_that_turns_back() -> None:
    for dihedral, inverse in enumerate(DIHEDRAL_INVERSE):
        assert np.array_equal(apply_dihedral(apply_dihedral(CELLS, dihedral), inverse), CELLS)


def test_eight_symmetries_differ() -> None:
    turned = {(t.shape, t.tobytes()) for t in (apply_dihedral(CELLS, i) for i in range(8))}
    assert len(turned) == 8


@pytest.mark.parametrize("turn", [apply_dihedral, invert_dihedral])
@pytest.mark.parametrize("dihedral", [-1, 8])
def test_unknown_dihedral_is_refused(turn: object, dihedral: int) -> None:
    with pytest.raises(ValueError, match=r"not one of 0\.\.7"):
        turn(CELLS, dihedral)  # type: ignore[operator]


def test_variant_recolours_and_turns() -> None:
    assert SHIFTED.apply(CELLS).tolist() == [[4, 0], [5, 2], [6, 3]]


def test_variant_of_a_batch_is_that_of_its_sheets() -> None:
    batch = np.stack([CELLS, CELLS + 1])
    applied = SHIFTED.apply(batch)
    assert np.array_equal(applied[1], SHIFTED.apply(CELLS + 1))
    assert np.array_equal(invert(SHIFTED, applied), batch)


def test_variant_keeps_bytes() -> None:
    assert SHIFTED.apply(CELLS).dtype == np.uint8
    assert invert(SHIFTED, CELLS).dtype == np.uint8


def test_identity_changes_nothing() -> None:
    grid = Grid(CELLS)
    assert IDENTITY.apply_grid(grid) == grid
    assert np.array_equal(invert(IDENTITY, grid.cells), grid.cells)


@pytest.mark.parametrize("dihedral", [-1, 8])
def test_variant_of_an_unknown_dihedral_is_refused(dihedral: int) -> None:
    with pytest.raises(ValueError, match=r"not one of 0\.\.7"):
        Variant(dihedral, SHIFT)


@pytest.mark.parametrize(
    "palette", [(), (0,), (1, 0, 2, 3, 4, 5, 6, 7, 8, 9), (0,) * 10, (*SHIFT, 10)]
)
def test_palette_that_moves_black_or_is_no_permutation_is_refused(
    palette: tuple[int, ...],
) -> None:
    with pytest.raises(ValueError, match="not a permutation of"):
        Variant(0, palette)


def test_names_have_the_form_of_their_dialect() -> None:
    assert Dialect.HRM.name("a_b", SHIFTED) == "a_b_t3_0234567891"
    assert Dialect.TRM.name("a_b", SHIFTED) == "a_b|||t3|||0234567891"


@pytest.mark.parametrize("dialect", Dialect)
def test_identity_has_the_bare_name(dialect: Dialect) -> None:
    assert dialect.name("007bbfb7", IDENTITY) == "007bbfb7"


@pytest.mark.parametrize(
    "name",
    [
        "007bbfb7",
        "",
        "a_t8_0123456789",
        "a_t1_1023456789",
        "a_t1_0123456788",
        "a_t1_012345678",
        "a_t1_0123456789_",
        "a_t1_0123456789\n",
        "a_t1_٠١٢٣٤٥٦٧٨٩",
        "_t1_0123456789",
        "a|||t1|||0123456789",
        "a_t1|||0123456789",
    ],
)
def test_name_without_a_well_formed_ending_is_a_bare_name(name: str) -> None:
    assert Dialect.HRM.parse(name) == (name, IDENTITY)
    assert Dialect.HRM.puzzle_of(name) == name


def test_name_is_parsed_from_the_right() -> None:
    name = "x_t1_0987654321_t3_0234567891"
    assert Dialect.HRM.parse(name) == ("x_t1_0987654321", SHIFTED)
    assert Dialect.HRM.puzzle_of(name) == "x_t1_0987654321"


def test_puzzle_with_a_name_that_reads_as_a_variant_is_refused() -> None:
    with pytest.raises(VariantNameError, match="'x_t1_0987654321': ends like the name of a var"):
        Dialect.HRM.name("x_t1_0987654321", IDENTITY)


@pytest.mark.parametrize("puzzle", ["", "<blank>"])
def test_name_that_names_no_puzzle_is_refused(puzzle: str) -> None:
    with pytest.raises(VariantNameError, match="does not name a puzzle"):
        Dialect.TRM.name(puzzle, SHIFTED)


def test_dialect_follows_from_names() -> None:
    assert Dialect.of(["<blank>", "a", "a|||t3|||0234567891"]) is Dialect.TRM
    assert Dialect.of(["<blank>", "a", "a_t3_0234567891"]) is Dialect.HRM
    assert Dialect.of([]) is Dialect.HRM
