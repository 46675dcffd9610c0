"""Audio that waits on disk for a job: only ever sealed, each file under a key of its own.

    8 bytes   magic  "VOXIDSPL"
    2 bytes   version, big-endian: 1
    chunks    64 KiB of audio each (the last one less), AES-256-GCM, 16 bytes of tag behind each

A chunk's nonce is its number and whether it is the last one; the associated data is whose audio it is. So chunks can
not be swapped, dropped, repeated, cut off or taken from another file without the next read noticing. The key is given
to the caller and kept nowhere else: who keeps it in a sealed document, and deletes that document, has erased the audio.

Source: STREAM, Hoang, Reyhanitabar, Rogaway and Vizár, "Online authenticated-encryption and its nonce-reuse
misuse-resistance", CRYPTO 2015, section 7 (a counter and a last-block bit in the nonce, a key per stream).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import io
import os
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from voxid.decoding import SeekableAudio
from voxid.errors import ConfigError, InputError, StoreError
from voxid.gallery.keys import bound_to, new_data_key, sync_folder

__all__ = ["SealedAudio", "SealedWriter", "Spool"]

_MAGIC: Final = b"VOXIDSPL\x00\x01"
_CHUNK_BYTES: Final = 1 << 16
_TAG_BYTES: Final = 16
_SUFFIX: Final = ".sealed"


@dataclass(frozen=True)
class SealedAudio:
    """Where sealed audio lies and what opens it; its repr does not show the key.

    Args:
        name: of the file in the spool.
        key: 32 bytes; whoever has it and the file has the audio.
        size_bytes: of the audio.
        sha256: hash (hex) of the audio.
    """

    name: str
    key: bytes = field(repr=False)
    size_bytes: int
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, the key among them: only for a document that is sealed itself."""
        return {
            "name": self.name,
            "key": self.key.hex(),
            "size_bytes": self.size_bytes,
            "sha256": self.sha256,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> SealedAudio:
        """Return what `to_dict` wrote."""
        key = bytes.fromhex(fields["key"])
        return cls(str(fields["name"]), key, int(fields["size_bytes"]), str(fields["sha256"]))


class Spool:
    """A folder of sealed audio that belongs to one process at a time; it is made with the first audio.

    Raises:
        ConfigError: spool_in_use when another process has it. StoreError: spool_unwritable.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._opening = threading.Lock()
        self._lock = -1
        if folder.exists():
            self._take()

    def _take(self) -> None:
        """Make the folder where it is missing, and hold other processes off."""
        folder = self.folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _unwritable(folder, error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise ConfigError(
                "spool_in_use",
                f"The folder {folder} of waiting audio is used by another process; stop it, or give this one a data "
                "folder of its own.",
            ) from None
        self._lock = lock

    def close(self) -> None:
        """Let another process have the folder."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def create(self, owner: str, *, max_bytes: int) -> SealedWriter:
        """Return a writer of new audio.

        Args:
            owner: whose it is, e.g. a job's id; it must be said again to open it.
            max_bytes: the most that is taken.

        Raises:
            StoreError: spool_unwritable. ConfigError: spool_in_use.
        """
        return SealedWriter(self.path_of_encrypted(), owner, max_bytes)

    def path_of_encrypted(self) -> Path:
        """Return the path of a new file whose content is encrypted by itself; `sweep` deletes what is left of it.

        Raises:
            StoreError: spool_unwritable. ConfigError: spool_in_use.
        """
        with self._opening:
            if self._lock < 0:
                self._take()
        return self.folder / (os.urandom(16).hex() + _SUFFIX)

    @contextlib.contextmanager
    def encrypted(self) -> Iterator[Path]:
        """Yield the path of a new file whose content is encrypted by itself; it is deleted when the block ends.

        Raises:
            StoreError: spool_full, spool_unwritable, also for what cannot be written inside. ConfigError: spool_in_use.
        """
        path = self.path_of_encrypted()
        try:
            yield path
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        finally:
            path.unlink(missing_ok=True)

    def open(self, audio: SealedAudio, owner: str, *, uri: str = "audio") -> SeekableAudio:
        """Return the audio as a file that `voxid.audio.load` reads where it lies; nothing of it reaches a disk.

        Args:
            audio: as the writer returned it.
            owner: as it was created for.
            uri: the name of the recording, for people.

        Raises:
            StoreError: spool_damaged when the file is not there, or not as long as it was; reading it raises the
                same when a chunk was changed, moved or belongs to another owner.
        """
        path = self.folder / Path(audio.name).name
        try:
            file = path.open("rb")
        except OSError as error:
            raise _damaged(path, f"it cannot be read ({error.strerror})") from error
        return SeekableAudio(_Unsealed(file, path, audio, owner, uri), _CHUNK_BYTES)

    def remove(self, name: str) -> None:
        """Delete a file of the spool; one that is gone already is no error."""
        (self.folder / Path(name).name).unlink(missing_ok=True)

    def names(self) -> set[str]:
        """Return the names of the files in it."""
        return {path.name for path in self.folder.glob("*" + _SUFFIX)}

    def sweep(self, wanted: Collection[str]) -> list[str]:
        """Delete every file nobody wants any more, and return their names.

        Args:
            wanted: names to keep.
        """
        orphans = sorted(self.names() - set(wanted))
        for name in orphans:
            self.remove(name)
        return orphans


class SealedWriter:
    """Audio on its way into the spool. As a context it deletes the file when it ends before `finish`.

    Raises:
        StoreError: spool_unwritable, spool_full. InputError: audio_too_large from `write`.
    """

    def __init__(self, path: Path, owner: str, max_bytes: int) -> None:
        self.size_bytes = 0
        self._path = path
        self._max_bytes = max_bytes
        self._key = new_data_key()
        self._cipher = AESGCM(self._key)
        self._owner = _associated(owner)
        self._digest = hashlib.sha256()
        self._waiting = bytearray()
        self._chunks = 0
        self._finished = False
        try:
            self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        except OSError as error:
            raise _unwritable(path.parent, error) from error
        self._put(_MAGIC)

    def write(self, data: bytes) -> None:
        """Take the next bytes of audio, of any length."""
        self.size_bytes += len(data)
        if self.size_bytes > self._max_bytes:
            raise InputError(
                "audio_too_large",
                f"The audio is longer than {self._max_bytes:,} bytes, the most that is taken; split it.",
            )
        self._digest.update(data)
        self._waiting += data
        # A whole chunk stays behind until more comes: it may be the last one, which is marked.
        while len(self._waiting) > _CHUNK_BYTES:
            self._seal(bytes(self._waiting[:_CHUNK_BYTES]), last=False)
            del self._waiting[:_CHUNK_BYTES]

    def finish(self) -> SealedAudio:
        """Return what opens the audio, after all of it is safely on the disk."""
        self._seal(bytes(self._waiting), last=True)
        self._waiting.clear()
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            sync_folder(self._path.parent)
        except OSError as error:
            raise _unwritable(self._path.parent, error) from error
        self._finished = True
        return SealedAudio(self._path.name, self._key, self.size_bytes, self._digest.hexdigest())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._finished:
            self._waiting.clear()
            with contextlib.suppress(OSError):  # a full disk may refuse the rest; the file is deleted anyway
                self._file.close()
            self._path.unlink(missing_ok=True)

    def _seal(self, chunk: bytes, *, last: bool) -> None:
        self._put(self._cipher.encrypt(_nonce(self._chunks, last), chunk, self._owner))
        self._chunks += 1

    def _put(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise _unwritable(self._path.parent, error) from error


class _Unsealed(io.RawIOBase):
    """The audio of a sealed file, at any place of it; a chunk is opened when it is read."""

    def __init__(self, file: BinaryIO, path: Path, audio: SealedAudio, owner: str, uri: str) -> None:
        self.name = uri
        self._file, self._path = file, path
        self._cipher, self._owner = AESGCM(audio.key), _associated(owner)
        self._size_bytes = audio.size_bytes
        self._chunks = max(1, -(-audio.size_bytes // _CHUNK_BYTES))
        self._at = 0
        expected = len(_MAGIC) + audio.size_bytes + self._chunks * _TAG_BYTES
        found = os.fstat(file.fileno()).st_size
        if found != expected or file.read(len(_MAGIC)) != _MAGIC:
            file.close()
            raise _damaged(path, f"it has {found:,} bytes instead of {expected:,}, or another beginning")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size_bytes}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        number, skip = divmod(self._at, _CHUNK_BYTES)
        if self._at >= self._size_bytes:
            return 0
        part = self._chunk(number)[skip : skip + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)

    def close(self) -> None:
        self._file.close()
        super().close()

    def _chunk(self, number: int) -> bytes:
        self._file.seek(len(_MAGIC) + number * (_CHUNK_BYTES + _TAG_BYTES))
        sealed = self._file.read(_CHUNK_BYTES + _TAG_BYTES)
        try:
            return self._cipher.decrypt(_nonce(number, number == self._chunks - 1), sealed, self._owner)
        except InvalidTag:
            raise _damaged(self._path, f"its chunk {number} does not open") from None


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\x01" if last else b"\x00")


def _associated(owner: str) -> bytes:
    return bound_to("spool", owner)


def _damaged(path: Path, what: str) -> StoreError:
    return StoreError(
        "spool_damaged", f"The waiting audio {path.name} is damaged: {what}; send the recording again."
    )


def _unwritable(folder: Path, error: OSError) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(
            "spool_full", f"No space is left in {folder} for what is sent; make room and send it again."
        )
    return StoreError(
        "spool_unwritable",
        f"The folder {folder} of waiting audio cannot be written ({error.strerror}); make it writable.",
    )
