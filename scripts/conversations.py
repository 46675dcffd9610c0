"""Conversations for tuning, stitched from single-speaker speech: a recipe and a seed, never committed audio.

The voices are the embedding recipe's held-out speakers: never trained on, never in the evaluation sets. Turn
lengths, pauses and overlaps are drawn from real recordings (RTTM files). Within one conversation a speaker is
heard from one recording session only, under one room response and level, as in life.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxid.audio import SAMPLE_RATE_HZ, Waveform, load
from voxid.errors import InputError
from voxid.simulate.distortions import add_at_snr, coloured_noise, reverberate
from voxid.simulate.rooms import random_response
from voxid.speech import detect_speech
from voxid.timeline import Segment, Timeline, Turn, read_rttms
from voxid.train.augment import telephone
from voxid.train.corpora import read_corpus
from voxid.train.recipe import Recipe
from voxid.train.shards import split

Samples = NDArray[np.float32]

MIN_VOICE_S = 9.0
"""A held-out speaker with less speech in their longest session is not used."""

MAX_PIECE_GAP_S = 0.3
"""Pauses inside a turn up to this long count as the speaker's turn, as ``diarize`` closes them too."""


@dataclass(frozen=True)
class Voice:
    """A speaker's utterances in one session."""

    speaker: str
    corpus: str
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class Timing:
    """Observed turn lengths and pauses between speakers (negative: overlap), in seconds."""

    turns_s: NDArray[np.float64]
    gaps_s: NDArray[np.float64]


@dataclass(frozen=True)
class Conversation:
    """A stitched recording and who speaks when in it."""

    waveform: Waveform
    reference: Timeline
    kind: str


def read_timing(folder: Path) -> Timing:
    """Return the timing of the RTTM files in ``folder``: turns of 0.4 to 20 s, pauses of -1.5 to 3 s."""
    turns_s: list[float] = []
    gaps_s: list[float] = []
    for path in sorted(folder.glob("*.rttm")):
        for timeline in read_rttms(path).values():
            turns = timeline.turns
            turns_s += [turn.duration_s for turn in turns]
            gaps_s += [b.start_s - a.end_s for a, b in pairwise(turns) if a.speaker != b.speaker]
    lengths, gaps = np.asarray(turns_s), np.asarray(gaps_s)
    return Timing(lengths[(lengths >= 0.4) & (lengths <= 20)], gaps[(gaps >= -1.5) & (gaps <= 3)])


def find_voices(recipe: Recipe, corpora: Path, pools: tuple[str, ...]) -> list[Voice]:
    """Return the held-out speakers of the corpora in ``pools``, each in the session with most utterances."""
    held = {row.speaker for row in split(recipe, corpora)[1]}
    sessions: dict[tuple[str, str], dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for entry in recipe.data.corpora:
        if entry.name not in pools:
            continue
        for row in read_corpus(entry, corpora, frozenset(recipe.data.reserved)):
            if row.speaker in held:
                sessions[row.speaker, entry.name][row.session].append(row.path)
    voices = []
    for (speaker, corpus), by_session in sorted(sessions.items()):
        paths = max(by_session.values(), key=len)
        voices.append(Voice(speaker, corpus, tuple(sorted(paths))))
    return voices


class Larynx:
    """Utterances, read and trimmed once for all conversations."""

    def __init__(self) -> None:
        self._spoken: dict[Path, tuple[Samples, list[Segment]]] = {}

    def speech(self, path: Path) -> tuple[Samples, list[Segment]]:
        """Return an utterance from its first to its last speech, and the speech regions in it."""
        if path not in self._spoken:
            waveform = load(path)
            try:
                regions = detect_speech(waveform)
            except InputError:
                regions = []
            if not regions:
                self._spoken[path] = np.zeros(0, dtype=np.float32), []
            else:
                offset_s = regions[0].start_s
                samples = waveform.slice(Segment(offset_s, regions[-1].end_s)).samples
                shifted = [Segment(r.start_s - offset_s, r.end_s - offset_s) for r in regions]
                self._spoken[path] = samples, shifted
        return self._spoken[path]

    def speech_s(self, voice: Voice) -> float:
        """Return how much trimmed speech a voice has."""
        return sum(len(self.speech(path)[0]) for path in voice.paths) / SAMPLE_RATE_HZ


@dataclass
class Tape:
    """What is left for one voice to say in a conversation."""

    samples: Samples
    regions: list[Segment]
    place_s: float = 0.0

    @property
    def left_s(self) -> float:
        return len(self.samples) / SAMPLE_RATE_HZ - self.place_s

    def say(self, length_s: float) -> tuple[Samples, list[Segment]]:
        """Return the next ``length_s`` (or what is left) and the speech regions in it, from 0."""
        start_s = self.place_s
        end_s = start_s + min(length_s, self.left_s)
        self.place_s = end_s
        piece = self.samples[round(start_s * SAMPLE_RATE_HZ) : round(end_s * SAMPLE_RATE_HZ)]
        inside = [
            Segment(max(r.start_s, start_s) - start_s, min(r.end_s, end_s) - start_s)
            for r in self.regions
            if min(r.end_s, end_s) - max(r.start_s, start_s) > 0.02
        ]
        return piece, inside


def _wind_tape(voice: Voice, larynx: Larynx, rng: np.random.Generator) -> Tape:
    """Return a voice's utterances in random order at a common level, 0.15 s apart."""
    pieces: list[Samples] = []
    regions: list[Segment] = []
    place_s = 0.0
    for index in rng.permutation(len(voice.paths)):
        samples, inside = larynx.speech(voice.paths[index])
        if len(samples) == 0:
            continue
        level = 0.05 / (float(np.sqrt(np.mean(samples**2))) + 1e-6)
        pause = np.zeros(round(0.15 * SAMPLE_RATE_HZ), dtype=np.float32)
        pieces += [samples * np.float32(level), pause]
        regions += [Segment(r.start_s + place_s, r.end_s + place_s) for r in inside]
        place_s += (len(samples) + len(pause)) / SAMPLE_RATE_HZ
    return Tape(np.concatenate(pieces), regions)


def draw_conversation(
    voices: list[Voice],
    larynx: Larynx,
    timing: Timing,
    duration_s: float,
    rng: np.random.Generator,
    name: str,
) -> Conversation:
    """Return a conversation of the voices, at most ``duration_s`` long; it ends when one has no more to say.

    Two in five in a simulated room, a quarter over the telephone; noise 8 to 35 dB below the speech; levels
    of the speakers differ by up to 8 dB.
    """
    tapes = [_wind_tape(voice, larynx, rng) for voice in voices]
    gains = 10 ** (rng.uniform(-4, 4, len(voices)) / 20)
    setting = rng.choice(["close", "room", "telephone"], p=[0.35, 0.4, 0.25])
    responses = [random_response(rng) for _ in voices] if setting == "room" else None
    mix = np.zeros(round((duration_s + 25) * SAMPLE_RATE_HZ), dtype=np.float32)
    turns: list[Turn] = []
    place_s, speaker = float(rng.uniform(0.2, 1.5)), int(rng.integers(len(voices)))
    share = rng.dirichlet(np.full(len(voices), 3.0))
    while place_s < duration_s and tapes[speaker].left_s > 0.5:
        piece, regions = tapes[speaker].say(float(rng.choice(timing.turns_s)))
        if responses is not None:
            piece = reverberate(piece, responses[speaker])
        start = round(place_s * SAMPLE_RATE_HZ)
        mix[start : start + len(piece)] += piece * np.float32(gains[speaker])
        turns += [
            Turn(Segment(place_s + r.start_s, place_s + r.end_s), voices[speaker].speaker) for r in regions
        ]
        end_s = place_s + len(piece) / SAMPLE_RATE_HZ
        if len(voices) > 1:
            others = np.array([index for index in range(len(voices)) if index != speaker])
            speaker = int(rng.choice(others, p=share[others] / share[others].sum()))
        place_s = max(end_s + float(rng.choice(timing.gaps_s)), place_s + 0.2)
    end_s = max(turn.end_s for turn in turns) + 0.5
    samples = mix[: round(end_s * SAMPLE_RATE_HZ)]
    samples = add_at_snr(samples, coloured_noise(len(samples), rng), float(rng.uniform(8, 35)))
    if setting == "telephone":
        samples = telephone(samples, rng)
    waveform = load(((samples / (np.abs(samples).max() + 1e-6) * 0.5).astype(np.float32), SAMPLE_RATE_HZ))
    reference = Timeline(_close_gaps(turns), duration_s=waveform.duration_s, uri=name)
    return Conversation(waveform, reference, str(setting))


def _close_gaps(turns: list[Turn]) -> tuple[Turn, ...]:
    """Return the turns with pauses up to 0.3 s inside one speaker's speech closed."""
    closed: dict[str, list[Segment]] = defaultdict(list)
    for turn in sorted(turns, key=lambda turn: turn.start_s):
        own = closed[turn.speaker]
        if own and turn.start_s - own[-1].end_s <= MAX_PIECE_GAP_S:
            own[-1] = Segment(own[-1].start_s, max(own[-1].end_s, turn.end_s))
        else:
            own.append(turn.segment)
    flat = [Turn(segment, speaker) for speaker, segments in closed.items() for segment in segments]
    return tuple(sorted(flat, key=lambda turn: turn.start_s))


def draw_conversations(
    n_conversations: int, recipe: Recipe, corpora: Path, timing_folders: list[Path], seed: int
) -> list[Conversation]:
    """Return conversations of 1 to 5 speakers and 30 to 240 s, 70 % of them inside one corpus.

    Speakers of one corpus share the kind of microphone, so that the channel does not give them away.
    """
    rng = np.random.default_rng(seed)
    larynx = Larynx()
    voices = find_voices(recipe, corpora, ("speechocean762", "common_voice_6", "common_voice_13_en"))
    voices = [voice for voice in voices if larynx.speech_s(voice) >= MIN_VOICE_S]
    timings = [read_timing(folder) for folder in timing_folders]
    conversations = []
    for number in range(n_conversations):
        n_speakers = int(rng.choice([1, 2, 3, 4, 5], p=[0.1, 0.35, 0.25, 0.2, 0.1]))
        corpora_names = sorted({voice.corpus for voice in voices})
        pool = voices
        if rng.random() < 0.7:
            corpus = rng.choice(corpora_names)
            pool = [voice for voice in voices if voice.corpus == corpus]
        chosen = [pool[i] for i in rng.choice(len(pool), n_speakers, replace=False)]
        timing = timings[int(rng.integers(len(timings)))]
        duration_s = float(rng.choice([30.0, 60.0, 120.0, 240.0]))
        conversations.append(
            draw_conversation(chosen, larynx, timing, duration_s, rng, f"tuning-{number:03d}")
        )
    return conversations
