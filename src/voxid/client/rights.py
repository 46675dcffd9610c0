"""What people are entitled to, over the network: reviews, disputes, opt-outs, exports, erasure, audit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from voxid.client.answers import read
from voxid.client.result_answers import Dispute, KeptDecision, Review
from voxid.client.transport import Recording, Transport

__all__ = ["RightsCalls"]


class RightsCalls(Transport):
    """The review queue, disputes, opt-outs, exports and imports, erasure, the audit log."""

    def reviews(self, state: str | None = "open") -> Iterator[Review]:
        """Yield what a person has to decide; with another state what was decided, with None all."""
        for fields in self.pages("/reviews", "reviews", {"state": state}):
            yield read(Review, fields)

    def decide_review(self, review_id: str, outcome: str, note: str = "") -> Review:
        """Return an item, decided: "confirmed" or "rejected". Raises: CompatibilityError: review_decided."""
        body = {"outcome": outcome, "note": note}
        return read(Review, self.call("POST", f"/reviews/{review_id}/decide", json=body))

    def decision(self, decision_id: str) -> KeptDecision:
        """Return a decision as it is kept. Raises: InputError: decision_missing."""
        return read(KeptDecision, self.call("GET", f"/decisions/{decision_id}"))

    def dispute(self, subject: str, subject_id: str, statement: str, turns: Sequence[int] = ()) -> Dispute:
        """Return a new dispute.

        Args:
            subject: "decision", "timeline" or "watchlist_hit".
            subject_id: of it.
            statement: what is wrong.
            turns: of a timeline, which are wrong; none: all.
        """
        body = {"subject": subject, "subject_id": subject_id, "statement": statement, "turns": list(turns)}
        return read(Dispute, self.call("POST", "/disputes", json=body))

    def disputes(self, state: str | None = None) -> Iterator[Dispute]:
        """Yield disputes in the order they were raised."""
        for fields in self.pages("/disputes", "disputes", {"state": state}):
            yield read(Dispute, fields)

    def resolve_dispute(self, dispute_id: str, outcome: str, note: str = "") -> Dispute:
        """Return a dispute, decided: "upheld" or "overturned"."""
        body = {"outcome": outcome, "note": note}
        return read(Dispute, self.call("POST", f"/disputes/{dispute_id}/resolve", json=body))

    def opt_out(
        self, *, name: str | None = None, person_id: str | None = None, voice_wish: str | None = None
    ) -> str | None:
        """Opt somebody out, by name or id; return the id the voice is kept under, None when it is not."""
        body = {"name": name, "person_id": person_id, "voice_wish": voice_wish}
        kept: str | None = self.call("POST", "/opt-outs", json=body)["voice_id"]
        return kept

    def opted_out(self, name: str) -> bool:
        """Return whether a name is under an opt-out."""
        return bool(self.call("POST", "/opt-outs/check", json={"name": name})["opted_out"])

    def lift_opt_out(self, name: str) -> None:
        """Allow a name again."""
        self.call("POST", "/opt-outs/lift", json={"name": name})

    def export_person(self, person_id: str, passphrase: str | None = None) -> bytes:
        """Return all that is kept of a person, as a zip; voiceprints only with a passphrase, encrypted."""
        body = {"person_id": person_id, "passphrase": passphrase}
        return self.download("POST", "/exports/person", json=body)

    def export_gallery(self, passphrase: str) -> bytes:
        """Return everybody, encrypted with the passphrase."""
        return self.download("POST", "/exports/gallery", json={"passphrase": passphrase})

    def import_people(self, export: Recording, passphrase: str) -> dict[str, int]:
        """Return how many people, voiceprints and opt-outs were taken over from an export.

        Raises:
            CompatibilityError: import_conflict. PolicyError: passphrase_wrong. InputError: export_damaged.
        """
        headers = {"X-Voxid-Passphrase": quote(passphrase)}
        report: dict[str, int] = self.send("/imports", export, headers=headers)
        return report

    def erase(
        self, person_id: str, reason: str = "request", *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Erase a person; return the signed receipt, as `voxid.audit.statements.SignedStatement` reads it.

        Called again with the same `idempotency_key`, the receipt is given again, though the person is gone.
        """
        body = {"person_id": person_id, "reason": reason}
        receipt: dict[str, Any] = self.call("POST", "/erasures", json=body, idempotency_key=idempotency_key)
        return receipt

    def audit_events(self, after: int = 0, **only: Any) -> Iterator[dict[str, Any]]:
        """Yield entries of the audit log behind a number; only those of a person_id, or of an act."""
        following: int | None = after
        while following is not None:
            page = self.call("GET", "/audit/events", query={**only, "after": following, "limit": 1000})
            yield from page["events"]
            following = page["next"]

    def audit_head(self) -> dict[str, Any]:
        """Return where the audit log stands, signed: keep it where whoever runs the service cannot change it."""
        head: dict[str, Any] = self.call("GET", "/audit/head")
        return head

    def audit_proof(self, sequence: int) -> dict[str, Any]:
        """Return the proof that an entry is in the audit log."""
        proof: dict[str, Any] = self.call("GET", f"/audit/events/{sequence}/proof")
        return proof

    def verify_audit(self) -> dict[str, Any]:
        """Return what a check of the whole audit log found."""
        report: dict[str, Any] = self.call("POST", "/audit/verify")
        return report
