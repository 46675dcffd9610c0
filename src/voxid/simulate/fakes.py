"""The generators of spoofed speech that this project makes by itself, each with its kind and its source.

``GENERATORS[name].make(samples, rng)`` turns genuine speech into spoofed speech as loud as it was. Nothing here clones
a voice: the same words are said again by the same voice with the marks of a machine on them, so that a detector can
learn them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from types import MappingProxyType

import numpy as np

from voxid.audio import SAMPLE_RATE_HZ
from voxid.errors import ConfigError, InputError
from voxid.simulate import conversion, parametric, replay, splicing, vocoders, world
from voxid.simulate.distortions import Samples

__all__ = ["FAMILIES", "GENERATORS", "Generator", "generators"]

FAMILIES = ("vocoder", "vc", "concatenation", "formant", "hmm", "neural", "replay")

Alone = Callable[[Samples, np.random.Generator], Samples]
Forge = Callable[[Samples, np.random.Generator, Sequence[Samples]], Samples]

_SHORTEST_S = 0.2
_LOUDEST = 0.999


@dataclass(frozen=True)
class Generator:
    """One way to make spoofed speech out of genuine speech.

    Attributes:
        name: stable, written into manifests. family: one of ``FAMILIES``.
        source: the paper or program. forge: the function itself; settings are drawn in it.
        needs: the module it imports, None: nothing beyond the core install.
        keeps_length: whether the result is as long as the original.
    """

    name: str
    family: str
    source: str
    forge: Forge
    needs: str | None = None
    keeps_length: bool = True

    def make(self, samples: Samples, rng: np.random.Generator, others: Sequence[Samples] = ()) -> Samples:
        """Return spoofed speech, float32 at 16 kHz, finite, of the power of the original, never above 1.

        Args:
            samples: (N,) float32 at 16 kHz, at least 0.2 s, of genuine speech.
            rng: of all settings and noise: the same state gives the same samples.
            others: further recordings of the same person, which splicing takes pieces of.

        Raises:
            InputError: the samples are too short or digital silence, or nothing usable came of them.
            ConfigError: the package the generator needs is missing.
        """
        power = float(np.mean(np.square(samples, dtype=np.float64))) if samples.size else 0.0
        if samples.size < _SHORTEST_S * SAMPLE_RATE_HZ or power <= 0.0:
            raise InputError(
                "speech_to_fake_too_short",
                f"{self.name} was given {samples.size / SAMPLE_RATE_HZ:.2f} s of audio with a power of {power:.1g}; "
                f"it needs {_SHORTEST_S} s that are not silent: leave this recording out.",
            )
        made = np.asarray(self.forge(samples, rng, others), dtype=np.float64)
        made_power = float(np.mean(made**2)) if made.size else 0.0
        if not np.isfinite(made_power) or made_power <= 1e-6 * power:
            raise InputError(
                "fake_unusable",
                f"{self.name} made silence or numbers that are not finite of {samples.size / SAMPLE_RATE_HZ:.2f} s of "
                "audio; leave this recording out.",
            )
        gain = np.sqrt(power / made_power)
        loudest = float(np.abs(made).max()) * gain
        return np.asarray(made * (gain * min(1.0, _LOUDEST / max(loudest, 1e-9))), dtype=np.float32)

    def check(self) -> None:
        """Refuse where the module it needs is not installed. Raises: ConfigError: ``generator_extra_missing``."""
        if self.needs is not None and find_spec(self.needs) is None:
            raise ConfigError(
                "generator_extra_missing",
                f"{self.name} needs the module {self.needs}, which is not installed; run: pip install 'voxid[train]', "
                "or choose generators that need nothing.",
            )


def generators(names: str | None = None) -> list[Generator]:
    """Return the generators named, comma between them; a family's name stands for all of it; None: all.

    Raises:
        InputError: a name is neither a generator's nor a family's.
    """
    if names is None:
        return list(GENERATORS.values())
    chosen: dict[str, Generator] = {}
    for name in (part.strip() for part in names.split(",")):
        found = [made for made in GENERATORS.values() if name in (made.name, made.family)]
        if not found:
            raise InputError(
                "generator_unknown",
                f"There is no generator or family {name!r}; choose of {', '.join(GENERATORS)} "
                f"or of the families {', '.join(FAMILIES)}.",
            )
        chosen.update({made.name: made for made in found})
    return list(chosen.values())


def _from_one(forge: Alone) -> Forge:
    """Return the function for a registry in which splicing takes other recordings too."""
    return lambda samples, rng, others: forge(samples, rng)


def _vocoder(name: str, source: str, forge: Alone) -> Generator:
    return Generator(name, "vocoder", source, _from_one(forge))


def _world(name: str, family: str, forge: Alone) -> Generator:
    return Generator(f"world-{name}", family, "Morise et al. 2016 (WORLD)", _from_one(forge), needs="pyworld")


def _voice(name: str, source: str, forge: Alone, keeps_length: bool = True) -> Generator:
    return Generator(name, "vc", source, _from_one(forge), keeps_length=keeps_length)


def _splice(name: str, forge: Forge) -> Generator:
    return Generator(
        f"splice-{name}", "concatenation", "Yi et al. 2021 (half-truth)", forge, keeps_length=False
    )


_PSOLA = "Moulines and Charpentier 1990 (TD-PSOLA)"
_ALL = (
    _vocoder("griffin-lim", "Griffin and Lim 1984", vocoders.griffin_lim),
    _vocoder("fast-griffin-lim", "Perraudin et al. 2013", vocoders.fast_griffin_lim),
    _vocoder("mel-griffin-lim", "Wang et al. 2017 (Tacotron)", vocoders.mel_griffin_lim),
    _vocoder("rtisi", "Beauregard et al. 2005", vocoders.real_time_inversion),
    _vocoder("phase-zero", "Oppenheim and Schafer", vocoders.zero_phase),
    _vocoder("phase-random", "Oppenheim and Schafer", vocoders.random_phase),
    _vocoder("phase-minimum", "Oppenheim and Schafer", vocoders.minimum_phase),
    _vocoder("lpc-pulse", "Atal and Hanauer 1971", parametric.lpc_pulse),
    _vocoder("lpc-mixed", "McCree and Barnwell 1995", parametric.lpc_mixed),
    _vocoder("lpc-noise", "Atal and Hanauer 1971, noise alone", parametric.lpc_noise),
    _vocoder("lpc-one-bit", "Un and Magill 1975", parametric.lpc_one_bit),
    _vocoder("sinusoidal", "McAulay and Quatieri 1986", parametric.sinusoidal),
    _vocoder("harmonic-noise", "Stylianou 2001", parametric.harmonics_and_noise),
    _vocoder("cepstral", "Oppenheim 1969", parametric.cepstral),
    _vocoder("channel", "Dudley 1939", parametric.channel),
    _world("copy", "vocoder", world.rebuilt),
    _world("smooth", "vocoder", world.smoothed),
    _world("no-aperiodicity", "vocoder", world.without_aperiodicity),
    _world("whisper", "vocoder", world.whispered),
    _world("monotone", "vc", world.spoken_flat),
    _world("pitch", "vc", world.other_pitch),
    _world("formants", "vc", world.other_formants),
    _world("voice", "vc", world.other_voice),
    _voice("psola-pitch", _PSOLA, conversion.pitch),
    _voice("psola-monotone", _PSOLA, conversion.monotone),
    _voice("psola-tempo", _PSOLA, conversion.tempo, keeps_length=False),
    _voice("psola-voice", _PSOLA, conversion.pitch_and_formants),
    _voice("formants", "Oppenheim 1969, envelope stretched", conversion.formants),
    _voice("phase-vocoder", "Flanagan and Golden 1966", conversion.stretched),
    _splice("shuffled", splicing.shuffled),
    _splice("hard", splicing.hard_joined),
    _splice("inserted", splicing.inserted),
    _splice("repeated", splicing.repeated),
    Generator("replay", "replay", "Wang et al. 2020 (ASVspoof 2019), simulated", _from_one(replay.replay)),
)
GENERATORS: Mapping[str, Generator] = MappingProxyType({made.name: made for made in _ALL})
