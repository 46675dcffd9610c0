"""Telephone calls made of the sample voices: a channel for each side, echoes of the other side if wanted."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np

from voices import noise
from voxid.audio import SAMPLE_RATE_HZ, load
from voxid.speech import detect_speech
from voxid.timeline import Timeline, Turn

VOICES = Path(str(resources.files("voxid") / "data" / "voices"))
LATE_SAMPLES = round(0.08 * SAMPLE_RATE_HZ)


def clip(person: str, number: int) -> np.ndarray:
    return np.asarray(load(VOICES / person / f"{number:02d}.opus").samples)


def make_call(leak_db: float | None, customer_db: float = 0.0) -> tuple[np.ndarray, Timeline]:
    """Ada on channel 0 and Bruno on channel 1, one after the other, the third turns at once; truth by the VAD."""
    parts = [("ada", 3), ("bruno", 3), ("ada", 4), ("bruno", 4)]
    sides: list[list[np.ndarray]] = [[], []]
    for person, number in parts:
        sound = clip(person, number) * (10 ** (customer_db / 20) if person == "bruno" else 1.0)
        silence = np.zeros(len(sound) + 4_800, np.float32)
        own = int(person == "bruno")
        sides[own].append(np.concatenate([sound, np.zeros(4_800, np.float32)]))
        sides[1 - own].append(silence)
    both = clip("ada", 5), clip("bruno", 5) * 10 ** (customer_db / 20)
    longest = max(map(len, both))
    channels = [
        np.concatenate([*own, np.pad(last, (0, longest - len(last)))])
        for own, last in zip(sides, both, strict=True)
    ]
    turns = [
        Turn(region, name)
        for name, samples in zip(("agent", "customer"), channels, strict=True)
        for region in detect_speech(load((samples, SAMPLE_RATE_HZ)))
    ]
    truth = Timeline(tuple(turns), len(channels[0]) / SAMPLE_RATE_HZ, "call")
    stereo = np.stack(channels, axis=1)
    if leak_db is not None:
        echo = np.roll(stereo[:, ::-1], LATE_SAMPLES, axis=0)
        echo[:LATE_SAMPLES] = 0
        stereo = stereo + 10 ** (leak_db / 20) * echo
    hiss = noise(len(stereo) / SAMPLE_RATE_HZ + 1, 1e-4)[: len(stereo)]
    return (stereo + hiss[:, None]).astype(np.float32), truth
