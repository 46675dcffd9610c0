"""Unknown people for store tests: seeded random unit vectors in place of voices."""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256

from synthetic_people import NOW, person
from voxid.gallery.unknown import HeardVoice, Sighting, UnknownRecord


def unknown(
    id_: str,
    seed: int,
    *,
    n_recordings: int = 2,
    heard_at: datetime = NOW,
    keep_days: int = 30,
    dim: int = 32,
) -> UnknownRecord:
    """Return somebody heard in ``n_recordings``, a day after one another."""
    prints = person("nobody", seed, n_voiceprints=n_recordings, dim=dim).voiceprints
    heard = []
    for at, print_ in enumerate(prints):
        then = heard_at + timedelta(days=at)
        sighting = Sighting(
            f"Konferenz {seed}.{at}",
            sha256(f"{seed}.{at}".encode()).hexdigest(),
            then,
            then + timedelta(days=keep_days),
            12.5,
            "minutes of the board; assessment 12",
        )
        heard.append(HeardVoice(sighting, print_, tuple(range(10, 22))))
    return UnknownRecord(id_, heard_at, tuple(heard))
