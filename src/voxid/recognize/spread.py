"""How far apart the voices of a gallery are: LLRs of each person with themself and with the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxid.bundle import Bundle
from voxid.gallery.records import PersonRecord
from voxid.recognize.enrollment import consistency_llrs

__all__ = ["MOST_PEOPLE", "Spread", "spread_of"]

MOST_PEOPLE: Final = 300
"""More are not compared: with 300 there are some ninety thousand pairs already."""

# A histogram of fewer people would say how alike two known people sound.
_FEWEST_PEOPLE: Final = 5
_EDGES: Final = np.arange(-16.0, 16.5, 0.5)


@dataclass(frozen=True, eq=False)
class Spread:
    """LLRs of trials among enrolled people, counted.

    Args:
        people: compared.
        edges: (B + 1,) of the bins; what lies outside is counted in the first and the last.
        targets: (B,) one reference against the others of the same person.
        nontargets: (B,) one reference against all of another person.
    """

    people: int
    edges: NDArray[np.float64]
    targets: NDArray[np.int64]
    nontargets: NDArray[np.int64]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "people": self.people,
            "edges": self.edges.tolist(),
            "targets": self.targets.tolist(),
            "nontargets": self.nontargets.tolist(),
        }


def spread_of(people: Sequence[PersonRecord], bundle: Bundle, now: datetime) -> Spread | None:
    """Return how the LLRs among these people are spread; None when fewer than five can be compared.

    Only people take part whose consent in force covers verify or identify, and who have a voiceprint of the bundle.

    Args:
        people: at most `MOST_PEOPLE` are compared, the first ones.
    """
    compared = [person for person in people if _may(person, now) and len(person.embeddings(bundle.id))]
    compared = compared[:MOST_PEOPLE]
    if len(compared) < _FEWEST_PEOPLE:
        return None
    same = [
        consistency_llrs(person.embeddings(bundle.id), person.qualities(bundle.id), bundle)
        for person in compared
        if len(person.embeddings(bundle.id)) > 1
    ]
    others = _between(compared, bundle)
    return Spread(len(compared), _EDGES, _counted(same), _counted(others))


def _between(people: Sequence[PersonRecord], bundle: Bundle) -> list[NDArray[np.float64]]:
    """Return the LLRs of each reference against everybody it is not of."""
    backend = bundle.backend
    enrolled = backend.sides(
        [person.embeddings(bundle.id) for person in people],
        [person.qualities(bundle.id) for person in people],
    )
    found = []
    for at, person in enumerate(people):
        rest = enrolled.take([row for row in range(len(people)) if row != at])
        qualities = person.qualities(bundle.id)
        for row, embedding in enumerate(person.embeddings(bundle.id)):
            found.append(backend.compare(rest, backend.side(embedding[None], [qualities[row]]))[1])
    return found


def _counted(llrs: Sequence[NDArray[np.float64]]) -> NDArray[np.int64]:
    values = np.concatenate(list(llrs)) if llrs else np.zeros(0)
    return np.histogram(np.clip(values, _EDGES[0], _EDGES[-1]), _EDGES)[0].astype(np.int64)


def _may(person: PersonRecord, now: datetime) -> bool:
    consent = person.consent
    return (
        consent is not None and not consent.expired(now) and bool(consent.purposes & {"verify", "identify"})
    )
