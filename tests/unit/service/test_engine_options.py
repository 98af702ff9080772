"""The command line's options, which are told without loading torch, and the engine's own lists."""

import hrm_core
from service.cli import engine_options


def test_the_options_name_what_the_engine_has() -> None:
    assert engine_options.BACKEND_NAMES == hrm_core.BACKEND_NAMES
    assert engine_options.ARC_CANVAS == hrm_core.ARC_CANVAS
    assert {"act", "fixed"} == {rule.value for rule in hrm_core.Halting}
