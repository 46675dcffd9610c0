"""The audio of a condition, made once and kept as files, so that every system under test hears the same samples."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile

from voxid.audio import SAMPLE_RATE_HZ, load
from voxid.errors import InputError
from voxid.evaluate.conditions import Condition, NoisePool, Step, first_speech, span_of
from voxid.evaluate.utterances import DETECTOR, FactsCache, file_sha256
from voxid.segments import Segment
from voxid.simulate.distortions import Samples, babble
from voxid.simulate.lines import opus, telephone

__all__ = ["BABBLE_VOICES", "Degrader", "Voices"]

BABBLE_VOICES: Final = 5
_FULL_SCALE: Final = 0.99
_VERSION: Final = 1  # of what the steps do to the samples; part of the folder's name


@dataclass(frozen=True)
class Voices:
    """Whose speech babble is made of.

    Attributes:
        files: speaker -> recordings of that speaker.
        sha256: hash over names and files: what the babble depends on.
    """

    files: Mapping[int, tuple[Path, ...]]
    sha256: str

    @classmethod
    def of(cls, files: Mapping[int, Sequence[Path]]) -> Voices:
        """Return the voices with their hash.

        Raises:
            InputError: ``babble_needs_voices`` with fewer than six speakers, ``audio_missing``.
        """
        if len(files) <= BABBLE_VOICES:
            raise InputError(
                "babble_needs_voices",
                f"The list has {len(files)} speakers; babble is {BABBLE_VOICES} others talking at once; "
                "measure it on a list with more people.",
            )
        listed = {speaker: tuple(sorted(paths)) for speaker, paths in sorted(files.items())}
        hashes = [file_sha256(path) for paths in listed.values() for path in paths]
        return cls(listed, hashlib.sha256("".join(hashes).encode()).hexdigest())


@dataclass(eq=False)
class Degrader:
    """Makes and keeps degraded copies of recordings; the same for the same recording, condition, seed and noise.

    Attributes:
        folder: where the files go: ``<folder>/<condition>-<key>/<hash>.flac``, mono, 16 kHz, 16 bit.
        facts: where speech is in the clean recordings.
        noises: for ``noise`` conditions. voices: for ``babble`` conditions.
        seed: of the choice of noise.
    """

    folder: Path
    facts: FactsCache
    noises: NoisePool | None = None
    voices: Voices | None = None
    seed: int = 0
    _indexes: dict[str, dict[str, Any]] = field(default_factory=dict)
    _changed: set[str] = field(default_factory=set)

    def require(self, condition: Condition) -> None:
        """Refuse a condition whose material is missing, before anything is computed.

        Raises:
            InputError: ``noise_missing`` or ``babble_needs_voices``.
        """
        if condition.uses("noise") and self.noises is None:
            raise InputError(
                "noise_missing",
                f"The condition {condition.name!r} needs recordings of noise; give their folder with --noise.",
            )
        if condition.uses("babble") and self.voices is None:
            raise InputError(
                "babble_needs_voices", f"The condition {condition.name!r} needs other voices; give them."
            )

    def file_of(self, source: Path, condition: Condition, speaker: int = -1) -> Path | None:
        """Return the degraded copy of a recording, the recording itself when clean, None with too little speech.

        Args:
            source: the clean recording.
            condition: what to do to it.
            speaker: who speaks in it, so that they are not part of the babble.

        Raises:
            InputError: as ``require``; what ``voxid.audio.load`` says of the file; ``output_unwritable``.
        """
        if not condition.steps:
            return source
        self.require(condition)
        place = self.place_of(condition)
        index = self._index(place)
        digest = file_sha256(source)
        if digest not in index or (index[digest] and not (place / index[digest]["file"]).is_file()):
            index[digest] = self._make(source, digest, condition, speaker, place)
            self._changed.add(place.name)
        return place / index[digest]["file"] if index[digest] else None

    def bit_rates_kbps(self, condition: Condition) -> list[float]:
        """Return what the codec of a condition really used, per file made so far."""
        entries = self._index(self.place_of(condition)).values()
        return [entry["kbps"] for entry in entries if entry and "kbps" in entry]

    def place_of(self, condition: Condition) -> Path:
        """Return the folder of a condition's files; its name covers everything the samples depend on."""
        depends: list[object] = [_VERSION, condition.name, self.seed, DETECTOR]
        if condition.uses("noise") and self.noises is not None:
            depends.append(self.noises.sha256)
        if condition.uses("babble") and self.voices is not None:
            depends.append(self.voices.sha256)
        key = hashlib.sha256(repr(depends).encode()).hexdigest()[:10]
        return self.folder / f"{re.sub(r'[^a-z0-9.+-]', '_', condition.name)}-{key}"

    def save(self) -> None:
        """Write what is known of the files made, so that the next run finds them.

        Raises:
            InputError: ``output_unwritable``.
        """
        for name in sorted(self._changed):
            place = self.folder / name
            unfinished = place / f"index.{os.getpid()}.part"
            # Another process may have made files of the same condition since this one read the index.
            self._indexes[name] = _stored_index(place) | self._indexes[name]
            try:
                place.mkdir(parents=True, exist_ok=True)
                unfinished.write_text(
                    json.dumps(self._indexes[name], indent=0, sort_keys=True), encoding="utf-8"
                )
                os.replace(unfinished, place / "index.json")
            except OSError as error:
                raise _unwritable(place, error) from error
        self._changed.clear()

    def _index(self, place: Path) -> dict[str, Any]:
        if place.name not in self._indexes:
            self._indexes[place.name] = _stored_index(place)
        return self._indexes[place.name]

    def _make(
        self, source: Path, digest: str, condition: Condition, speaker: int, place: Path
    ) -> dict[str, Any] | None:
        """Write one degraded copy and return its entry in the index; None when there is too little speech."""
        waveform = load(source)
        heard = _Heard(waveform.samples, list(self.facts.measure(waveform).regions))
        # Every file draws from its own generator: the order of the list and its other files change nothing.
        seed = hashlib.sha256(f"{self.seed} {condition.name} {digest}".encode()).digest()
        rng = np.random.default_rng(np.frombuffer(seed, dtype=np.uint32))
        entry: dict[str, Any] = {"file": f"{digest[:24]}.flac"}
        for step in condition.steps:
            if step.kind == "crop":
                kept = heard.cropped(step.amount)
                if kept is None:
                    return None
                heard = kept
            elif step.kind == "opus":
                coded, entry["kbps"] = opus(heard.samples, step.amount)
                heard = _Heard(coded, heard.regions)
            elif step.kind == "telephone":
                heard = _Heard(telephone(heard.samples, heard.level), heard.regions)
            else:
                heard = heard.with_noise(self._noise(step, heard, speaker, rng), step.amount)
        peak = float(np.max(np.abs(heard.samples), initial=0.0))
        try:
            place.mkdir(parents=True, exist_ok=True)
            soundfile.write(
                place / entry["file"], heard.samples * min(1.0, _FULL_SCALE / max(peak, 1e-9)), SAMPLE_RATE_HZ,
                subtype="PCM_16",
            )  # fmt: skip
        except (OSError, RuntimeError) as error:
            raise _unwritable(place, error) from error
        return entry

    def _noise(self, step: Step, heard: _Heard, speaker: int, rng: np.random.Generator) -> Samples:
        """Return noise as long as the recording, from a random place of a random file, or others talking."""
        length = len(heard.samples)
        if step.kind == "noise" and self.noises is not None:
            recording = self.noises.recordings[int(rng.integers(len(self.noises.recordings)))]
            return np.resize(np.roll(recording, -int(rng.integers(len(recording)))), length)
        files = {} if self.voices is None else self.voices.files
        others = [paths for number, paths in files.items() if number != speaker]
        chosen = [others[int(at)] for at in rng.choice(len(others), BABBLE_VOICES, replace=False)]
        return babble([_spoken(paths[int(rng.integers(len(paths)))]) for paths in chosen], length, rng)


@dataclass(frozen=True, eq=False)
class _Heard:
    """Samples on their way through the steps, with where the clean recording had speech."""

    samples: Samples
    regions: list[Segment]

    @property
    def speech(self) -> slice | np.ndarray[Any, np.dtype[np.bool_]]:
        """Where speech is, as an index into the samples; all of them when the detector found none."""
        if not self.regions:
            return slice(None)
        inside = np.zeros(len(self.samples), dtype=bool)
        for region in self.regions:
            inside[round(region.start_s * SAMPLE_RATE_HZ) : round(region.end_s * SAMPLE_RATE_HZ)] = True
        return inside

    @property
    def level(self) -> float:
        """Root mean square of the speech."""
        return float(np.sqrt(np.mean(np.square(self.samples[self.speech], dtype=np.float64))))

    def cropped(self, seconds: float) -> _Heard | None:
        """Return the first seconds of net speech, or None where there is less."""
        kept = first_speech(self.regions, seconds)
        if kept is None:
            return None
        span = span_of(kept)
        first = round(span.start_s * SAMPLE_RATE_HZ)
        moved = [
            Segment(max(0.0, region.start_s - span.start_s), region.end_s - span.start_s) for region in kept
        ]
        return _Heard(self.samples[first : round(span.end_s * SAMPLE_RATE_HZ)], moved)

    def with_noise(self, noise: Samples, snr_db: float) -> _Heard:
        """Return speech plus noise; the SNR holds where there is speech."""
        power = float(np.mean(np.square(noise[self.speech], dtype=np.float64)))
        if power <= 0.0:  # a gap in the noise recording, just here: its mean level is all that can be used
            power = max(float(np.mean(np.square(noise, dtype=np.float64))), 1e-12)
        gain = self.level / np.sqrt(power) * 10.0 ** (-snr_db / 20.0)
        return _Heard((self.samples + gain * noise).astype(np.float32), self.regions)


@lru_cache(maxsize=256)
def _spoken(path: Path) -> Samples:
    """Return a recording for the babble."""
    return load(path).samples


def _stored_index(place: Path) -> dict[str, Any]:
    """Return what is known of the files in a condition's folder; nothing when its index is damaged or missing."""
    try:
        stored = json.loads((place / "index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def _unwritable(place: Path, error: Exception) -> InputError:
    return InputError(
        "output_unwritable",
        f"Cannot write degraded audio into {place} ({error}); expected a writable folder; give another cache folder.",
    )
