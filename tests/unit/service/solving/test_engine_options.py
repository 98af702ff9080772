"""The options with which an engine is made once more, so that it answers bit for bit alike."""

from pathlib import Path

import pytest

from hrm_core import Engine, open_checkpoint
from service.runtime.devices import EngineOptions
from service.solving.engines import make_engine, options_of

pytestmark = pytest.mark.usefixtures("one_thread")


def test_an_engine_s_options_name_what_it_chose(tiny_engine: Engine) -> None:
    assert options_of(tiny_engine) == EngineOptions(
        slots=tiny_engine.num_slots,
        precision="float32",
        attention=tiny_engine.attention.name,
        compiled=False,
        num_threads=1,
    )


def test_with_crop_each_size_chooses_its_slots_once_more(arc1_folder: Path) -> None:
    checkpoint = open_checkpoint(arc1_folder)
    engine = make_engine(checkpoint, EngineOptions("cpu", num_threads=1), say=print)
    ((_, num_slots),) = engine.slots_by_size.items()

    assert num_slots > 1
    assert options_of(engine).slots is None
    given = make_engine(checkpoint, EngineOptions("cpu", slots=3, num_threads=1), say=print)
    assert options_of(given).slots == 3
