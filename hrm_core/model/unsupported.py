"""Architectures that resemble HRM and TRM and are not computed here, by what gives them away."""

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unsupported:
    """An architecture: its class in `arch.name`, and the tensors that only it has or lacks.

    `class_path` is matched at the end of `module@Class`. `has` and `lacks` are beginnings of names
    of tensors, without prefixes: all of the former and none of the latter are there. `repository`
    publishes weights of it on the Hugging Face hub.
    """

    what: str
    class_path: str
    has: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    repository: str = ""

    def owns(self, names: Iterable[str]) -> bool:
        """Return whether tensors of these names are its own."""
        listed = tuple(names)
        return bool(self.has) and (
            all(any(name.startswith(mark) for name in listed) for mark in self.has)
            and not any(name.startswith(self.lacks) for name in listed)
        )


UNSUPPORTED = (
    Unsupported(
        "URM (Universal Reasoning Model), one stack of layers with convolutions",
        r"@URM",
        has=("init_hidden",),
    ),
    Unsupported(
        "the port HRMACT, as in ZoneTwelve/HRM-Sudoku, with a class token and a table of its own "
        "for tokens",
        r"@HRMACT\w*",
        has=("high_level_reasoner.", "low_level_reasoner."),
        repository="ZoneTwelve/HRM-Sudoku",
    ),
    Unsupported(
        "TRM with six latent states (trm_hier6)", r"trm_hier6@\w+", has=("L1_init", "L6_init")
    ),
    Unsupported(
        "TRM with a single latent state (trm_singlez)",
        r"trm_singlez@\w+",
        has=("L_level.", "L_init"),
        lacks=("H_init", "H_level."),
    ),
    Unsupported(
        "the plain transformer without recursion (transformers_baseline)",
        r"@Model_ACTV2|transformers_baseline@\w+|@HierarchicalReasoningModel_ACTV2",
        has=("H_level.", "H_init"),
        lacks=("L_init", "L_level."),
    ),
    Unsupported(
        "EqR's own TRM, with positions added to the tokens",
        r"@TRMModel",
        has=("absolute_pos_embedding",),
    ),
    Unsupported(
        "EqR (equilibrium reasoner), which starts from random states and mixes old with new ones",
        r"@EqRModel",
        has=("L_level.", "lm_head."),
        lacks=("H_init", "L_init", "H_level.", "L1_init"),
        repository="locuslab/EqR-model",
    ),
    Unsupported(
        "CGAR, a TRM with a depth that a training curriculum sets (if all of it was used, "
        "H_cycles 3 and L_cycles 6, it computes as TRM: choose the preset trm-sudoku-mlp)",
        r"@\w+_CGAR",
        repository="Kaleemullah/trm-cgar-sudoku",
    ),
)


def find_by_class(class_path: str) -> Unsupported | None:
    """Return the architecture that `arch.name` names, or None."""
    *module, name = re.split(r"[.@]", class_path)
    path = f"{'.'.join(module)}@{name}"
    return next((one for one in UNSUPPORTED if re.search(f"(?:{one.class_path})$", path)), None)


def find_by_repository(repo: str) -> Unsupported | None:
    """Return the architecture of the weights in a repository on the hub, or None."""
    return next((one for one in UNSUPPORTED if one.repository.lower() == repo.lower()), None)


def find_by_tensors(names: Iterable[str]) -> Unsupported | None:
    """Return the architecture that the names of its tensors give away, or None."""
    listed = tuple(names)
    return next((one for one in UNSUPPORTED if one.owns(listed)), None)
