"""Audio that waits for a job lies on the disk sealed only; whatever is done to the file is noticed."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from voxid.audio import load
from voxid.errors import ConfigError, InputError, StoreError
from voxid.service.spool import SealedAudio, Spool

CLIP = Path(str(files("voxid") / "data" / "voices" / "ada" / "01.opus"))
CHUNK = 1 << 16


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool(tmp_path / "spool")
    yield opened
    opened.close()


def sealed(spool: Spool, audio: bytes, owner: str = "job-1", piece: int = 10_007) -> SealedAudio:
    with spool.create(owner, max_bytes=1 << 24) as writer:
        for at in range(0, len(audio), piece):
            writer.write(audio[at : at + piece])
        return writer.finish()


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 5])
def test_what_goes_in_comes_out(spool: Spool, size: int) -> None:
    """Whole, and from any place of it; nothing of it is on the disk in the clear."""
    audio = np.random.default_rng(size).bytes(size)
    kept = sealed(spool, audio)
    assert (kept.size_bytes, kept.sha256) == (size, hashlib.sha256(audio).hexdigest())
    assert SealedAudio.from_dict(kept.to_dict()) == kept
    assert kept.key.hex() not in repr(kept)
    with spool.open(kept, "job-1") as file:
        assert file.read() == audio
        for at in (0, size // 3, max(0, size - 7)):
            file.seek(at)
            assert file.read(100) == audio[at : at + 100]
    on_disk = (spool.folder / kept.name).read_bytes()
    assert size < 16 or not any(audio[at : at + 16] in on_disk for at in range(0, size - 16, 997))
    assert (spool.folder / kept.name).stat().st_mode & 0o777 == 0o600


def test_audio_is_decoded_from_the_sealed_file(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """As from the plain one, and no temporary file is opened for it."""

    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("a temporary file was opened")

    kept = sealed(spool, CLIP.read_bytes())
    monkeypatch.setattr("tempfile.SpooledTemporaryFile", never)
    heard = load(spool.open(kept, "job-1", uri="ada.opus"))
    plain = load(CLIP)
    assert (heard.uri, heard.sha256) == ("ada", plain.sha256)
    np.testing.assert_array_equal(heard.samples, plain.samples)


def damage(content: bytes, how: str) -> bytes:
    head, whole = 10, CHUNK + 16
    first, second = content[head : head + whole], content[head + whole : head + 2 * whole]
    match how:
        case "flipped":
            return content[:5000] + bytes([content[5000] ^ 1]) + content[5001:]
        case "cut":
            return content[:-1]
        case "last chunk cut":
            return content[: head + 2 * whole]
        case "swapped":
            return content[:head] + second + first + content[head + 2 * whole :]
        case "repeated":
            return content[:head] + first + first + content[head + 2 * whole :]
        case "longer":
            return content + b"\0"
    return b"VOXIDSPL\x00\x02" + content[10:]


@pytest.mark.parametrize(
    "how", ["flipped", "cut", "last chunk cut", "swapped", "repeated", "longer", "another version"]
)
def test_a_changed_file_is_noticed(spool: Spool, how: str) -> None:
    """Nothing of it is taken for audio; the sentence names the file."""
    kept = sealed(spool, np.random.default_rng(1).bytes(2 * CHUNK + 100))
    path = spool.folder / kept.name
    path.write_bytes(damage(path.read_bytes(), how))
    with pytest.raises(StoreError) as caught:
        load(spool.open(kept, "job-1"))
    assert caught.value.code == "spool_damaged"
    assert caught.value.message.startswith(f"The waiting audio {kept.name} is damaged: ")
    assert caught.value.message.endswith("; send the recording again.")


def test_a_last_chunk_that_was_not_the_last_is_noticed(spool: Spool) -> None:
    """Also by somebody who may change the recorded length: a cut at a chunk's edge does not open."""
    kept = sealed(spool, bytes(3 * CHUNK))
    path = spool.folder / kept.name
    path.write_bytes(path.read_bytes()[: 10 + 2 * (CHUNK + 16)])
    shorter = SealedAudio(kept.name, kept.key, 2 * CHUNK, kept.sha256)
    with pytest.raises(StoreError, match="its chunk 1 does not open"):
        spool.open(shorter, "job-1").read()


def test_audio_opens_for_its_owner_alone(spool: Spool) -> None:
    """Another job's id or another file's key do not open it."""
    kept, other = sealed(spool, b"one" * 100), sealed(spool, b"two" * 100)
    with pytest.raises(StoreError, match="its chunk 0 does not open"):
        spool.open(kept, "job-2").read()
    shutil.copy(spool.folder / other.name, spool.folder / kept.name)
    with pytest.raises(StoreError, match="its chunk 0 does not open"):
        spool.open(kept, "job-1").read()


def test_what_is_too_large_or_given_up_leaves_nothing(spool: Spool) -> None:
    """The file goes with the error; so does one whose sender went away."""
    with pytest.raises(InputError) as caught, spool.create("job-1", max_bytes=1000) as writer:
        writer.write(bytes(1001))
    assert caught.value.message == ("The audio is longer than 1,000 bytes, the most that is taken; split it.")
    with spool.create("job-1", max_bytes=1000) as writer:
        writer.write(bytes(10))
    assert spool.names() == set()


def test_orphans_are_removed_and_wanted_audio_stays(spool: Spool) -> None:
    """Only what a job still wants; a file that is gone already is no error."""
    wanted, orphan = sealed(spool, b"a"), sealed(spool, b"b")
    assert spool.sweep({wanted.name}) == [orphan.name]
    assert spool.names() == {wanted.name}
    spool.remove(orphan.name)
    spool.remove(wanted.name)
    with pytest.raises(StoreError, match="it cannot be read"):
        spool.open(wanted, "job-1")


def test_one_process_has_a_spool(spool: Spool) -> None:
    """A second one is refused until the first lets go; the folder comes with the first audio."""
    assert not spool.folder.exists()
    sealed(spool, b"a")
    with pytest.raises(ConfigError) as caught:
        Spool(spool.folder)
    assert caught.value.code == "spool_in_use"
    spool.close()
    Spool(spool.folder).close()
