"""Keys: where the master key comes from, what is derived from it, how a row is sealed.

    master key (32 random bytes, a file of mode 0600 or the environment; never inside the store)
      ├── wrapping key    AES-256-GCM, wraps one random data key per person
      ├── lookup key      keyed hash of a name, so that a person is found without a name in the clear
      ├── integrity key   keyed hash over each person's set of rows, and over the set of people
      ├── document key    AES-256-GCM, seals the documents that are nobody's
      └── signing key     Ed25519, signs heads of the audit log and receipts

Trust rules, in the order they are applied:
1. No key, no work: an existing gallery without its key is an error, never the reason to make a new key.
2. A key file that others may read is refused.
3. A key is checked against the gallery's key check value before anything is decrypted.
4. Every sealed row is bound to its place (tenant, person, bundle, id, format) as associated data: a row
   copied to another place does not open.
5. A new data key at every rewrite of a person, and destroyed with the person.
6. A master key is exchanged as a whole (`exchange`); no key of the one before opens what is written after.

Not covered: keys in the memory of a running process; a reader who holds both the store and the key.

Source: AES-GCM: NIST SP 800-38D (96-bit random nonces; each data key seals a few hundred rows at most, far
under the 2^32 bound). HKDF: RFC 5869. Keyed BLAKE2b: RFC 7693.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from voxid.errors import ConfigError, InputError

__all__ = [
    "KEY_FILE_SUFFIX",
    "SERVICE_KEY_FILE",
    "TENANTS_FOLDER",
    "Kept",
    "Keyring",
    "MasterKey",
    "bound_to",
    "create_key_file",
    "derived_key",
    "find_master_key",
    "next_key_file",
    "open_sealed",
    "read_key_file",
    "seal",
]

KEY_FILE_SUFFIX: Final = ".key"
TENANTS_FOLDER: Final = "tenants"
"""Where a service keeps the galleries of its tenants, beside `SERVICE_KEY_FILE`, the key of all of them."""
SERVICE_KEY_FILE: Final = "master.key"
NEXT_SUFFIX: Final = ".next"
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_MAX_KEY_FILE_BYTES: Final = 4096
_ENV_KEY: Final = "VOXID_MASTER_KEY"
_ENV_KEY_FILE: Final = "VOXID_KEY_FILE"


@dataclass(frozen=True)
class MasterKey:
    """The key of a gallery and, for messages, where it was found; its repr never shows the key.

    Args:
        secret: 32 bytes.
        origin: e.g. "people.voxid.key" or "the environment variable VOXID_MASTER_KEY".
        file: where it was read from; None: from no file.

    Raises:
        ConfigError: key_invalid when the secret is not 32 bytes.
    """

    secret: bytes = field(repr=False)
    origin: str
    file: Path | None = field(default=None, compare=False, repr=False)

    def following(self) -> MasterKey | None:
        """Return the key that an exchange put beside this one's file and has not finished yet; None: there is none."""
        path = None if self.file is None else next_key_file(self.file)
        return read_key_file(path) if path is not None and path.exists() else None

    def __post_init__(self) -> None:
        if not isinstance(self.secret, bytes) or len(self.secret) != _KEY_BYTES:
            size = len(self.secret) if isinstance(self.secret, bytes) else type(self.secret).__name__
            raise ConfigError(
                "key_invalid",
                f"The master key from {self.origin} is {size} bytes long; expected {_KEY_BYTES}.",
            )


@dataclass(frozen=True)
class Kept:
    """What stays through exchanges of the master key.

    Args:
        tombstone_key: what tombstones are hashed with (32 bytes): the integrity key of the first master key.
        public_keys: hex, of the master keys before this one.
    """

    tombstone_key: bytes = field(repr=False)
    public_keys: tuple[str, ...]


class Keyring:
    """The keys of one gallery, derived from its master key and bound to its store id.

    Args:
        master: the key.
        store_id: of the gallery.
        kept: what stayed from master keys before it; None: there was none.
    """

    def __init__(self, master: MasterKey, store_id: bytes, kept: Kept | None = None) -> None:
        self.origin = master.origin
        self.check = self.check_value(master)
        self.store_id = store_id
        self._wrapping = AESGCM(_derived(master.secret, store_id, b"wrapping"))
        self._lookup_key = _derived(master.secret, store_id, b"lookup")
        self._integrity_key = _derived(master.secret, store_id, b"integrity")
        self.documents = AESGCM(_derived(master.secret, store_id, b"documents"))
        self.signing = Ed25519PrivateKey.from_private_bytes(_derived(master.secret, store_id, b"signing"))
        self.kept = kept
        self._tombstone_key = self._integrity_key if kept is None else kept.tombstone_key
        self.former_public_keys = () if kept is None else kept.public_keys
        self.log_origin = hashlib.sha256(bound_to("audit-log", store_id.hex())).digest()

    @staticmethod
    def check_value(master: MasterKey) -> bytes:
        """Return the 16 bytes that tell the right key from a wrong one and nothing else about it."""
        return _derived(master.secret, b"", b"check")[:16]

    def name_tag(self, tenant: str, lookup_name: str) -> bytes:
        """Return the keyed hash (32 bytes) a person is found by."""
        return _keyed_hash(self._lookup_key, bound_to("name", tenant, lookup_name))

    def integrity_tag(self, *parts: bytes | memoryview) -> bytes:
        """Return the keyed hash (32 bytes) over the parts and their lengths, in order."""
        return _tag(self._integrity_key, parts)

    def tombstone_tag(self, *parts: bytes) -> bytes:
        """Return the keyed hash (32 bytes) of what was erased: the same under every master key the gallery has had."""
        return _tag(self._tombstone_key, parts)

    def under(self, master: MasterKey) -> Keyring:
        """Return the keys of this gallery under another master key."""
        own = self.signing.public_key().public_bytes_raw().hex()
        return Keyring(master, self.store_id, Kept(self._tombstone_key, (*self.former_public_keys, own)))

    def wrap(self, data_key: bytes, associated: bytes) -> bytes:
        """Return the data key sealed under the wrapping key."""
        return seal(self._wrapping, data_key, associated)

    def unwrap(self, wrapped: bytes, associated: bytes) -> bytes | None:
        """Return the data key, or None when the wrapped bytes or their place were changed."""
        return open_sealed(self._wrapping, wrapped, associated)


def derived_key(key: bytes, use: bytes) -> bytes:
    """Return the key (32 bytes) for one use of a person's or another random key."""
    return _derived(key, b"", use)


def opt_out_tag(opt_out_key: bytes, lookup_name: str) -> bytes:
    """Return the tombstone (32 bytes) of a name: it is recognised, but not read back."""
    return _keyed_hash(opt_out_key, bound_to("opt-out", lookup_name))


def forgotten_tag(key: bytes, audio_sha256: str, second: int) -> bytes:
    """Return the tombstone (32 bytes) of one second of a recording whose voice is not to be kept again."""
    return _keyed_hash(key, bound_to("forgotten", audio_sha256, str(second)))


def new_data_key() -> bytes:
    """Return 32 random bytes from the operating system."""
    return os.urandom(_KEY_BYTES)


def new_pseudonym() -> str:
    """Return 32 random hex digits that stand for a person where nothing else may."""
    return os.urandom(16).hex()


def bound_to(*place: str) -> bytes:
    """Return the associated data of a place; the stored-format version is part of it.

    Example:
        >>> bound_to("person", "local", "1f0e")
        b'voxid\\x1f1\\x1fperson\\x1flocal\\x1f1f0e'
    """
    return "\x1f".join(("voxid", "1", *place)).encode()


def seal(key: AESGCM, plain: bytes, associated: bytes) -> bytes:
    """Return nonce (12 bytes, random) + ciphertext + tag (16 bytes)."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + key.encrypt(nonce, plain, associated)


def open_sealed(key: AESGCM, sealed: bytes | memoryview, associated: bytes) -> bytes | None:
    """Return the plain bytes, or None when the sealed bytes, the place or the key are not the ones sealed."""
    if len(sealed) < _NONCE_BYTES + _TAG_BYTES:
        return None
    try:
        return key.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], associated)
    except InvalidTag:
        return None


def fingerprint(sealed: bytes) -> bytes:
    """Return nonce and tag (28 bytes), which stand for the whole sealed row in an integrity tag."""
    return sealed[:_NONCE_BYTES] + sealed[-_TAG_BYTES:]


def find_master_key(
    key: str | Path | bytes | None, store: Path | None, environ: Mapping[str, str] | None = None
) -> MasterKey | None:
    """Return the master key for the gallery at `store`; None when no place was named and no key file is there.

    Looked for in this order: the argument (a key file, or the 32 bytes), VOXID_MASTER_KEY (base64 of 32
    bytes), VOXID_KEY_FILE, the file next to the gallery (its name + ".key"), and for a tenant of a service the
    key of all its tenants (DATA/master.key of DATA/tenants/NAME.voxid); a gallery on a server has no file, and
    `store` is None.

    Raises:
        ConfigError: key_missing when a named key file is absent; key_invalid; key_readable_by_others.
    """
    environ = os.environ if environ is None else environ
    if isinstance(key, bytes):
        return MasterKey(key, "the key argument")
    if key is not None:
        return read_key_file(Path(key))
    if environ.get(_ENV_KEY):
        return _decoded(environ[_ENV_KEY], f"the environment variable {_ENV_KEY}")
    if environ.get(_ENV_KEY_FILE):
        return read_key_file(Path(environ[_ENV_KEY_FILE]))
    if store is None:
        return None
    places = [store.with_name(store.name + KEY_FILE_SUFFIX)]
    folder = store.absolute().parent
    if folder.name == TENANTS_FOLDER:
        places.append(folder.parent / SERVICE_KEY_FILE)
    return next((read_key_file(place) for place in places if place.exists()), None)


def read_key_file(path: Path) -> MasterKey:
    """Return the key in a file only its owner can read.

    Raises:
        ConfigError: key_missing when it is absent or unreadable; key_readable_by_others; key_invalid.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(_MAX_KEY_FILE_BYTES)
    except OSError as error:
        raise ConfigError(
            "key_missing",
            f"The key file {path} cannot be read ({error.strerror}); restore it from where you keep it safe, "
            f"or set {_ENV_KEY}. Without its key a gallery cannot be opened by anyone.",
        ) from error
    if os.name == "posix" and mode & 0o077:
        raise ConfigError(
            "key_readable_by_others",
            f"The key file {path} has mode {mode:04o}, so others can read it; expected 0600: chmod 600 {path}.",
        )
    return replace(_decoded(content.decode("ascii", errors="replace"), str(path)), file=path)


def create_key_file(path: Path) -> MasterKey:
    """Write a new random key to `path` (mode 0600) and return it; the key already there if another was first.

    The file appears whole or not at all: it is written under another name, synced, then linked.

    Raises:
        InputError: store_unwritable when the folder cannot be written.
    """
    secret = os.urandom(_KEY_BYTES)
    draft = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, base64.b64encode(secret) + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            os.link(draft, path)
        except FileExistsError:
            return read_key_file(path)
        finally:
            draft.unlink()
        sync_folder(path.parent)
    except OSError as error:
        raise InputError(
            "store_unwritable",
            f"The key file {path} cannot be written ({error.strerror}); choose another folder.",
        ) from error
    return MasterKey(secret, str(path), path)


def sync_folder(folder: Path) -> None:
    """Make a file's appearance in `folder` survive a power cut (POSIX only)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def same(left: bytes, right: bytes) -> bool:
    """Return whether two tags are equal, in a time that does not depend on where they differ."""
    return hmac.compare_digest(left, right)


def _decoded(text: str, origin: str) -> MasterKey:
    try:
        secret = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigError(
            "key_invalid",
            f"The master key from {origin} is not base64; expected the base64 of {_KEY_BYTES} bytes.",
        ) from error
    return MasterKey(secret, origin)


def next_key_file(path: Path) -> Path:
    """Return where the key lies that is to follow the one in this file, while it is exchanged."""
    return path.with_name(path.name + NEXT_SUFFIX)


def _tag(key: bytes, parts: Sequence[bytes | memoryview]) -> bytes:
    lengths = ",".join([str(len(part)) for part in parts]).encode()
    return _keyed_hash(key, b"".join((lengths, b":", *parts)))


def _derived(secret: bytes, salt: bytes, use: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=salt, info=b"voxid/1/" + use).derive(secret)


def _keyed_hash(key: bytes, message: bytes) -> bytes:
    return hashlib.blake2b(message, key=key, digest_size=32).digest()
