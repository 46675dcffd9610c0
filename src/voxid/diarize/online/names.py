"""Which people of a gallery, or voices it knows without a name, the speakers are; asked again as they say more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from voxid.backend import Quality
from voxid.diarize.clustering import unit_rows
from voxid.diarize.naming import PURPOSE, ClusterVoices, Name, check_same_bundle, name_voices
from voxid.diarize.online.book import Label
from voxid.diarize.online.speakers import Speaker
from voxid.recognize.witness import WrittenOnce
from voxid.timeline import Naming, Suggestion

if TYPE_CHECKING:
    from voxid.bundle import Bundle
    from voxid.recognize import Gallery

_FIRST_ASKED_S: Final = 1.0
_ASKED_AGAIN: Final = 1.4  # times as much speech: a minute of it asks a dozen times


class Names:
    """Names and labels of numbered speakers; a stranger's label is given when first told, and never again.

    Args:
        gallery: people to look for; only those whose consent covers ``diarize-name`` are ever compared. None: nobody.
        bundle: what the voices are embedded with.
        profile: threshold profile a name must pass.

    Attributes:
        naming: how names were found the last time; None: nobody was compared.

    Raises:
        CompatibilityError: ``model_mismatch``. InputError: ``profile_unknown``.
    """

    def __init__(self, gallery: Gallery | None, bundle: Bundle, profile: str) -> None:
        if gallery is not None:
            check_same_bundle(gallery, bundle)
            self._threshold_llr = bundle.profile(profile).threshold_llr
        self._gallery, self._bundle, self._profile = gallery, bundle, profile
        self.naming: Naming | None = None
        self._once = WrittenOnce()
        self._found: dict[int, Name | Suggestion] = {}
        self._ids: dict[int, Name] = {}
        self._due_s: dict[int, float] = {}
        self._labels: dict[int, str] = {}
        self._given = 0

    def label(self, speaker: int) -> Label:
        """Return what a speaker is called now."""
        found = self._found.get(speaker)
        if isinstance(found, Name):
            return Label(found.person, True, found.llr)
        known = self._ids.get(speaker)
        if known is not None:
            return Label(known.person, llr=known.llr, suggestion=found, voice_id=known.person)
        if speaker not in self._labels:
            self._labels[speaker] = self._next_label()
        return Label(self._labels[speaker], suggestion=found)

    def person(self, speaker: int) -> str | None:
        """Return the name a speaker has from the gallery."""
        found = self._found.get(speaker)
        return found.person if isinstance(found, Name) else None

    def ask(self, speakers: Mapping[int, Speaker]) -> bool:
        """Ask the gallery when a speaker has said much more than the last time; return whether it was asked."""
        if self._gallery is None:
            return False
        due = [n for n, one in speakers.items() if one.clean_s >= self._due_s.get(n, _FIRST_ASKED_S)]
        if not due:
            return False
        asked = [n for n, one in speakers.items() if one.clean_s >= _FIRST_ASKED_S]
        for number in asked:
            self._due_s[number] = speakers[number].clean_s * _ASKED_AGAIN
        raw = np.stack([speakers[n].raw for n in asked]).astype(np.float32)
        self.compare(asked, raw, [speakers[n].clean_s for n in asked])
        return True

    def compare(self, numbers: list[int], raw: NDArray[np.float32], seconds: list[float]) -> None:
        """Look for everybody at once: a person names one speaker, the one with the most evidence.

        Args:
            raw: (G, D) embeddings of the speakers ``numbers``, of any length.
            seconds: speech behind each.
        """
        if self._gallery is None or not numbers:
            return
        voices = ClusterVoices(
            numbers, [[] for _ in numbers], unit_rows(raw), [Quality(net_speech_s=one) for one in seconds]
        )
        found = name_voices(self._gallery, voices, self._bundle, self._profile, self._once)
        self._found, self._ids, self.naming = dict(found.names), dict(found.ids), found.naming

    def holder(self, raw: NDArray[np.float32], seconds: float) -> int | None:
        """Return the speaker who has the name of the person this voice is; None: nobody known, or not here yet."""
        if self._gallery is None or not any(isinstance(one, Name) for one in self._found.values()):
            return None
        line = self._gallery.match(
            raw[None],
            purpose=PURPOSE,
            profile=self._profile,
            top=1,
            bundle_id=self._bundle.id,
            qualities=[Quality(net_speech_s=seconds)],
            once=self._once,
        )[0]
        held = {one.person: n for n, one in self._found.items() if isinstance(one, Name)}
        return held.get(line[0].person) if line else None

    def rivals(self) -> list[tuple[int, int]]:
        """Return (speaker without, speaker with the name) where a person's evidence reaches for both."""
        held = {one.person: n for n, one in self._found.items() if isinstance(one, Name)}
        return [
            (n, held[one.person])
            for n, one in self._found.items()
            if isinstance(one, Suggestion) and one.llr >= self._threshold_llr and one.person in held
        ]

    def merge(self, gone: int, kept: int) -> None:
        """Make two speakers one: the label told first stays, a name is better than none."""
        self._ids.pop(gone, None)
        lost = self._found.pop(gone, None)
        if isinstance(lost, Name) and not isinstance(self._found.get(kept), Name):
            self._found[kept] = lost
        if gone in self._labels:
            self._labels.setdefault(kept, self._labels[gone])
        self._due_s.pop(gone, None)

    def _next_label(self) -> str:
        taken = {one.person for one in self._found.values() if isinstance(one, Name)}
        while True:
            label, self._given = f"SPEAKER_{self._given:02d}", self._given + 1
            if label not in taken:
                return label
