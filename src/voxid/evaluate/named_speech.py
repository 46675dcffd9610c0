"""How much speech carries the right name: enrolled people, and strangers who should carry none."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from voxid.diarize.naming import PURPOSE
from voxid.errors import InputError
from voxid.evaluate.systems import speaking
from voxid.gallery import Consent
from voxid.recognize import Gallery
from voxid.segments import Segment
from voxid.simulate.libraries import AUDIO_SUFFIXES
from voxid.timeline import Timeline

__all__ = ["NamedSpeech", "enroll_people", "is_stranger", "measure_names"]

_STEP_S: Final = 0.01


@dataclass(frozen=True)
class NamedSpeech:
    """Seconds of speech by what name they carry; sums over recordings are added with ``+``.

    Attributes:
        enrolled_s: speech of people of the gallery, overlap counted once per speaker.
        right_s: of it, what carries their name.
        wrong_s: of it, what carries only the name of somebody who is silent then.
        strangers_s: speech of everybody else.
        misnamed_s: of that, what carries the name of somebody who is silent then.
    """

    enrolled_s: float = 0.0
    right_s: float = 0.0
    wrong_s: float = 0.0
    strangers_s: float = 0.0
    misnamed_s: float = 0.0

    def __add__(self, other: NamedSpeech) -> NamedSpeech:
        return NamedSpeech(*(a + b for a, b in zip(self.values(), other.values(), strict=True)))

    def values(self) -> tuple[float, float, float, float, float]:
        """Return the seconds in the order of the attributes."""
        return self.enrolled_s, self.right_s, self.wrong_s, self.strangers_s, self.misnamed_s


def measure_names(
    truth: Timeline, found: Timeline, enrolled: Collection[str], uem: Sequence[Segment] | None = None
) -> NamedSpeech:
    """Return the seconds of one recording, in steps of 10 ms.

    Args:
        truth: who really speaks when.
        found: who was said to; only turns with ``named=True`` carry a name.
        enrolled: people of the gallery.
        uem: where to look; None: everywhere.
    """
    end_s = max([0.0, *(turn.end_s for turn in (*truth.turns, *found.turns))])
    n_frames = round(end_s / _STEP_S) + 1
    inside = np.full(n_frames, uem is None)
    for part in uem or ():
        inside[round(part.start_s / _STEP_S) : round(part.end_s / _STEP_S)] = True
    people = sorted(enrolled)
    said = speaking(Timeline(tuple(t for t in found.turns if t.named), end_s), people, n_frames)
    real = speaking(truth, people, n_frames) & inside[:, None]
    strange = speaking(truth, [name for name in truth.speakers if name not in enrolled], n_frames)
    strange &= inside[:, None]
    silent = (said & ~real).any(axis=1)  # a name is on that is not of those who speak
    unnamed = real & ~said
    return NamedSpeech(
        *(
            float(mask.sum()) * _STEP_S
            for mask in (real, real & said, unnamed & silent[:, None], strange, strange & silent[:, None])
        )
    )


def is_stranger(name: str, share: float) -> bool:
    """Return whether a person is left out of the gallery: the same people for ever, about ``share`` of all."""
    return zlib.crc32(name.encode()) % 1000 < 1000 * share


def enroll_people(gallery: Gallery, folder: Path, strangers: float) -> tuple[list[str], list[str]]:
    """Enroll ``folder/NAME/*`` and return (who is enrolled, who could not be: too short or too noisy clips).

    Raises:
        InputError: ``people_missing`` when the folder holds nobody.
    """
    homes = sorted(home for home in folder.iterdir() if home.is_dir()) if folder.is_dir() else []
    if not homes:
        raise InputError(
            "people_missing",
            f"{folder} holds no folder NAME with recordings of a person; expected one for each to enroll.",
        )
    consent = Consent(purposes={PURPOSE}, evidence="evaluation set")
    enrolled, refused = [], []
    for home in homes:
        if is_stranger(home.name, strangers):
            continue
        clips = sorted(path for path in home.iterdir() if path.suffix.lower() in AUDIO_SUFFIXES)
        try:
            gallery.enroll(home.name, clips, consent, allow_duplicate=True, allow_inconsistent=True)
        except InputError:
            refused.append(home.name)
        else:
            enrolled.append(home.name)
    return enrolled, refused
