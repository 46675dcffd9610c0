"""What an encoded recording says about itself, read from its bytes before anything is decoded.

The file name is never believed: the format is told by content, and the length a header declares is
compared with the bytes that are there.
"""

from __future__ import annotations

import io
import math
import struct
from dataclasses import dataclass
from typing import BinaryIO, Literal

__all__ = [
    "Container",
    "missing_bytes",
    "mp3_declaration",
    "mp3_frame_bytes",
    "size_of",
    "sniff",
    "unset_size_at",
]

# Writers that miscount their own header (data size including it, a forgotten pad byte) are common and
# lose nothing; a file cut by a broken transfer lacks far more.
_SLACK_BYTES = 128
# Streaming writers cannot go back to fill in the size: ffmpeg leaves 0xFFFFFFFF, sox and arecord leave
# values just under or over 2 GiB, others 0. All of them mean "unknown".
_STREAMED_FROM = 0x7FFF_0000
_MP3_READ_BYTES = 1 << 20
_MP3_BITRATES_KBPS = {
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


@dataclass(frozen=True)
class Container:
    """A format recognised by content.

    Args:
        name: for people, e.g. ``"WAV"``.
        kind: which length check applies.
        media: the PyAV demuxer that reads it, or None when libsndfile does.
    """

    name: str
    kind: Literal["riff", "aiff", "au", "flac", "ogg", "mp3", "mp4", "sphere", "other"]
    media: str | None = None


_BY_MAGIC: tuple[tuple[bytes, Container], ...] = (
    (b"fLaC", Container("FLAC", "flac")),
    (b"OggS", Container("Ogg", "ogg")),
    (b".snd", Container("AU", "au")),
    (b"NIST_1A", Container("NIST SPHERE", "sphere")),
    (b"\x1a\x45\xdf\xa3", Container("WebM/Matroska", "other", media="matroska")),
    (b"#!AMR", Container("AMR", "other", media="amr")),
)


def sniff(head: bytes) -> Container | None:
    """Return the format that the first bytes (16 or more) are in, or None when it is none we read."""
    for magic, container in _BY_MAGIC:
        if head.startswith(magic):
            return container
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] == b"WAVE":
        return Container("WAV", "riff")
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return Container("AIFF", "aiff")
    if head[4:8] == b"ftyp":
        return Container("MP4/M4A", "mp4", media="mov")
    if head[:3] == b"ID3" or mp3_frame_bytes(head) is not None:
        return Container("MP3", "mp3")
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return Container("AAC", "other", media="aac")
    return None


def missing_bytes(file: BinaryIO, container: Container, size_bytes: int) -> int:
    """Return how many bytes the header declares beyond the end of the file; 0 when it is whole.

    A negative number says the opposite: audio bytes lie behind the declared end, and no reader would
    hear them. A header that declares nothing (streamed WAV, MP3 without Xing frame) gives 0.
    """
    file.seek(0)
    if container.kind in ("riff", "aiff"):
        missing = _missing_in_chunks(file, size_bytes)
    elif container.kind == "au":
        _magic, offset, declared = struct.unpack(">4sII", file.read(12).ljust(12, b"\0"))
        missing = 0 if declared >= _STREAMED_FROM else max(0, offset + declared - size_bytes)
    elif container.kind == "sphere":
        missing = _missing_in_sphere(file.read(1024), size_bytes)
    elif container.kind == "ogg":
        missing = _missing_in_last_ogg_page(file, size_bytes)
    elif container.kind == "mp3":
        missing = _missing_after_xing(file, size_bytes)
    elif container.kind == "mp4":
        missing = _missing_in_boxes(file, size_bytes)
    else:
        missing = 0
    file.seek(0)
    return 0 if abs(missing) <= _SLACK_BYTES else missing


def _missing_in_chunks(file: BinaryIO, size_bytes: int) -> int:
    """RIFF, RIFX, RF64 and AIFF: walk the chunks to the audio and compare its size with the file."""
    magic = file.read(12)[:4]
    order = "<" if magic in (b"RIFF", b"RF64") else ">"
    wanted = b"SSND" if magic == b"FORM" else b"data"
    wide_size, byte_rate, position = 0, 0, 12
    while position + 8 <= size_bytes:
        file.seek(position)
        name, declared = struct.unpack(order + "4sI", file.read(8))
        if name == b"ds64":
            wide_size = struct.unpack("<QQ", file.read(16).ljust(16, b"\0"))[1]
        elif name == b"fmt " and declared >= 16:
            byte_rate = struct.unpack(order + "I", file.read(16).ljust(16, b"\0")[8:12])[0]
        elif name == wanted:
            if magic == b"RF64" and declared == 0xFFFF_FFFF:
                declared = wide_size
            elif declared >= _STREAMED_FROM:
                return 0
            if declared == 0:  # see `unset_size_at`
                return 0
            end = position + 8 + declared
            return end - size_bytes if end > size_bytes else -_unheard_bytes(file, end, size_bytes, byte_rate)
        position += 8 + declared + (declared & 1)
    return 0


def unset_size_at(file: BinaryIO) -> int | None:
    """Return where a WAV file says "0 bytes of audio" though more follow, as a writer to a pipe leaves it.

    None when it does not. Python's own ``wave`` module writes such files, and libsndfile reads no sample of
    them unless the size is set to "unknown", 0xFFFFFFFF, at this offset.
    """
    head = file.read(4096)
    file.seek(0)
    if head[:4] != b"RIFF":
        return None
    position = 12
    while position + 8 <= len(head):
        name, declared = struct.unpack_from("<4sI", head, position)
        if name == b"data":
            follows = head[position + 8 : position + 12]
            is_chunk = len(follows) == 4 and all(0x20 <= letter < 0x7F for letter in follows)
            return position + 4 if declared == 0 and follows and not is_chunk else None
        position += 8 + declared + (declared & 1)
    return None


def _unheard_bytes(file: BinaryIO, end: int, size_bytes: int, byte_rate: int) -> int:
    """Bytes behind the audio chunk that are no chunk and would last over a second as audio, else 0."""
    behind = size_bytes - end
    if byte_rate == 0 or behind <= byte_rate:
        return 0
    file.seek(end + (end & 1))
    name = file.read(4)
    return 0 if len(name) == 4 and all(0x20 <= letter < 0x7F for letter in name) else behind


def _missing_in_last_ogg_page(file: BinaryIO, size_bytes: int) -> int:
    """Ogg: a page says how long it is; the last one must fit. (RFC 3533, section 6.)"""
    # The longest page is 27 + 255 + 255 * 255 bytes, so its head lies within the last 65,307.
    file.seek(max(0, size_bytes - 65_307))
    tail = file.read()
    start = tail.rfind(b"OggS")
    if start < 0:
        return 0
    page = tail[start:]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return _SLACK_BYTES + 1  # cut inside the page's own header: how much is lost is unknown
    missing = 27 + page[26] + sum(page[27 : 27 + page[26]]) - len(page)
    return max(missing, _SLACK_BYTES + 1) if missing > 0 else 0  # a page writer never miscounts: no slack


def _missing_in_sphere(header: bytes, size_bytes: int) -> int:
    """NIST SPHERE: a header of text lines ``name -i value``; a packed file (shorten) is not judged."""
    numbers = {
        fields[0]: int(fields[2])
        for line in header.split(b"\n")
        if len(fields := line.split()) == 3 and fields[1] == b"-i" and fields[2].isdigit()
    }
    names = (b"sample_count", b"channel_count", b"sample_n_bytes")
    if b"shorten" in header or not all(name in numbers for name in names):
        return 0
    return max(0, len(header) + math.prod(numbers[name] for name in names) - size_bytes)


def _missing_after_xing(file: BinaryIO, size_bytes: int) -> int:
    """MP3: the Xing/Info frame, when there is one, tells the bytes from itself to the end."""
    found = _xing(file)
    if found is None:
        return 0
    start, frame_bytes, declared = found
    missing = start + declared - size_bytes
    # Some writers count from before, some from after this frame: one frame more or less is no cut.
    return missing if declared and missing > max(frame_bytes, 1024) else 0


def mp3_declaration(file: BinaryIO, known_samples: int) -> tuple[bytes, int] | None:
    """Return a Xing frame for an MP3 file that has none and lasts longer than `known_samples`, else None.

    With it comes the number of bytes (an ID3v2 tag) at the start of the file whose place it takes.

    libsndfile guesses the length of such a file from its bytes and its first frame's bit rate, and stops
    there: when the bit rate varies, it would drop the rest without a word. Counting the frames tells.

    Source: the frame's layout as written by LAME, tags.gabriel-bouvigne "mp3 info tag" revision 1.
    """
    if _xing(file) is not None:
        return None
    file.seek(0)
    start = _after_id3(file.read(10))
    file.seek(start)
    count, header = 0, b""
    buffer, at = file.read(_MP3_READ_BYTES), 0
    while True:
        if at + 4 > len(buffer):
            more = file.read(_MP3_READ_BYTES)
            if not more:
                break
            buffer, at = buffer[at:] + more, 0
            if len(buffer) < 4:
                break
        length = mp3_frame_bytes(buffer[at : at + 4])
        if length is None:
            found = buffer.find(b"\xff", at + 1)
            at = found if found > 0 else len(buffer) - 3
            continue
        header = header or buffer[at : at + 4]
        if at + length > len(buffer):
            skipped = file.read(_MP3_READ_BYTES)
            if at + length > len(buffer) + len(skipped):
                break
            buffer, at = buffer[at:] + skipped, 0
        count += 1
        at += length
    mpeg1 = bool(header) and header[1] >> 3 & 3 == 3
    samples_per_frame = 1152 if mpeg1 else 576
    if not header or count * samples_per_frame <= known_samples + 2 * samples_per_frame:
        return None
    mono = header[3] >> 6 == 3
    side_bytes = (17 if mono else 32) if mpeg1 else (9 if mono else 17)
    header = header[:2] + bytes([header[2] & 0x0D | 0x90]) + header[3:]  # a bit rate with room for the frame
    frame = header + bytes(side_bytes) + b"Xing" + struct.pack(">II", 1, count)
    return frame.ljust(mp3_frame_bytes(header) or 0, b"\0"), start


def _xing(file: BinaryIO) -> tuple[int, int, int] | None:
    """The Xing/Info frame's place, its length and the bytes it declares (0: none); None without one."""
    file.seek(0)
    start = _after_id3(file.read(10))
    file.seek(start)
    head = file.read(4096)
    at = next((i for i in range(max(0, len(head) - 4)) if mp3_frame_bytes(head[i : i + 4]) is not None), -1)
    if at < 0:
        return None
    frame_bytes = mp3_frame_bytes(head[at:]) or 0
    frame = head[at : at + max(frame_bytes, 192)]
    tags = [found for name in (b"Xing", b"Info") if (found := frame.find(name, 4, 64)) > 0]
    if not tags or len(frame) < tags[0] + 16:
        return None
    flags, first, second = struct.unpack_from(">III", frame, tags[0] + 4)
    declared = (second if flags & 1 else first) if flags & 2 else 0
    return start + at, frame_bytes, declared


def _after_id3(head: bytes) -> int:
    """The offset behind an ID3v2 tag (its size is four 7-bit bytes), 0 without one."""
    if len(head) < 10 or head[:3] != b"ID3":
        return 0
    size = (head[6] & 0x7F) << 21 | (head[7] & 0x7F) << 14 | (head[8] & 0x7F) << 7 | (head[9] & 0x7F)
    return 10 + size + (10 if head[5] & 0x10 else 0)


def mp3_frame_bytes(head: bytes) -> int | None:
    """Return the length of the MPEG layer III frame that starts here, or None when none does."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bitrate_at, rate_at, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer != 1 or bitrate_at in (0, 15) or rate_at == 3:
        return None
    mpeg1 = version == 3
    bitrate_bps = 1000 * _MP3_BITRATES_KBPS[1 if mpeg1 else 2][bitrate_at]
    rate_hz = (44_100, 48_000, 32_000)[rate_at] // {3: 1, 2: 2, 0: 4}[version]
    return (144 if mpeg1 else 72) * bitrate_bps // rate_hz + padding


def _missing_in_boxes(file: BinaryIO, size_bytes: int) -> int:
    """MP4: the top-level boxes must end with the file. (ISO/IEC 14496-12, section 4.2.)"""
    position = 0
    while position + 8 <= size_bytes:
        file.seek(position)
        size, _name = struct.unpack(">I4s", file.read(8))
        if size == 1:
            size = struct.unpack(">Q", file.read(8).ljust(8, b"\0"))[0]
        if size < 8:  # 0 means "to the end of the file"; anything else is no box
            return 0
        position += size
    return max(0, position - size_bytes)


def size_of(file: BinaryIO) -> int:
    """Return the length of a seekable file in bytes, and go back to its start."""
    size_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    return size_bytes
