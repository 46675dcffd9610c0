"""Check exported voxid audit logs and proofs without voxid: python verify_audit.py log.jsonl [more.jsonl] [head.json]

Checked: numbers and hash chain of the entries; Merkle root (RFC 6962) and Ed25519 signature of every signed head, also
one kept earlier; --public-key: the signer; --proof FILE: one entry. Exit code 1: the first bad entry is named.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def root(leaves):
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1", root(leaves[:split]), root(leaves[split:]))


def check_signature(head, public_key):
    if public_key and head["public_key"] != public_key:
        sys.exit(f"the head of {head['size']} entries is not signed by the given key: {head['public_key']}")
    try:
        signature, key = bytes.fromhex(head.pop("signature")), bytes.fromhex(head["public_key"])
        stated = json.dumps({**head, "statement": "voxid-audit-head"}, sort_keys=True, separators=(",", ":"))
        Ed25519PublicKey.from_public_bytes(key).verify(signature, stated.encode())
    except (InvalidSignature, KeyError, ValueError):
        sys.exit(f"the signature of the head of {head['size']} entries is wrong")


def read(files):
    previous, leaves, heads = [], [], []
    for line in filter(None, b"\n".join(Path(file).read_bytes() for file in files).split(b"\n")):
        try:
            fields = json.loads(line)
            if "head" in fields:
                heads.append(fields["head"])
                continue
            if fields["sequence"] != len(leaves) + 1:
                sys.exit(f"entry {len(leaves) + 1} is missing: entry {fields['sequence']} is in its place")
            previous.append(fields["previous"])
        except (ValueError, KeyError, TypeError):
            sys.exit(f"entry {len(leaves) + 1} cannot be read")
        leaves.append(sha256(b"\0", line))
    return previous, leaves, heads


def check_log(files, public_key):
    previous, leaves, heads = read(files)
    heads.sort(key=lambda head: head["size"])
    signed = heads[-1]["size"] if heads else 0
    if signed != len(leaves) or not heads:
        what = "missing: a head says there are more" if signed > len(leaves) else "covered by no signed head"
        sys.exit(f"entry {min(signed, len(leaves)) + 1} is {what}")
    follows = [*previous, heads[-1]["last"]]  # what entry n + 1, or the head, says that entry n is
    vouched = [hash_.hex() == said for hash_, said in zip(leaves, follows[1:], strict=True)]
    for number, good in enumerate(vouched, 1):
        if not good:  # the later one is to blame unless it is vouched for itself
            later = number < len(vouched) and not vouched[number]
            sys.exit(f"entry {number + later} was changed, moved or replaced")
    for head in heads:
        check_signature(head, public_key)
        if head["origin"] != follows[0] or head["root"] != root(leaves[: head["size"]]).hex():
            sys.exit(f"the entries up to {head['size']} are not those that were signed")
    print(f"whole: {len(leaves)} entries, root {heads[-1]['root']}")


def check_proof(proof, public_key):
    head, at, found = proof["head"], proof["sequence"] - 1, sha256(b"\0", proof["entry"].encode())
    last, inside = head["size"] - 1, 0 <= at < head["size"]
    for sibling in map(bytes.fromhex, proof["path"]):
        left = at % 2 == 1 or at == last
        found = sha256(b"\1", *((sibling, found) if left else (found, sibling)))
        while left and at and at % 2 == 0:
            at, last = at // 2, last // 2
        at, last = at // 2, last // 2
    if not inside or last or found.hex() != head["root"]:
        sys.exit(f"entry {proof['sequence']} is not in the log of this head")
    check_signature(head, public_key)
    print(f"entry {proof['sequence']} is in the log of {head['size']} entries: {proof['entry']}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--proof")
    parser.add_argument("--public-key")
    asked = parser.parse_args()
    if asked.proof:
        check_proof(json.loads(Path(asked.proof).read_text()), asked.public_key)
    if asked.files:
        check_log(asked.files, asked.public_key)
