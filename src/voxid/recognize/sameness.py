"""Whether one voice speaks through a whole utterance, or one part of it is another's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from voxid.audio import SAMPLE_RATE_HZ, Waveform
from voxid.backend import Quality
from voxid.bundle import Bundle
from voxid.embedding import get_embedder
from voxid.segments import Segment

__all__ = ["LEAST_SAME_LLR", "Sameness", "same_voice"]

LEAST_SAME_LLR: Final = -1.0
"""Under this the parts before and after a cut are taken for two voices.

Measured on digits read aloud by 24 adults into their telephones, six or so each: of utterances of one voice none falls
under it; of those whose second half is somebody else's, five of six. Shorter parts tell less.
"""

_CUTS: Final = (1 / 3, 1 / 2, 2 / 3)
_LEAST_PART_S: Final = 0.8


@dataclass(frozen=True)
class Sameness:
    """How alike the parts of one utterance are.

    Args:
        llr: one voice against two where the parts before and after a cut are least alike; None: too little speech.
        cut_s: where in the recording that is.
    """

    llr: float | None
    cut_s: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, rounded against hill-climbing."""
        return {
            "llr": None if self.llr is None else round(self.llr, 2),
            "cut_s": None if self.cut_s is None else round(self.cut_s, 2),
        }


def same_voice(waveform: Waveform, regions: Sequence[Segment], bundle: Bundle) -> Sameness:
    """Return how alike an utterance is before and after each of three cuts through its speech.

    Args:
        waveform: one utterance.
        regions: where speech is, sorted and disjoint.
        bundle: compares the parts as it compares a recording with a reference, each heard by itself.

    Raises:
        InputError: ``embedding_not_finite``, ``graph_failed``.
    """
    found = [
        (_llr_across(waveform, regions, cut_s, bundle), cut_s)
        for cut_s in (_cut_at(share, regions) for share in _CUTS)
        if min(_spoken_s(regions, 0.0, cut_s), _spoken_s(regions, cut_s, waveform.duration_s))
        >= _LEAST_PART_S
    ]
    return Sameness(*min(found)) if found else Sameness(None, None)


def _llr_across(waveform: Waveform, regions: Sequence[Segment], cut_s: float, bundle: Bundle) -> float:
    """Return the LLR of one voice against two, before and after a cut."""
    at = round(cut_s * SAMPLE_RATE_HZ)
    embedder, samples = get_embedder(bundle), np.asarray(waveform.samples)
    embeddings, qualities = [], []
    for start_s, end_s, part in ((0.0, cut_s, samples[:at]), (cut_s, waveform.duration_s, samples[at:])):
        spoken = [
            Segment(max(one.start_s, start_s) - start_s, min(one.end_s, end_s) - start_s)
            for one in regions
            if one.start_s < end_s and one.end_s > start_s
        ]
        embeddings.append(embedder.embed(Waveform(part, waveform.uri, "", SAMPLE_RATE_HZ), spoken)[None])
        qualities.append([Quality(sum(one.end_s - one.start_s for one in spoken))])
    sides = bundle.backend.sides(embeddings, qualities)
    return float(bundle.backend.compare(sides.take([0]), sides.take([1]))[1][0])


def _cut_at(share: float, regions: Sequence[Segment]) -> float:
    """Return the second before which this share of the speech lies."""
    left_s = share * _spoken_s(regions, 0.0, math.inf)
    for one in regions:
        if left_s <= one.end_s - one.start_s:
            return one.start_s + left_s
        left_s -= one.end_s - one.start_s
    return regions[-1].end_s if regions else 0.0


def _spoken_s(regions: Sequence[Segment], start_s: float, end_s: float) -> float:
    """Return the seconds of speech between two times."""
    return sum(max(0.0, min(one.end_s, end_s) - max(one.start_s, start_s)) for one in regions)
