"""The generators of spoofed speech that this project makes by itself, each with its kind and its source.

``GENERATORS[name].make(samples, rng)`` turns genuine speech into spoofed speech as loud as it was. Nothing here clones
a voice: the same words are said again by the same voice with the marks of a machine on them, so that a detector can
learn them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from voxid.audio import SAMPLE_RATE_HZ
from voxid.errors import InputError
from voxid.simulate import parametric, replay, vocoders
from voxid.simulate.distortions import Samples

__all__ = ["FAMILIES", "GENERATORS", "Generator", "generators"]

FAMILIES = ("vocoder", "vc", "concatenation", "formant", "hmm", "neural", "replay")

Forge = Callable[[Samples, np.random.Generator], Samples]

_SHORTEST_S = 0.2
_LOUDEST = 0.999


@dataclass(frozen=True)
class Generator:
    """One way to make spoofed speech out of genuine speech.

    Attributes:
        name: stable, written into manifests. family: one of ``FAMILIES``.
        source: the paper or program. forge: the function itself; settings are drawn in it.
        needs: the package it asks for, None: nothing beyond the core install.
        keeps_length: whether the result is as long as the original.
    """

    name: str
    family: str
    source: str
    forge: Forge
    needs: str | None = None
    keeps_length: bool = True

    def make(self, samples: Samples, rng: np.random.Generator) -> Samples:
        """Return spoofed speech, float32 at 16 kHz, finite, of the power of the original, never above 1.

        Args:
            samples: (N,) float32 at 16 kHz, at least 0.2 s, of genuine speech.
            rng: of all settings and noise: the same state gives the same samples.

        Raises:
            InputError: the samples are too short or digital silence.
            ConfigError: the package the generator needs is missing.
        """
        power = float(np.mean(np.square(samples, dtype=np.float64))) if samples.size else 0.0
        if samples.size < _SHORTEST_S * SAMPLE_RATE_HZ or power <= 0.0:
            raise InputError(
                "speech_to_fake_too_short",
                f"{self.name} was given {samples.size / SAMPLE_RATE_HZ:.2f} s of audio with a power of {power:.1g}; "
                f"it needs {_SHORTEST_S} s that are not silent: leave this recording out.",
            )
        made = np.nan_to_num(np.asarray(self.forge(samples, rng), dtype=np.float64), posinf=0.0, neginf=0.0)
        gain = np.sqrt(power / max(float(np.mean(made**2)), 1e-12))
        loudest = float(np.abs(made).max()) * gain
        return np.asarray(made * (gain * min(1.0, _LOUDEST / max(loudest, 1e-9))), dtype=np.float32)


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


_ALL = (
    Generator("griffin-lim", "vocoder", "Griffin and Lim 1984", vocoders.griffin_lim),
    Generator("fast-griffin-lim", "vocoder", "Perraudin et al. 2013", vocoders.fast_griffin_lim),
    Generator("mel-griffin-lim", "vocoder", "Wang et al. 2017 (Tacotron)", vocoders.mel_griffin_lim),
    Generator("rtisi", "vocoder", "Beauregard et al. 2005", vocoders.real_time_inversion),
    Generator("phase-zero", "vocoder", "Oppenheim and Schafer", vocoders.zero_phase),
    Generator("phase-random", "vocoder", "Oppenheim and Schafer", vocoders.random_phase),
    Generator("phase-minimum", "vocoder", "Oppenheim and Schafer", vocoders.minimum_phase),
    Generator("lpc-pulse", "vocoder", "Atal and Hanauer 1971", parametric.lpc_pulse),
    Generator("lpc-mixed", "vocoder", "McCree and Barnwell 1995", parametric.lpc_mixed),
    Generator("lpc-noise", "vocoder", "Atal and Hanauer 1971, noise alone", parametric.lpc_noise),
    Generator("lpc-one-bit", "vocoder", "Un and Magill 1975", parametric.lpc_one_bit),
    Generator("sinusoidal", "vocoder", "McAulay and Quatieri 1986", parametric.sinusoidal),
    Generator("harmonic-noise", "vocoder", "Stylianou 2001", parametric.harmonics_and_noise),
    Generator("cepstral", "vocoder", "Oppenheim 1969", parametric.cepstral),
    Generator("channel", "vocoder", "Dudley 1939", parametric.channel),
    Generator("replay", "replay", "Wang et al. 2020 (ASVspoof 2019), simulated", replay.replay),
)
GENERATORS: Mapping[str, Generator] = MappingProxyType({made.name: made for made in _ALL})
