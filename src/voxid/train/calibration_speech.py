"""Speech that ranges of activations are measured on: crops of packed speech, or a user's folder of recordings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from voxid.audio import load
from voxid.bundle import Bundle
from voxid.embedding import with_margin
from voxid.errors import InputError
from voxid.features import frame_count
from voxid.frontend import FrontEnd
from voxid.segments import Segment
from voxid.speech import detect_speech, speech_mask
from voxid.train.graph_embedder import GraphEmbedder, Inputs, open_session, random_crops, voice_inputs
from voxid.train.shards import Shard

Progress = Callable[[str, int, int], None]

# The lengths users' recordings have, from one word to a long turn.
_DURATIONS_S: Final = (1.0, 2.0, 3.0, 5.0, 8.0)
_CALIBRATION_VOICES: Final = 240
_CHECK_VOICES: Final = 80
_MIN_VOICES: Final = 8
_MIN_SPEECH_FRAMES: Final = 30
_MAX_FILES: Final = 400


@dataclass(frozen=True, eq=False)
class CalibrationSpeech:
    """Graph inputs, one voice each: those ranges are measured on, and others to check the result with."""

    calibration: list[Inputs]
    check: list[Inputs]


def from_packed(bundle: Bundle, training: Shard, seed: int) -> CalibrationSpeech:
    """Return crops of training speech, distorted copies among them.

    Raises:
        CompatibilityError: ``not_for_packed_speech`` when the bundle listens to other features.
    """
    graph = GraphEmbedder.of(bundle)
    lengths = [int(100 * duration_s) for duration_s in _DURATIONS_S]
    crops = random_crops(training, lengths, _CALIBRATION_VOICES + _CHECK_VOICES, seed)
    return _shared([graph.inputs(crop[None]) for crop in crops if len(crop) >= _MIN_SPEECH_FRAMES])


def from_audio(bundle: Bundle, folder: Path, seed: int, progress: Progress) -> CalibrationSpeech:
    """Return stretches of the recordings below a folder, heard as ``voxid verify`` hears them.

    Raises:
        InputError: ``no_calibration_speech`` when there are fewer than 8 stretches of speech.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    rng = np.random.default_rng(seed)
    files = [files[int(i)] for i in rng.permutation(len(files))[:_MAX_FILES]]
    front_end = FrontEnd.from_card(bundle.card["input"])
    name = front_end.input or open_session(bundle.graph).get_inputs()[0].name
    voices: list[Inputs] = []
    for done, path in enumerate(files):
        progress("recordings", done, len(files))
        try:
            waveform = load(path)
        except InputError:
            continue  # a text file, a picture, a broken recording: what is usable is counted below
        length_s = _DURATIONS_S[done % len(_DURATIONS_S)]
        begin_s = float(rng.uniform(0.0, max(0.0, waveform.duration_s - length_s)))
        part = waveform.slice(Segment(begin_s, min(waveform.duration_s, begin_s + length_s)))
        n_frames = frame_count(part.samples.size)
        speech = speech_mask(detect_speech(part), n_frames)
        if speech.sum() < _MIN_SPEECH_FRAMES:
            continue
        x = front_end.features_of(part.samples)
        kept = front_end.align(with_margin(speech)[None], x)[0] > 0
        voices.append(voice_inputs(front_end, front_end.select(x, kept), name))
    progress("recordings", len(files), len(files))
    if len(voices) < _MIN_VOICES:
        raise InputError(
            "no_calibration_speech",
            f"{folder} holds {len(voices)} recordings with 0.3 s of speech or more, of {len(files)} files; quantising "
            f"needs {_MIN_VOICES}, better 200 of many people.",
        )
    return _shared(voices)


def _shared(voices: list[Inputs]) -> CalibrationSpeech:
    """Deal the voices three to one."""
    return CalibrationSpeech(
        [voice for at, voice in enumerate(voices) if at % 4],
        [voice for at, voice in enumerate(voices) if not at % 4],
    )
