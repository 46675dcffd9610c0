"""Simulated room impulse responses: a shoebox room by the image method.

Source: Allen and Berkley, "Image method for efficiently simulating small-room acoustics", JASA 65(4), 1979;
wall reflection from the reverberation time by Sabine's formula.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SOUND_SPEED_M_S = 343.0
_SAMPLE_RATE_HZ = 16_000
_MAX_ORDER = 8


def image_response(
    room_m: NDArray[np.float64],
    source_m: NDArray[np.float64],
    microphone_m: NDArray[np.float64],
    reverberation_s: float,
) -> NDArray[np.float32]:
    """Return the impulse response between two points of a shoebox room.

    Args:
        room_m: (3,) lengths of the walls.
        source_m: (3,) position inside the room.
        microphone_m: (3,) position inside the room.
        reverberation_s: RT60, the time in which sound falls by 60 dB.

    Returns:
        (N,) float32 at 16 kHz, starting at the direct path, which has its true place in a peak of 1.
    """
    volume = float(np.prod(room_m))
    surface = 2.0 * float(room_m[0] * room_m[1] + room_m[1] * room_m[2] + room_m[0] * room_m[2])
    absorption = min(0.98, 0.161 * volume / (surface * max(reverberation_s, 0.05)))
    reflection = np.sqrt(1.0 - absorption)
    order = np.arange(-_MAX_ORDER, _MAX_ORDER + 1)
    axes, bounces = [], []
    for axis in range(3):
        even = 2 * order * room_m[axis] + source_m[axis]
        odd = 2 * order * room_m[axis] - source_m[axis]
        axes.append(np.concatenate([even, odd]) - microphone_m[axis])
        bounces.append(np.concatenate([np.abs(2 * order), np.abs(2 * order - 1)]))
    squared = axes[0][:, None, None] ** 2 + axes[1][None, :, None] ** 2 + axes[2][None, None, :] ** 2
    distance = np.sqrt(squared).ravel()
    count = (bounces[0][:, None, None] + bounces[1][None, :, None] + bounces[2][None, None, :]).ravel()
    gain = reflection**count / np.maximum(distance, 0.1)
    delay = np.rint((distance - distance.min()) / _SOUND_SPEED_M_S * _SAMPLE_RATE_HZ).astype(np.int64)
    length = int(min(max(reverberation_s, 0.05), 1.0) * _SAMPLE_RATE_HZ) + 1
    kept = delay < length
    response = np.bincount(delay[kept], weights=gain[kept], minlength=length)
    return (response / np.abs(response).max()).astype(np.float32)


def random_response(rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the response of a random living room, office or hall, RT60 0.1 to 0.8 s, talker 0.3 to 5 m away."""
    room = rng.uniform([2.5, 2.5, 2.2], [9.0, 8.0, 4.0])
    microphone = rng.uniform(0.3, room - 0.3)
    for _ in range(20):
        source = rng.uniform(0.3, room - 0.3)
        if 0.3 <= float(np.linalg.norm(source - microphone)) <= 5.0:
            break
    return image_response(room, source, microphone, float(rng.uniform(0.1, 0.8)))
