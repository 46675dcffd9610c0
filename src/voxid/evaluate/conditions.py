"""Conditions a trial list is measured under: noise, babble, telephone, codec, short probes, and their combinations.

    clean           as recorded
    noise5          background noise at 5 dB SNR, from files the user gives
    babble10        five other people of the list talking, at 10 dB
    telephone       8 kHz, 300 to 3,400 Hz, 8-bit mu-law
    opus12          Opus at 12 kb/s
    2s              the first 2 s of net speech
    2s+noise5       one after the other, in this order

The SNR is that of the speech: its mean power where the detector finds speech in the clean recording, over the
power the noise has in the same places. (Over the whole file, pauses would pull it down by what they take.)
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from voxid.audio import SAMPLE_RATE_HZ, load
from voxid.errors import InputError
from voxid.segments import Segment
from voxid.simulate.distortions import Samples
from voxid.simulate.lines import OPUS_KBPS

__all__ = [
    "CLEAN",
    "Condition",
    "NoisePool",
    "Step",
    "first_speech",
    "join_conditions",
    "parse_conditions",
    "read_noise",
    "span_of",
]

SNR_RANGE_DB: Final = (-20.0, 60.0)
SPEECH_RANGE_S: Final = (0.2, 600.0)
MAX_CONDITIONS: Final = 40
MAX_NOISE_FILES: Final = 2_000
LEAD_S: Final = 0.15
"""Kept before the first speech of a shortened probe: what enrollment and verification keep round speech too."""

_STEP: Final = re.compile(
    r"(?P<word>noise|babble|telephone|opus)(?P<amount>-?\d*\.?\d+)?|(?P<seconds>\d*\.?\d+)s"
)
_AUDIO_ENDINGS: Final = {".wav", ".flac", ".ogg", ".opus", ".mp3"}


@dataclass(frozen=True)
class Step:
    """One distortion.

    Attributes:
        kind: ``noise``, ``babble``, ``telephone``, ``opus`` or ``crop``.
        amount: SNR in dB, kb/s, or seconds of net speech; 0 for ``telephone``.
    """

    kind: str
    amount: float = 0.0

    @property
    def title(self) -> str:
        """The step in words."""
        return {
            "noise": f"noise at {self.amount:g} dB",
            "babble": f"babble at {self.amount:g} dB",
            "telephone": "telephone, 300 to 3,400 Hz",
            "opus": f"Opus, {self.amount:g} kb/s",
            "crop": f"{self.amount:g} s of speech",
        }[self.kind]


@dataclass(frozen=True)
class Condition:
    """What is done to the probes, step by step; without steps, nothing."""

    name: str
    steps: tuple[Step, ...] = ()

    @property
    def title(self) -> str:
        """The condition in words."""
        return ", then ".join(step.title for step in self.steps) or "as recorded"

    def amount_of(self, kind: str) -> float | None:
        """Return the amount of a condition that is this one step alone, else None."""
        return self.steps[0].amount if len(self.steps) == 1 and self.steps[0].kind == kind else None

    def uses(self, kind: str) -> bool:
        """Return whether one of the steps is of this kind."""
        return any(step.kind == kind for step in self.steps)


CLEAN: Final = Condition("clean")


def parse_conditions(text: str) -> tuple[Condition, ...]:
    """Return the conditions of a comma-separated list, each once, in order.

    Raises:
        InputError: ``condition_unknown``, ``condition_out_of_range``, ``too_many_conditions``.

    Example:
        >>> [condition.title for condition in parse_conditions("noise5,2s+telephone")]
        ['noise at 5 dB', '2 s of speech, then telephone, 300 to 3,400 Hz']
    """
    words = [word for word in (part.strip() for part in text.split(",")) if word]
    found = tuple({word: _condition(word) for word in words}.values())
    if len(found) > MAX_CONDITIONS:
        raise InputError(
            "too_many_conditions",
            f"{len(found)} conditions were asked for; expected at most {MAX_CONDITIONS}; measure them in parts.",
        )
    return found


def join_conditions(conditions: str, durations: str = "", snrs: str = "") -> tuple[Condition, ...]:
    """Return the conditions of three lists: by name, as seconds of speech, and as dB of noise; each once.

    Raises:
        InputError: as ``parse_conditions``.

    Example:
        >>> [condition.name for condition in join_conditions("telephone", "1, 2", "20,0")]
        ['telephone', '1s', '2s', 'noise20', 'noise0']
    """
    seconds = [f"{word.strip()}s" for word in durations.split(",") if word.strip()]
    noises = [f"noise{word.strip()}" for word in snrs.split(",") if word.strip()]
    found = parse_conditions(",".join([conditions, *seconds, *noises]))
    return tuple(condition for condition in found if condition.steps)


def _condition(name: str) -> Condition:
    if name == CLEAN.name:
        return CLEAN
    return Condition(name, tuple(_step(part.strip(), name) for part in name.split("+")))


def _step(word: str, name: str) -> Step:
    match = _STEP.fullmatch(word)
    needs_amount = match is not None and match["word"] in ("noise", "babble", "opus")
    if match is None or (needs_amount != (match["amount"] is not None) and match["seconds"] is None):
        raise InputError(
            "condition_unknown",
            f"The condition {name!r} has the part {word!r}; expected clean, noise<dB>, babble<dB>, telephone, "
            "opus<kb/s> or <seconds>s, joined by +; for example noise5 or 2s+telephone.",
        )
    if match["seconds"] is not None:
        return _within(Step("crop", float(match["seconds"])), SPEECH_RANGE_S, "seconds of speech")
    amount = float(match["amount"] or 0.0)
    if match["word"] == "opus":
        return _within(Step("opus", amount), OPUS_KBPS, "kb/s")
    if match["word"] == "telephone":
        return Step("telephone")
    return _within(Step(match["word"], amount), SNR_RANGE_DB, "dB")


def _within(step: Step, allowed: tuple[float, float], unit: str) -> Step:
    if not allowed[0] <= step.amount <= allowed[1]:
        raise InputError(
            "condition_out_of_range",
            f"{step.title} was asked for; expected {allowed[0]:g} to {allowed[1]:g} {unit}; choose another value.",
        )
    return step


@dataclass(frozen=True, eq=False)
class NoisePool:
    """Recordings of noise.

    Attributes:
        names: file names, for the report.
        recordings: samples (N,) of each, at 16 kHz.
        sha256: hash over the hashes of the files: what the degraded audio depends on.
    """

    names: tuple[str, ...]
    recordings: tuple[Samples, ...] = field(repr=False)
    sha256: str


def read_noise(folder: str | Path) -> NoisePool:
    """Return the noise recordings in a folder and those below it, in the order of their names.

    Raises:
        InputError: ``noise_missing`` without a usable file, ``too_many_noises``, or what ``voxid.audio.load`` says.
    """
    root = Path(folder)
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in _AUDIO_ENDINGS)
    if not paths:
        raise InputError(
            "noise_missing",
            f"{root} holds no recordings ({', '.join(sorted(_AUDIO_ENDINGS))}); expected background noise; "
            "give a folder of it.",
        )
    if len(paths) > MAX_NOISE_FILES:
        raise InputError(
            "too_many_noises",
            f"{root} holds {len(paths)} recordings; expected at most {MAX_NOISE_FILES}; give a smaller folder.",
        )
    heard = [(path, load(path)) for path in paths]
    usable = [(path, waveform) for path, waveform in heard if float(np.max(np.abs(waveform.samples))) > 1e-4]
    if not usable:
        raise InputError(
            "noise_missing", f"Every recording in {root} is silent; expected noise; give other files."
        )
    digest = hashlib.sha256("".join(waveform.sha256 for _, waveform in usable).encode()).hexdigest()
    return NoisePool(
        tuple(path.relative_to(root).as_posix() for path, _ in usable),
        tuple(waveform.samples for _, waveform in usable),
        digest,
    )


def first_speech(regions: Sequence[Segment], seconds: float) -> list[Segment] | None:
    """Return the regions up to ``seconds`` of speech, or None where there is less.

    Example:
        >>> first_speech([Segment(1.0, 2.0), Segment(3.0, 6.0)], 1.5)
        [Segment(start_s=1.0, end_s=2.0), Segment(start_s=3.0, end_s=3.5)]
    """
    kept: list[Segment] = []
    left_s = seconds
    for region in regions:
        if left_s < 1.0 / SAMPLE_RATE_HZ:
            break
        kept.append(Segment(region.start_s, min(region.end_s, region.start_s + left_s)))
        left_s -= kept[-1].duration_s
    return kept if left_s < 1.0 / SAMPLE_RATE_HZ else None


def span_of(regions: Sequence[Segment]) -> Segment:
    """Return the stretch of a recording that holds these regions, with a little before the first and none after."""
    return Segment(max(0.0, regions[0].start_s - LEAD_S), regions[-1].end_s)
