"""Whole conversations: from a recipe, speech and a seed to audio with the truth about it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile

from voxid.errors import InputError
from voxid.segments import Segment
from voxid.simulate.clips import Library, Voice
from voxid.simulate.composing import Score, compose
from voxid.simulate.distortions import Samples
from voxid.simulate.fitting import fit_timing, measure_talk
from voxid.simulate.libraries import check_library
from voxid.simulate.recipe import SimulationRecipe
from voxid.simulate.scenes import NoiseSource, draw_scene, render, resampled
from voxid.simulate.timing import Timing, timing_named
from voxid.simulate.turntaking import FRAMES_PER_S, tuned_to_overlap
from voxid.timeline import Timeline, read_rttms, write_uem
from voxid.timeline.text import write_text

__all__ = ["Conversation", "Simulator", "write_conversation", "write_manifest"]

FORMATS: Final = ("flac", "wav")

_LEAST_VOICE_S = 4.0  # with less, a speaker would say the same words all the time
_LEAST_HEARD_S = 2.0
_TRIES = 20
_LEAD_IN_S = (0.2, 1.5)
_NEEDED_SHARE = 0.75  # of the conversation: what a speaker may have to fill


@dataclass(frozen=True, eq=False)
class Conversation:
    """A simulated recording.

    Attributes:
        name: of its files.
        samples: (C, N) float32 at ``rate_hz``, C 1 or 2.
        truth: who is heard when.
        facts: what was drawn and measured, plain values.
    """

    name: str
    samples: Samples
    rate_hz: int
    truth: Timeline
    facts: dict[str, Any]


@dataclass(eq=False)
class Simulator:
    """Makes the conversations of a recipe; number n is the same whichever others are made.

    The same recipe, speech, seed and number give the same samples on the same machine and versions; the detector and
    FFTs may round differently elsewhere.

    Args:
        recipe: what kind of conversations.
        library: whose speech.
        seed: of all that is drawn.

    Raises:
        InputError: ``too_few_speakers``, ``noise_missing``.
        ConfigError: ``timing_unknown``, ``overlap_out_of_reach``.
    """

    recipe: SimulationRecipe
    library: Library
    seed: int

    def __post_init__(self) -> None:
        check_library(self.library, round(self.recipe.speakers[1]))
        self._timing = chosen_timing(self.recipe.timing)
        self._noises = NoiseSource(self.library, self.recipe)

    def conversations(self, count: int) -> Iterator[Conversation]:
        """Yield conversations 0 to ``count`` - 1."""
        for number in range(count):
            yield self.conversation(number)

    def conversation(self, number: int) -> Conversation:
        """Return one conversation.

        Raises:
            InputError: ``too_few_speakers`` when too few of the speakers have four seconds of speech.
        """
        rng = np.random.default_rng([self.seed, number])
        recipe = self.recipe
        n_speakers = int(rng.integers(round(recipe.speakers[0]), round(recipe.speakers[1]) + 1))
        minutes = float(rng.uniform(*recipe.minutes))
        n_frames = round(minutes * 60.0 * FRAMES_PER_S)
        cast = self._cast(n_speakers, minutes * 60.0 * _NEEDED_SHARE, rng)
        timing = timing_for(self._timing, recipe, n_speakers)
        lead_in = round(float(rng.uniform(*_LEAD_IN_S)) * FRAMES_PER_S)
        score = _with_everybody(timing, [voice for _, voice in cast], n_frames, rng, lead_in)
        noise = self._noises.draw(n_frames * 160, [at for at, _ in cast], rng)
        scene = draw_scene(recipe, n_speakers, noise, rng)
        samples = render(score, scene, self.library, 0, n_frames, separate=recipe.stereo)
        samples = resampled(samples, recipe.rate_hz)
        name = f"{recipe.name}-{number:03d}"
        truth = score.timeline(n_frames / FRAMES_PER_S, name, scene.delays_s())
        facts = {
            "name": name,
            "duration_s": n_frames / FRAMES_PER_S,
            "speakers": [voice.name for _, voice in cast],
            "repeated_share": round(score.repeated_share, 3),
            **scene.facts(),
            "talk": measure_talk([truth]).to_dict(),
        }
        return Conversation(name, samples, recipe.rate_hz, truth, facts)

    def _cast(self, n_speakers: int, enough_s: float, rng: np.random.Generator) -> list[tuple[int, Voice]]:
        """Return (number in the library, voice) of people with enough to say."""
        for pool in self._pools(n_speakers, rng):
            cast: list[tuple[int, Voice]] = []
            for number in rng.permutation(pool):
                voice = self.library.open_voice(int(number), rng, enough_s)
                if voice.speech_s >= _LEAST_VOICE_S:
                    cast.append((int(number), voice))
                if len(cast) == n_speakers:
                    return cast
        raise InputError(
            "too_few_speakers",
            f"Fewer than {n_speakers} speakers have {_LEAST_VOICE_S:g} s of speech in one session; "
            "add speech or ask for fewer speakers.",
        )

    def _pools(self, n_speakers: int, rng: np.random.Generator) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
        """Return from whom to choose, first choice first: one group at times (by size), then everybody."""
        groups = np.asarray(self.library.groups)
        everybody = np.arange(groups.size)
        one_group = rng.random() < self.recipe.one_group_share
        members = {name: everybody[groups == name] for name in sorted(set(groups.tolist()))}
        able = [pool for pool in members.values() if pool.size >= n_speakers]
        sizes = np.array([pool.size for pool in able], np.float64)
        order = rng.choice(len(able), len(able), replace=False, p=sizes / sizes.sum()) if able else ()
        return [*([able[i] for i in order] if one_group else []), everybody]


def _with_everybody(
    timing: Timing, voices: Sequence[Voice], n_frames: int, rng: np.random.Generator, lead_in: int
) -> Score:
    """Return a conversation in which everybody is heard for two seconds, or the one of 20 that comes nearest."""

    def heard(score: Score) -> int:
        return int((score.activity(0, n_frames).sum(axis=0) >= _LEAST_HEARD_S * FRAMES_PER_S).sum())

    best = compose(timing, voices, n_frames, rng, lead_in)
    for _ in range(_TRIES - 1):
        if heard(best) == len(voices):
            break
        best = max(best, compose(timing, voices, n_frames, rng, lead_in), key=heard)
    return best


def chosen_timing(named: str) -> Timing:
    """Return a timing of the package, or one fitted on a folder of RTTM files.

    Raises:
        ConfigError: ``timing_unknown``.
        InputError: ``no_turns``, ``too_few_turns``, ``rttm_invalid``.
    """
    folder = Path(named)
    if not folder.is_dir():
        return timing_named(named)
    talks = [timeline for path in sorted(folder.glob("*.rttm")) for timeline in read_rttms(path).values()]
    return fit_timing(talks, folder.name, f"RTTM files in {folder.name}")


def timing_for(timing: Timing, recipe: SimulationRecipe, n_speakers: int) -> Timing:
    """Return the timing with the recipe's overlap, where it asks for one and there are several speakers."""
    if recipe.overlap < 0.0 or n_speakers < 2:
        return timing
    return tuned_to_overlap(timing, n_speakers, recipe.overlap)


def write_conversation(conversation: Conversation, folder: Path, ending: str = "flac") -> dict[str, Any]:
    """Write NAME.flac (or .wav), NAME.rttm and NAME.uem, each whole or not at all.

    Returns:
        The facts, with the audio's file name and hash.

    Raises:
        InputError: ``output_unwritable``; ``format_unknown`` for another ending.
    """
    if ending not in FORMATS:
        raise InputError(
            "format_unknown", f"Audio can be written as {' or '.join(FORMATS)}, not as {ending!r}."
        )
    path = folder / f"{conversation.name}.{ending}"
    draft = path.with_suffix(".part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        samples, rate_hz = conversation.samples.T, conversation.rate_hz
        soundfile.write(draft, samples, rate_hz, subtype="PCM_16", format=ending.upper())
        draft.replace(path)
    except (OSError, soundfile.SoundFileError) as error:
        raise InputError(
            "output_unwritable", f"{path} cannot be written ({error}); choose another place."
        ) from None
    finally:
        draft.unlink(missing_ok=True)
    conversation.truth.write_rttm(folder / f"{conversation.name}.rttm")
    whole = Segment(0.0, conversation.truth.duration_s)
    write_uem(folder / f"{conversation.name}.uem", {conversation.name: [whole]})
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return conversation.facts | {"audio": path.name, "sha256": digest}


def write_manifest(
    folder: Path, recipe: SimulationRecipe, seed: int, facts: Sequence[dict[str, Any]]
) -> Path:
    """Write and return ``simulation.json``: recipe, seed, and the facts of every conversation.

    Raises:
        InputError: ``output_unwritable``.
    """
    path = folder / "simulation.json"
    text = json.dumps(
        {"recipe": asdict(recipe), "seed": seed, "conversations": list(facts)},
        ensure_ascii=False,
        indent=1,
    )
    write_text(path, text + "\n")
    return path
