"""What a detector hears of a recording: pieces of equal length, as they were, from its first speech to its last.

Nothing is cut out in between: where two ends meet, a splice would be heard. What lies before and after speech stays
out, for how long somebody waits says nothing of who they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voxid.audio import SAMPLE_RATE_HZ
from voxid.segments import Segment

__all__ = ["MOST_PIECES", "piece_spans", "pieces_of"]

MOST_PIECES: Final = 64
"""Of one recording, from everywhere in it: four minutes tell as much of how it was made as an hour does."""

_MARGIN_S: Final = 0.1
_LEAST_SPEECH: Final = 0.25  # of a piece; one with less is heard only where no other has more


def piece_spans(regions: Sequence[Segment], duration_s: float, piece_s: float) -> list[Segment]:
    """Return the stretches heard, in order; the last one ends with the speech and may overlap the one before.

    Args:
        regions: of speech, sorted and disjoint.
        duration_s: of the recording.
        piece_s: length of a piece; a shorter stretch is all there is, and is repeated by `pieces_of`.
    """
    if not regions:
        return []
    start_s = max(0.0, regions[0].start_s - _MARGIN_S)
    end_s = min(duration_s, regions[-1].end_s + _MARGIN_S)
    if end_s - start_s <= piece_s:
        return [Segment(start_s, end_s)]
    starts_s = np.append(np.arange(start_s, end_s - piece_s, piece_s), end_s - piece_s)
    spoken_s = _speech_before_s(starts_s + piece_s, regions) - _speech_before_s(starts_s, regions)
    kept = starts_s[spoken_s >= min(_LEAST_SPEECH * piece_s, float(spoken_s.max()))]
    chosen = kept[np.linspace(0, len(kept) - 1, min(len(kept), MOST_PIECES)).round().astype(int)]
    return [Segment(at_s, at_s + piece_s) for at_s in chosen.tolist()]


def pieces_of(
    samples: NDArray[np.float32], spans: Sequence[Segment], piece_samples: int
) -> NDArray[np.float32]:
    """Return (B, piece_samples) float32, one row for each span; what is shorter is repeated.

    Args:
        samples: (N,) float32 at 16 kHz, or what is read by slices as that is.
    """
    rows = np.empty((len(spans), piece_samples), np.float32)
    for row, span in zip(rows, spans, strict=True):
        first, last = round(span.start_s * SAMPLE_RATE_HZ), round(span.end_s * SAMPLE_RATE_HZ)
        row[:] = np.resize(samples[first : min(last, first + piece_samples)], piece_samples)
    return rows


def _speech_before_s(at_s: NDArray[np.float64], regions: Sequence[Segment]) -> NDArray[np.float64]:
    """Return the seconds of speech before each point in time."""
    edges_s = np.array([(region.start_s, region.end_s) for region in regions]).ravel()
    spoken_s = np.repeat(np.cumsum([0.0, *(region.duration_s for region in regions)]), 2)[1:-1]
    return np.asarray(np.interp(at_s, edges_s, spoken_s), np.float64)
