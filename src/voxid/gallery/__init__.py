"""People at rest: consent, keys, the encrypted store, the search index, export and import.

names     what a name may be, and how it is looked up
consent   what a person allowed, and the history of it
keys      master key, derived keys, sealing
tables    what a gallery holds
database  what an engine does; sqlite, postgres: the two; locations: which of them a path or an address means
formats   what a gallery begins with, and how an older one becomes the newest
records   a person, with embeddings inside and without them outside
packing   people as bytes
rows      the sealed rows of a person
unknown   people without a name: grounds, recordings, voice; unknown_rows, unknown_change: as stored, as changed
roster    the verified list of everybody
documents sealed JSON records of any kind; document_rows, document_change: as stored, as changed
holds     whether a person must not be erased for now
counters  how often something happened, against a limit
change    one transaction that changes something
store     the gallery, opened; people_reading, document_reading: what is read of it
tombstones, older_copies: what must not come back; backup: a copy, and back from it
index     exact search over vectors; index_file: a sealed copy of it on disk
search    the people of a store, searchable by purpose
transfer  export and import
exchange  another master key for everything
"""

from __future__ import annotations

from voxid.gallery.consent import PURPOSES, Consent, ConsentRecord
from voxid.gallery.documents import Counted, Document, new_document_id
from voxid.gallery.records import Person, VoiceprintInfo
from voxid.gallery.transfer import TransferReport
from voxid.gallery.unknown import Grounds, Sighting, UnknownPerson

__all__ = [
    "PURPOSES",
    "Consent",
    "ConsentRecord",
    "Counted",
    "Document",
    "Grounds",
    "Person",
    "Sighting",
    "TransferReport",
    "UnknownPerson",
    "VoiceprintInfo",
    "new_document_id",
]
