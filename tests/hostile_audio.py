"""Over two hundred recordings nobody should trust, made from a short voice by rule: cut, lying, broken, huge, none."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator

import numpy as np
import soundfile

from voices import RATE_HZ, encode, voice

CLIP_S = 0.5


def hostile() -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes."""
    clip = voice(CLIP_S, seed=3)
    seeds = {
        "wav": encode(clip),
        "float": encode(clip, subtype="FLOAT"),
        "flac": encode(clip, kind="FLAC"),
        "vorbis": encode(clip, kind="OGG", subtype="VORBIS"),
        "opus": encode(clip, kind="OGG", subtype="OPUS"),
        "mp3": encode(clip, kind="MP3"),
        "aiff": encode(clip, kind="AIFF"),
        "au": encode(clip, kind="AU"),
    }
    rng = np.random.default_rng(7)
    for kind, whole in seeds.items():
        yield from _cut(kind, whole)
        yield from _flipped(kind, whole, rng)
        yield f"{kind} twice", whole + whole
        yield f"{kind} behind zeros", bytes(512) + whole
    yield from _lying_wav(seeds["wav"])
    yield from _samples()
    yield from _bombs()
    yield from _no_audio(seeds["wav"])


def _cut(kind: str, whole: bytes) -> Iterator[tuple[str, bytes]]:
    for size in (1, 4, 11, 12, 27, 43, 44, 45, 100, len(whole) // 2, len(whole) - 1):
        yield f"{kind} cut at {size}", whole[:size]


def _flipped(kind: str, whole: bytes, rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    for number in range(8):
        broken = bytearray(whole)
        # Half of them in the head, where lengths and formats stand.
        reach = min(len(broken), 64) if number % 2 else len(broken)
        for at in rng.integers(0, reach, 1 + number * 3):
            broken[at] ^= int(rng.integers(1, 256))
        yield f"{kind} flipped {number}", bytes(broken)


def _lying_wav(wav: bytes) -> Iterator[tuple[str, bytes]]:
    """WAV heads with one field changed: channels, rate, byte rate, block size, bits, lengths."""
    fields = {
        22: ("<H", (0, 3, 1024, 65535)),
        24: ("<I", (0, 1, 5999, 2**31, 2**32 - 1)),
        28: ("<I", (0, 2**32 - 1)),
        32: ("<H", (0, 1, 65535)),
        34: ("<H", (0, 1, 7, 64, 65535)),
        20: ("<H", (0, 2, 0x55, 0xFFFE, 0xFFFF)),
        16: ("<I", (0, 2, 2**31, 2**32 - 1)),
        4: ("<I", (0, 1, 2**31, 2**32 - 1)),
        40: ("<I", (0, 1, 2**31, 2**32 - 1)),
    }
    for at, (form, values) in fields.items():
        for value in values:
            changed = bytearray(wav)
            struct.pack_into(form, changed, at, value)
            yield f"wav field {at} = {value}", bytes(changed)


def _samples() -> Iterator[tuple[str, bytes]]:
    """Samples no microphone gives."""
    clip = voice(CLIP_S, seed=4)
    for name, bad in (("nan", np.nan), ("inf", np.inf), ("-inf", -np.inf), ("1e30", 1e30)):
        for at in (0, len(clip) - 1):
            broken = clip.copy()
            broken[at] = bad
            yield f"{name} at {at}", encode(broken, subtype="FLOAT")
    yield "all nan", encode(np.full(RATE_HZ, np.nan, np.float32), subtype="FLOAT")
    yield "digital silence", encode(np.zeros(RATE_HZ, np.float32))
    yield "full scale square", encode(np.sign(np.sin(np.arange(RATE_HZ) / 5)).astype(np.float32))
    yield "one sample", encode(clip[:1])
    yield "nine channels", encode(np.tile(clip[:, None], 9))
    yield "5 kHz", encode(clip, rate_hz=5_000)
    yield "384 kHz", encode(clip, rate_hz=384_000)


def _bombs() -> Iterator[tuple[str, bytes]]:
    """Small files that unpack to more than is allowed."""
    for kind, subtype in (("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS")):
        file = io.BytesIO()
        with soundfile.SoundFile(file, "w", 8_000, 1, format=kind, subtype=subtype) as sound:
            for _ in range(60 if kind == "FLAC" else 4):
                sound.write(np.zeros(8_000 * 30, np.int16))
        yield f"bomb {kind} {subtype}", file.getvalue()


def _no_audio(wav: bytes) -> Iterator[tuple[str, bytes]]:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("voice.wav", wav)
    yield "zip", packed.getvalue()
    for name, head in (
        ("elf", b"\x7fELF\x02\x01\x01"),
        ("png", b"\x89PNG\r\n\x1a\n"),
        ("pdf", b"%PDF-1.7\n"),
        ("html", b"<html><script>alert(1)</script></html>"),
        ("json", b'{"audio": "none"}'),
        ("gzip", b"\x1f\x8b\x08\x00"),
        ("mp4", b"\x00\x00\x00\x20ftypisom"),
        ("webm", b"\x1a\x45\xdf\xa3"),
        ("amr", b"#!AMR\n"),
        ("id3", b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f"),
        ("zeros", b""),
    ):
        yield f"no audio: {name}", head + bytes(2_000)
