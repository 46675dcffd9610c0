"""What kind of conversations to simulate: three styles, or a recipe file that says everything."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from voxid.errors import ConfigError
from voxid.recipes import Range, build, read_recipe

__all__ = ["STYLES", "Line", "Noise", "Places", "SimulationRecipe", "load_simulation_recipe"]

_MOST_SPEAKERS: Final = 8
_MOST_MINUTES: Final = 120.0
_OPUS_LEAST_KBPS, _OPUS_MOST_KBPS = 6.0, 64.0


@dataclass(frozen=True)
class Places:
    """Where people sit.

    Attributes:
        share: how many of the conversations take place in a simulated room, 0 to 1; in the others everybody speaks
            close into a microphone of their own.
        floor_m: shortest and longest wall of the rooms.
        reverberation_s: RT60 of the rooms.
        distance_m: of people from the one microphone.
    """

    share: float = 0.0
    floor_m: Range = (3.0, 8.0)
    reverberation_s: Range = (0.2, 0.6)
    distance_m: Range = (0.5, 3.0)


@dataclass(frozen=True)
class Noise:
    """What is heard besides the people.

    Attributes:
        snr_db: speech over noise.
        babble_share: how often the noise is people talking elsewhere, from speakers who are not in the conversation.
        folder: recordings of noise to take instead of made-up noise; none when empty.
    """

    snr_db: Range = (10.0, 35.0)
    babble_share: float = 0.0
    folder: str = ""


@dataclass(frozen=True)
class Line:
    """What the sound goes through.

    Attributes:
        telephone_share: how often it is a telephone: 300 to 3,400 Hz, 8-bit mu-law.
        opus_share: how often it is a call over Opus otherwise.
        opus_kbps: bit rate then.
    """

    telephone_share: float = 0.0
    opus_share: float = 0.0
    opus_kbps: Range = (12.0, 32.0)


@dataclass(frozen=True)
class SimulationRecipe:
    """A kind of conversation.

    Attributes:
        name: goes into the names of the recordings.
        timing: one of the package's timings, ``ami`` or ``voxconverse``, or a folder of RTTM files to fit one on.
        speakers: fewest and most.
        minutes: shortest and longest.
        overlap: share of the speech time in which several speak; as in the timing when below 0.
        level_spread_db: people differ in level by up to this much either way.
        one_group_share: how often all come from one corpus, so that nobody is told by their microphone.
        rate_hz: of the recording: 16,000, or 8,000 for telephone speech as it is.
        stereo: one channel per speaker, the second and every second one on the right; only without a room.
    """

    name: str = "conversation"
    timing: str = "ami"
    speakers: Range = (2.0, 4.0)
    minutes: Range = (3.0, 5.0)
    overlap: float = -1.0
    level_spread_db: float = 4.0
    one_group_share: float = 1.0
    rate_hz: int = 16_000
    stereo: bool = False
    places: Places = field(default_factory=Places)
    noise: Noise = field(default_factory=Noise)
    line: Line = field(default_factory=Line)

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise ConfigError("recipe_invalid", f"The recipe {self.name!r} cannot be used: {problem}.")


def load_simulation_recipe(path: str | Path) -> SimulationRecipe:
    """Return the recipe in a YAML or JSON file; what it leaves out keeps the default.

    Raises:
        ConfigError: ``recipe_missing``; ``recipe_invalid`` for what is no YAML, unknown keys, wrong types and values
            out of range, with the key; ``yaml_missing`` where the file is YAML and PyYAML is not installed.
    """
    recipe = build(SimulationRecipe, read_recipe(path), str(path))
    if not isinstance(recipe, SimulationRecipe):
        raise ConfigError("recipe_invalid", f"{path} must be a mapping of keys to values.")
    return recipe


def _problem(recipe: SimulationRecipe) -> str:
    """Return what is wrong with a recipe, or nothing."""
    ranges: list[tuple[str, Range, float, float]] = [
        ("speakers", recipe.speakers, 1, _MOST_SPEAKERS),
        ("minutes", recipe.minutes, 0.1, _MOST_MINUTES),
        ("places.floor_m", recipe.places.floor_m, 1.5, 50),
        ("places.reverberation_s", recipe.places.reverberation_s, 0.05, 1.0),
        ("places.distance_m", recipe.places.distance_m, 0.1, 20),
        ("noise.snr_db", recipe.noise.snr_db, -20, 100),
        ("line.opus_kbps", recipe.line.opus_kbps, _OPUS_LEAST_KBPS, _OPUS_MOST_KBPS),
    ]
    for name, (least, most), low, high in ranges:
        if not low <= least <= most <= high:
            return f"{name} is {least:g} to {most:g}; expected least <= most, both from {low:g} to {high:g}"
    shares = {
        "places.share": recipe.places.share,
        "noise.babble_share": recipe.noise.babble_share,
        "line.telephone_share": recipe.line.telephone_share,
        "line.opus_share": recipe.line.opus_share,
        "one_group_share": recipe.one_group_share,
    }
    for name, share in shares.items():
        if not 0.0 <= share <= 1.0:
            return f"{name} is {share:g}; expected a share from 0 to 1"
    if recipe.overlap > 0.6:
        return f"overlap is {recipe.overlap:g}; expected up to 0.6, or below 0 for that of the timing"
    if not 0.0 <= recipe.level_spread_db <= 30.0:
        return f"level_spread_db is {recipe.level_spread_db:g}; expected 0 to 30"
    if recipe.rate_hz not in (8_000, 16_000):
        return f"rate_hz is {recipe.rate_hz}; expected 8000 or 16000"
    if recipe.stereo and recipe.places.share > 0.0:
        return "stereo keeps people apart, which one microphone in a room cannot; set places.share to 0"
    if not recipe.name or not recipe.name.replace("-", "").replace("_", "").isalnum():
        return "its name must be letters, digits, - and _, for it becomes part of file names"
    return ""


STYLES: Final[dict[str, SimulationRecipe]] = {
    "telephone": SimulationRecipe(
        name="telephone",
        speakers=(2.0, 2.0),
        rate_hz=8_000,
        noise=Noise(snr_db=(15.0, 35.0)),
        line=Line(telephone_share=1.0),
    ),
    "meeting": SimulationRecipe(
        name="meeting",
        speakers=(4.0, 4.0),
        overlap=0.14,
        places=Places(share=1.0),
        noise=Noise(snr_db=(12.0, 30.0)),
    ),
    "broadcast": SimulationRecipe(
        name="broadcast",
        timing="voxconverse",
        speakers=(6.0, 6.0),
        one_group_share=0.5,
        places=Places(share=0.3, reverberation_s=(0.1, 0.4), distance_m=(0.3, 1.0)),
        noise=Noise(snr_db=(15.0, 40.0)),
        line=Line(telephone_share=0.0, opus_share=0.3, opus_kbps=(24.0, 64.0)),
    ),
}
"""Ready-made recipes by name."""
