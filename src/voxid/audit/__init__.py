"""The audit log as mathematics: what an entry is, how entries hold together, how anybody can check it. No storage.

actors     who is acting, known to whatever writes an event
events     an event as given, an entry as kept: one line of canonical JSON
merkle     RFC 6962: tree, proofs that an entry is in it, proofs that it only grew
heads      the state of a log in one signed statement
statements receipts and manifests that a gallery signs
checking   a whole log read again: the first bad entry, by number
exporting  entries for others: JSON lines, CEF
written    events that are on the disk, told to whoever counts them
"""

from __future__ import annotations

from voxid.audit.actors import Actor, acting_as, current_actor
from voxid.audit.checking import AuditReport
from voxid.audit.events import Entry, Event, Recorded
from voxid.audit.heads import Head, InclusionProof, SignedHead

__all__ = [
    "Actor",
    "AuditReport",
    "Entry",
    "Event",
    "Head",
    "InclusionProof",
    "Recorded",
    "SignedHead",
    "acting_as",
    "current_actor",
]
