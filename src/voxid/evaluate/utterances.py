"""What is measured of an utterance itself, whatever the model: its speech, its quality, its channel; computed once.

The facts hold for the bytes of a file, so they are kept by their hash: another bundle on the same lists hears
nothing twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voxid import silero, speech
from voxid.audio import Waveform, load
from voxid.errors import InputError
from voxid.segments import Segment
from voxid.speech import SpeechQuality, VadOptions, detect_speech, measure_quality

__all__ = ["DETECTOR", "MEASURES", "FactsCache", "UtteranceFacts", "file_sha256", "measure_utterance"]

DETECTOR = hashlib.sha256(repr(VadOptions()).encode()).hexdigest()[:8]
"""Names the options of the speech detector: other options, other regions, other embeddings."""

MEASURES = hashlib.sha256(
    b"".join(Path(str(module.__file__)).read_bytes() for module in (speech, silero))
).hexdigest()[:8]
"""Names the code that finds speech and measures it: changed code, other facts."""

_MAX_CACHE_BYTES = 1 << 30
_EMPTY_BAND_DB = -45.0  # speech off a telephone lies below (voxid.speech.SpeechQuality)


@dataclass(frozen=True)
class UtteranceFacts:
    """What one audio file offers, before any model.

    Attributes:
        sha256: hash (hex) of the file.
        regions: where speech is; empty when there is none.
        quality: duration, net speech, SNR and clipping, as ``voxid.speech.measure_quality`` finds them.
        source_rate_hz: sampling rate of the file.
    """

    sha256: str
    regions: tuple[Segment, ...]
    quality: SpeechQuality
    source_rate_hz: int

    @property
    def telephone_band(self) -> bool:
        """Whether nothing is left above 4 kHz, whatever the sampling rate says."""
        high_band_db = self.quality.high_band_db
        return self.source_rate_hz <= 8_000 or (high_band_db is not None and high_band_db < _EMPTY_BAND_DB)

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as JSON values."""
        return {
            "regions": [[region.start_s, region.end_s] for region in self.regions],
            "quality": asdict(self.quality),
            "source_rate_hz": self.source_rate_hz,
        }

    @classmethod
    def from_dict(cls, sha256: str, record: dict[str, Any]) -> UtteranceFacts:
        """Return the facts that ``to_dict`` wrote."""
        return cls(
            sha256=sha256,
            regions=tuple(Segment(float(start_s), float(end_s)) for start_s, end_s in record["regions"]),
            quality=SpeechQuality(**record["quality"]),
            source_rate_hz=int(record["source_rate_hz"]),
        )


def measure_utterance(waveform: Waveform) -> UtteranceFacts:
    """Return the facts of a decoded file."""
    regions = detect_speech(waveform)
    return UtteranceFacts(
        sha256=waveform.sha256,
        regions=tuple(regions),
        quality=measure_quality(waveform, regions),
        source_rate_hz=waveform.source_rate_hz,
    )


def file_sha256(path: Path) -> str:
    """Return the hash (hex) of a file of a trial list.

    Raises:
        InputError: ``audio_missing``.
    """
    if not path.is_file():
        raise InputError(
            "audio_missing", f"There is no file {path}; expected the audio of a trial; check the audio root."
        )
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class FactsCache:
    """Facts by audio hash, in memory and, with a folder, in ``<folder>/speech-<measures>.json``.

    It is only a cache: a damaged or foreign file is thrown away and measured again.

    Args:
        folder: made when missing; None keeps nothing between runs.
    """

    def __init__(self, folder: str | Path | None) -> None:
        self.path = None if folder is None else Path(folder) / f"speech-{MEASURES}.json"
        self._changed = False
        self._facts = self._read()

    def __len__(self) -> int:
        return len(self._facts)

    def of(self, path: Path, sha256: str | None = None) -> UtteranceFacts:
        """Return the facts of a file, decoding it only when they are not known.

        Args:
            path: the file.
            sha256: its hash, where the caller has it already.

        Raises:
            InputError: ``audio_missing``, or what ``voxid.audio.load`` says of the file.
        """
        digest = sha256 or file_sha256(path)
        known = self._facts.get(digest)
        return known if known is not None else self.measure(load(path))

    def measure(self, waveform: Waveform) -> UtteranceFacts:
        """Return the facts of a decoded file, measured on the first call."""
        known = self._facts.get(waveform.sha256)
        if known is None:
            known = self._facts[waveform.sha256] = measure_utterance(waveform)
            self._changed = True
        return known

    def save(self) -> None:
        """Write the file whole or not at all.

        Raises:
            InputError: ``output_unwritable``.
        """
        if self.path is None or not self._changed:
            return
        self._facts = self._read() | self._facts  # another cache may have written since this one was read
        text = json.dumps({digest: facts.to_dict() for digest, facts in sorted(self._facts.items())})
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, unfinished = tempfile.mkstemp(dir=self.path.parent, suffix=".part")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(unfinished, self.path)
        except OSError as error:
            raise InputError(
                "output_unwritable",
                f"Cannot write the cache {self.path} ({error}); expected a writable folder; give another cache "
                "folder or none.",
            ) from error
        self._changed = False

    def _read(self) -> dict[str, UtteranceFacts]:
        if self.path is None or not self.path.is_file():
            return {}
        try:
            if self.path.stat().st_size > _MAX_CACHE_BYTES:
                return {}
            stored = json.loads(self.path.read_text(encoding="utf-8"))
            return {digest: UtteranceFacts.from_dict(digest, record) for digest, record in stored.items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError, InputError):
            return {}
