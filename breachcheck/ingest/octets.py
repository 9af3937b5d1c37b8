"""The octets of a column of text, as arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Octets = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int32]


def parts(column: pa.Array) -> tuple[Offsets, Octets]:
    """Return where each text begins, and where the last one ends, in the octets of all, and these."""
    if not len(column):
        return np.zeros(1, np.int32), np.empty(0, np.uint8)
    _, places, octets = column.buffers()
    offsets = np.frombuffer(places, np.int32, len(column) + 1, column.offset * 4)
    return offsets - offsets[0], np.frombuffer(octets or b"", np.uint8)[offsets[0] : offsets[-1]]
