"""Decoding without variants."""

from typing import Any

import numpy as np
import numpy.typing as npt

from augment import IDENTITY, decode_variants


def decode(tokens: npt.NDArray[np.integer[Any]]) -> list[npt.NDArray[np.uint8] | None]:
    """Decode canvases of untransformed grids, as `decode_variants`.

    Shapes: [N, canvas * canvas] to N grids [h, w].
    """
    return decode_variants(tokens, [IDENTITY] * len(tokens))
