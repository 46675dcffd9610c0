"""Simulated room impulse responses: a shoebox room by the image method, with a diffuse tail.

Source: Allen and Berkley, "Image method for efficiently simulating small-room acoustics", JASA 65(4), 1979;
wall reflection from the reverberation time by Sabine's formula.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxid.audio import SAMPLE_RATE_HZ

__all__ = ["Room", "RoomResponse", "draw_room", "image_response", "random_response"]

_SOUND_SPEED_M_S = 343.0
_MAX_ORDER = 8
_LONGEST_S = 1.0
_LEAST_WALL_M = 0.3  # nobody speaks out of a wall
_PLACING_TRIES = 50
# From here on reflections are so dense that noise of the same decay sounds alike and costs nothing.
_MIXING_S = 0.05
_CROSSFADE_S = 0.02
_DECAY = 3.0 * np.log(10.0)  # amplitude falls by 60 dB


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
    delay_s, gain = _images(room_m, source_m, microphone_m, reverberation_s)
    delay = np.rint((delay_s - delay_s.min()) * SAMPLE_RATE_HZ).astype(np.int64)
    length = int(min(max(reverberation_s, 0.05), _LONGEST_S) * SAMPLE_RATE_HZ) + 1
    kept = delay < length
    response = np.bincount(delay[kept], weights=gain[kept], minlength=length)
    return np.asarray(response / np.abs(response).max(), dtype=np.float32)


def random_response(rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the response of a random living room, office or hall, RT60 0.1 to 0.8 s, talker 0.3 to 5 m away."""
    room = rng.uniform([2.5, 2.5, 2.2], [9.0, 8.0, 4.0])
    microphone = rng.uniform(0.3, room - 0.3)
    for _ in range(20):
        source = rng.uniform(0.3, room - 0.3)
        if 0.3 <= float(np.linalg.norm(source - microphone)) <= 5.0:
            break
    return image_response(room, source, microphone, float(rng.uniform(0.1, 0.8)))


@dataclass(frozen=True, eq=False)
class RoomResponse:
    """What a room does between one person and the microphone.

    Attributes:
        samples: (N,) at 16 kHz, from the moment of speaking: the direct path lies at ``delay_s``. Its amplitude is
            that of a person at 1 m, so that who sits further away is heard softer.
        delay_s: in which the direct sound arrives.
        distance_m: from the microphone.
    """

    samples: NDArray[np.float32]
    delay_s: float
    distance_m: float


@dataclass(frozen=True, eq=False)
class Room:
    """A room with people at their places and one microphone.

    Attributes:
        size_m: (3,). reverberation_s: RT60 asked for.
        responses: one per person.
    """

    size_m: NDArray[np.float64]
    reverberation_s: float
    responses: tuple[RoomResponse, ...]


def draw_room(
    rng: np.random.Generator,
    n_people: int,
    floor_m: tuple[float, float],
    reverberation_s: tuple[float, float],
    distance_m: tuple[float, float],
) -> Room:
    """Return a random room: heads 1 to 1.8 m high, the microphone 0.7 to 1.5 m.

    Args:
        rng: of all that is drawn.
        n_people: how many places.
        floor_m: shortest and longest side.
        reverberation_s: range of RT60. distance_m: range of the distance of people from the microphone.
    """
    size = np.append(rng.uniform(*floor_m, 2), rng.uniform(2.4, 3.6))
    rt60_s = float(rng.uniform(*reverberation_s))
    edge = np.full(3, _LEAST_WALL_M)
    microphone = rng.uniform(edge, size - edge)
    microphone[2] = rng.uniform(0.7, 1.5)
    responses = []
    for _ in range(n_people):
        place = microphone
        for _ in range(_PLACING_TRIES):
            place = rng.uniform(edge, size - edge)
            place[2] = rng.uniform(1.0, 1.8)
            if distance_m[0] <= float(np.linalg.norm(place - microphone)) <= distance_m[1]:
                break
        responses.append(room_response(size, place, microphone, rt60_s, rng))
    return Room(size, rt60_s, tuple(responses))


def room_response(
    room_m: NDArray[np.float64],
    source_m: NDArray[np.float64],
    microphone_m: NDArray[np.float64],
    reverberation_s: float,
    rng: np.random.Generator,
) -> RoomResponse:
    """Return images up to 50 ms after the direct sound, then noise that decays by 60 dB in ``reverberation_s``.

    Alone the images up to the eighth order end after a tenth of a second in a small room, and decay faster than
    Sabine's formula says. The noise joins at the power the images have there.
    """
    delay_s, gain = _images(room_m, source_m, microphone_m, reverberation_s)
    direct_s = float(delay_s.min())
    length = round((direct_s + min(max(reverberation_s, 0.1), _LONGEST_S)) * SAMPLE_RATE_HZ) + 1
    place = np.rint(delay_s * SAMPLE_RATE_HZ).astype(np.int64)
    kept = place < length
    early = np.bincount(place[kept], weights=gain[kept], minlength=length)
    since_s = np.arange(length) / SAMPLE_RATE_HZ - direct_s
    near = (since_s > _MIXING_S - _CROSSFADE_S) & (since_s < _MIXING_S + _CROSSFADE_S)
    decay = np.exp(-_DECAY * np.maximum(since_s, 0.0) / max(reverberation_s, 0.05))
    power = float(np.mean(np.square(early[near]))) if near.any() else 0.0
    scale = np.sqrt(power / max(float(np.mean(np.square(decay[near]))), 1e-12)) if power else 0.0
    part = np.clip((since_s - _MIXING_S + _CROSSFADE_S) / (2.0 * _CROSSFADE_S), 0.0, 1.0)
    late = scale * decay * rng.standard_normal(length)
    response = early * np.sqrt(1.0 - part) + late * np.sqrt(part)
    distance_m = float(np.linalg.norm(source_m - microphone_m))
    return RoomResponse(response.astype(np.float32), direct_s, distance_m)


def _images(
    room_m: NDArray[np.float64],
    source_m: NDArray[np.float64],
    microphone_m: NDArray[np.float64],
    reverberation_s: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return delay in seconds and amplitude (1 at 1 m) of every image of the source."""
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
    return distance / _SOUND_SPEED_M_S, reflection**count / np.maximum(distance, 0.1)
