"""Whether a person is under a legal hold: documents of a kind of their own, which stand in the way of erasing them.

`voxid.privacy.holds` places and ends holds.
"""

from __future__ import annotations

from typing import Final

from voxid.errors import PolicyError
from voxid.gallery.store import Store

__all__ = ["LEGAL_HOLD", "check_not_held"]

LEGAL_HOLD: Final = "legal_hold"


def check_not_held(store: Store, person_id: str) -> None:
    """Refuse to erase a person under a hold.

    Raises:
        PolicyError: legal_hold.
    """
    if store.documents(LEGAL_HOLD, person_id=person_id, limit=1):
        raise PolicyError(
            "legal_hold",
            "The person is under a legal hold, so nothing was erased; `voxid privacy hold NAME --release` ends it.",
        )
