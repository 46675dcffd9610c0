"""What the law asks of whoever keeps voiceprints: how long, on what consent, with what proof.

jurisdictions  BIPA, CUBI, GDPR as data: retention rules and duties with their sources
settings       who is responsible, and what they decided
holds          people who must not be erased for the time being
disclosures    to whom what was given
erasing        erasure with a signed receipt
retention      who is due, and the job that lets exactly them go
receipts       consent receipts with the fields of ISO/IEC TS 27560, signed
portability    all that is kept of one person, with a manifest of hashes
processing     the record of processing activities, from the gallery as it is
policy         the public policy, as text and as a page
"""
