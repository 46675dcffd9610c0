"""Is this a live human voice: the trained detector at run time, and when it says that it cannot tell.

The network hears pieces of a few seconds and gives two scores and an embedding of each. What a score is worth, where
genuine speech lies, and how far from all training speech a sound may be, stands in the model's card.

Shapes: B pieces, N samples at 16 kHz, E embedding dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import resources
from math import floor
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxid.audio import SAMPLE_RATE_HZ, AudioSource, Waveform, load
from voxid.errors import InputError, VoxidError
from voxid.graph import GraphRuns, open_model
from voxid.segments import Segment
from voxid.speech import QualityPolicy, SpeechQuality, detect_speech, measure_quality
from voxid.spoof.bandwidth import bandwidth_hz
from voxid.spoof.card import HEADS, DetectorCard, Head
from voxid.spoof.pieces import piece_spans, pieces_of
from voxid.spoof.verdict import SpoofOutcome, SpoofVerdict

__all__ = [
    "DEFAULT_DETECTOR",
    "LEAST_BANDWIDTH_HZ",
    "LEAST_SNR_DB",
    "LEAST_SPEECH_S",
    "SpoofDetector",
    "SpoofEvidence",
    "default_detector",
    "detect_spoof",
]

DEFAULT_DETECTOR: Final = "lcnn-small"
LEAST_SPEECH_S: Final = 1.0
LEAST_BANDWIDTH_HZ: Final = 5_000.0
"""Telephone speech ends at 4.3 kHz at most, wide-band speech above 6 kHz (`voxid.spoof.bandwidth`)."""

LEAST_SNR_DB: Final = 7.0
"""Training speech had noise from 10 dB on. Clean recordings lie above 16 dB, music that passes for speech below 7."""

_BATCH_PIECES: Final = 4
_USABLE: Final = QualityPolicy()


@dataclass(frozen=True, eq=False)
class SpoofEvidence:
    """What was heard of a stretch of one voice; several stretches, as of a call, are weighed together.

    Args:
        net_speech_s, bandwidth_hz: as in a verdict.
        unusable: why nothing can be told from this speech; None where it can.
        spans: of the pieces heard, in seconds.
        scores: (B, 2) raw scores of them; None: none was heard.
        embeddings: (B, E); likewise.
    """

    net_speech_s: float
    bandwidth_hz: float
    unusable: str | None = None
    spans: tuple[Segment, ...] = ()
    scores: NDArray[np.float64] | None = None
    embeddings: NDArray[np.float64] | None = None

    def later(self, by_s: float) -> SpoofEvidence:
        """Return the same, of a stretch that began so much later."""
        return replace(self, spans=tuple(Segment(one.start_s + by_s, one.end_s + by_s) for one in self.spans))


@dataclass(frozen=True, eq=False)
class SpoofDetector:
    """A spoof detector on disk, hash-checked: ``model.onnx`` (samples (B, N) -> scores (B, 2), embedding (B, E)), card.

    Safe to share between threads.
    """

    name: str
    id: str
    card: dict[str, Any] = field(repr=False)
    measures: DetectorCard = field(repr=False)
    _session: GraphRuns = field(repr=False)

    @property
    def piece_s(self) -> float:
        """Seconds heard at once."""
        return self.measures.piece_samples / SAMPLE_RATE_HZ

    @classmethod
    def load(cls, folder: str | Path, threads: int = 1) -> SpoofDetector:
        """Return the detector in a folder.

        Raises:
            InputError: ``spoof_detector_missing``.
            CompatibilityError: ``spoof_detector_hash_mismatch``, ``spoof_detector_invalid``.
        """
        model = open_model(folder, "spoof_detector", "spoof detector", threads)
        return cls(model.name, model.id, model.card, DetectorCard.of(model.card, model.id), model.session)

    def through(self, front: Callable[[GraphRuns], GraphRuns]) -> SpoofDetector:
        """Return the same model with something in front of its session, such as what joins runs of several threads."""
        return replace(self, _session=front(self._session))

    @property
    def piece_samples(self) -> int:
        """Samples of a piece."""
        return self.measures.piece_samples

    def scores(self, samples: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return what the network says of pieces: raw scores (B, 2), higher is more genuine, and embeddings (B, E).

        Args:
            samples: (B, N) float32, N as ``piece_samples``; or one piece (N,).

        Raises:
            InputError: ``audio_piece_invalid`` for another length, ``graph_failed``.
        """
        pieces = np.atleast_2d(np.ascontiguousarray(samples, np.float32))
        if pieces.ndim != 2 or pieces.shape[1] != self.piece_samples or not len(pieces):
            raise InputError(
                "audio_piece_invalid",
                f"samples of shape {np.shape(samples)}; {self.id} hears pieces (B, {self.piece_samples}): cut them "
                "with voxid.spoof.pieces.",
            )
        batches = [self._run(pieces[at : at + _BATCH_PIECES]) for at in range(0, len(pieces), _BATCH_PIECES)]
        return np.concatenate([found for found, _ in batches]), np.concatenate([one for _, one in batches])

    def detect(self, waveform: Waveform, regions: Sequence[Segment] | None = None) -> SpoofVerdict:
        """Return the verdict on a recording that holds one voice.

        Args:
            waveform: any length; at most `voxid.spoof.pieces.MOST_PIECES` pieces of it are heard.
            regions: of speech, sorted and disjoint; None: they are looked for.

        Raises:
            InputError: ``graph_failed``.
        """
        return self.weigh([self.measure(waveform, regions)])

    def measure(self, waveform: Waveform, regions: Sequence[Segment] | None = None) -> SpoofEvidence:
        """Return what is heard of a recording, or of a part of one; `weigh` makes a verdict of it.

        Args:
            waveform, regions: as for `detect`.

        Raises:
            InputError: ``graph_failed``.
        """
        regions = detect_speech(waveform) if regions is None else regions
        samples = np.asarray(waveform.samples)
        quality = measure_quality(waveform, regions)
        band_hz = min(bandwidth_hz(samples, regions), waveform.source_rate_hz / 2)
        if quality.net_speech_s < LEAST_SPEECH_S:
            return SpoofEvidence(quality.net_speech_s, band_hz, _too_short(quality))
        spans = piece_spans(regions, waveform.duration_s, self.piece_s)
        scores, embeddings = self.scores(pieces_of(samples, spans, self.measures.piece_samples))
        unusable = _unusable(quality, band_hz)
        return SpoofEvidence(quality.net_speech_s, band_hz, unusable, tuple(spans), scores, embeddings)

    def weigh(self, evidence: Sequence[SpoofEvidence]) -> SpoofVerdict:
        """Return the verdict on one voice from all that was heard of it.

        What is of no use counts only where there is nothing else.

        Args:
            evidence: of `measure`, at least one.
        """
        used = [one for one in evidence if one.unusable is None] or [
            one for one in evidence if one.scores is not None
        ]
        used = used or list(evidence[-1:])
        net_speech_s = sum(one.net_speech_s for one in used)
        band_hz = max(one.bandwidth_hz for one in used)
        scores = [one.scores for one in used if one.scores is not None]
        embeddings = [one.embeddings for one in used if one.embeddings is not None]
        unusable = used[-1].unusable
        if not scores and unusable is not None:
            return SpoofVerdict(
                SpoofOutcome.CANNOT_TELL, *(None,) * 4, net_speech_s, band_hz, self.id, unusable
            )
        llrs = {
            head.name: head.slope * column + head.offset
            for head, column in zip(self.measures.heads, np.concatenate(scores).T, strict=True)
        }
        means = {name: float(values.mean()) for name, values in llrs.items()}
        distance = self.measures.domain.distance(np.concatenate(embeddings).mean(axis=0))
        outcome, reason = self._judged(means, distance, unusable)
        spans = [span for one in used for span in one.spans]
        pieces = tuple(
            (span.start_s, span.end_s, llr)
            for span, llr in zip(spans, llrs["synthetic"].tolist(), strict=True)
        )
        return SpoofVerdict(
            outcome,
            means["synthetic"],
            means["replay"],
            distance,
            self.measures.domain.limit,
            net_speech_s,
            band_hz,
            self.id,
            reason,
            pieces,
        )

    def _judged(
        self, llrs: Mapping[str, float], distance: float, unusable: str | None
    ) -> tuple[SpoofOutcome, str]:
        """Return the outcome, and why: first whether anything can be told, then the worse of the two questions."""
        if unusable is not None:
            return SpoofOutcome.CANNOT_TELL, unusable
        if distance > self.measures.domain.limit:
            return (
                SpoofOutcome.CANNOT_TELL,
                f"The sound is unlike all speech the detector knows: {distance:.1f} away from it, at most "
                f"{self.measures.domain.limit:.1f} is inside; singing, music or an unknown channel can be the cause.",
            )
        outcome, head = min(
            ((head.outcome(llrs[head.name]), head) for head in self.measures.heads),
            key=lambda found: (_WORST_FIRST.index(found[0]), llrs[found[1].name] - found[1].genuine_llr),
        )
        return outcome, _reason(outcome, head, llrs[head.name])

    def _run(self, pieces: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        try:
            found, embedding = self._session.run(["scores", "embedding"], {"samples": pieces})
        except VoxidError:
            raise
        except Exception as error:  # onnxruntime raises its own unrelated classes
            raise InputError(
                "graph_failed", f"the graph of {self.id} fails on samples {pieces.shape}: {str(error)[:300]}."
            ) from error
        if not (np.isfinite(found).all() and np.isfinite(embedding).all()):
            raise InputError(
                "graph_failed",
                f"the graph of {self.id} gives NaN or infinity for this audio; nothing follows from it.",
            )
        return np.asarray(found, np.float64), np.asarray(embedding, np.float64)


@lru_cache(maxsize=4)
def default_detector(threads: int = 1) -> SpoofDetector:
    """Return the spoof detector that comes with voxid, loaded once for each number of threads.

    Raises:
        InputError: ``spoof_detector_missing`` when the installation lacks it.
        CompatibilityError: ``spoof_detector_hash_mismatch``, ``spoof_detector_invalid``.
    """
    folder = Path(str(resources.files("voxid"))) / "countermeasures" / DEFAULT_DETECTOR
    return SpoofDetector.load(folder, threads)


def detect_spoof(source: AudioSource, *, channel: int | None = None) -> SpoofVerdict:
    """Return whether the voice in a recording is live and human, by the detector that comes with voxid.

    The recording should hold one voice. What is genuine for the detector can still be a fake of a kind it was never
    trained on: see docs/spoof.md for how often.

    Args:
        source: a path, encoded bytes, a binary stream, ``(samples, rate_hz)`` or a waveform.
        channel: 0-based channel to take; None averages all.

    Raises:
        InputError: ``spoof_detector_missing``, and whatever the audio door refuses.
    """
    return default_detector().detect(load(source, channel=channel))


_WORST_FIRST: Final = (SpoofOutcome.SPOOF, SpoofOutcome.SUSPICIOUS, SpoofOutcome.GENUINE)


def _too_short(quality: SpeechQuality) -> str:
    if quality.net_speech_s == 0:
        return f"No speech was found in {quality.duration_s:.1f} s; give a recording in which someone speaks."
    heard = f"{quality.net_speech_s:.1f} s of speech"
    return f"{heard}; at least {LEAST_SPEECH_S:.1f} s are needed: give a longer recording."


def _unusable(quality: SpeechQuality, band_hz: float) -> str | None:
    """Return why nothing can be told from this speech, however the network scores it; None where it can."""
    if quality.clipping_share > _USABLE.max_clipping_share:
        return (
            f"{quality.clipping_share:.0%} of the speech is clipped, at most {_USABLE.max_clipping_share:.0%} may be: "
            "record it again with less gain."
        )
    if quality.snr_db is None or quality.snr_db < LEAST_SNR_DB:
        found = "hardly" if quality.snr_db is None else f"{floor(10 * quality.snr_db) / 10:.1f} dB"
        return (
            f"The speech stands {found} above noise or music, at least {LEAST_SNR_DB:.0f} dB are needed: record it "
            "again in a quieter place."
        )
    if band_hz < LEAST_BANDWIDTH_HZ:
        return (
            f"Speech is heard up to {band_hz / 1000:.1f} kHz only, as from a telephone or under noise; the detector "
            f"needs {LEAST_BANDWIDTH_HZ / 1000:.0f} kHz, for which it was trained."
        )
    return None


def _reason(outcome: SpoofOutcome, head: Head, llr: float) -> str:
    against = f"LLR {llr:.2f} of live speech against {HEADS[head.name]}"
    if outcome is SpoofOutcome.GENUINE:
        found = "no sign of a kind of fake the detector knows"
        if llr < 0:
            found = "nearer to fakes than to live speech, but not so near that people would be held up for it"
        return f"{against} reaches {head.genuine_llr:.2f}: {found}."
    if outcome is SpoofOutcome.SUSPICIOUS:
        return (
            f"{against} lies between {head.spoof_llr:.2f} and {head.genuine_llr:.2f}: a person should listen."
        )
    return f"{against} lies under {head.spoof_llr:.2f}."
