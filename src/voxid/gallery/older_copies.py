"""What an older copy of a gallery must not bring back, taken out of it in one change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voxid.gallery.change import Change
from voxid.gallery.documents import Document
from voxid.gallery.tombstones import Tombstones
from voxid.gallery.unknown import UnknownRecord

__all__ = ["OlderCopy"]


@dataclass(frozen=True)
class OlderCopy:
    """What was read of the copy before it is changed.

    Args:
        number: of the last change the copy knows, in the order of tombstones.
        own: the tombstones and opt-outs it has.
    """

    number: int
    own: Tombstones
    strangers: Sequence[UnknownRecord]
    documents: Sequence[Document]

    def leave_out(self, change: Change, known: Tombstones) -> int:
        """Erase whoever was erased, withdrew or was refused after the copy; take tombstones and opt-outs over.

        Args:
            known: what was erased and refused, before and after the copy was made.

        Returns:
            How many people were taken out.
        """
        keyring = change.keyring
        new = known.beyond(self.own)
        change.documents.catch_up(known.newest)
        for tag, number in new.buried.items():
            change.documents.set_tombstone(tag, number)
        for refused in known.joined(self.own).in_force(keyring):
            if refused in new.opt_outs:
                change.add_opt_out_key(refused[0], known.keys[refused[0]])
                change.add_opt_out_tag(*refused)
        left_out = 0
        for record in list(change.everybody()):
            if known.erased_after(keyring, self.number, "person", record.id) or change.opted_out(record.name):
                change.remove(record.id)
                left_out += 1
        for stranger in self.strangers:
            if known.erased_after(keyring, self.number, "person", stranger.id):
                change.unknown.remove(stranger.id)
        for document in self.documents:
            if known.erased_after(keyring, self.number, document.kind, document.id):
                change.delete_document(document.kind, document.id, erase=True)
        return left_out
