"""What cannot be used is refused at the door, each with its own code and a sentence that helps."""

from __future__ import annotations

import builtins
import io
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from voices import encode, noise, voice
from voxid.audio import AudioLimits, load
from voxid.errors import ConfigError, InputError


def refused(source: Any, **options: Any) -> tuple[str, str]:
    """The code and the sentence with which `source` is refused."""
    with pytest.raises(InputError) as caught:
        load(source, **options)
    return caught.value.code, caught.value.message


def test_missing_file(tmp_path: Path) -> None:
    """A path that leads nowhere."""
    code, sentence = refused(tmp_path / "no.wav")
    assert code == "audio_missing"
    assert sentence == f"There is no file {tmp_path / 'no.wav'}; check the path."


def test_folder_and_odd_paths(tmp_path: Path) -> None:
    """A folder, a device and a path with a zero byte are no files."""
    assert refused(tmp_path) == ("audio_unreadable", f"{tmp_path} is not a file; give an audio file.")
    assert refused("/dev/zero")[0] == "audio_unreadable"
    assert refused("a\0b.wav")[0] == "audio_unreadable"


@pytest.mark.parametrize("kind", ["path", "bytes", "stream"])
def test_zero_bytes(kind: str, tmp_path: Path) -> None:
    """Nothing is not audio."""
    path = tmp_path / "empty.wav"
    path.touch()
    source = {"path": path, "bytes": b"", "stream": io.BytesIO()}[kind]
    code, sentence = refused(source)
    assert code == "audio_empty"
    assert sentence.endswith("has 0 bytes; give a file with speech in it.")


def test_header_without_samples() -> None:
    """A WAV file of no samples, and an array of none."""
    assert refused(encode(np.zeros(0, np.float32)))[0] == "audio_empty"
    assert refused((np.zeros(0, np.float32), 16_000))[0] == "audio_empty"
    assert refused((np.zeros((0, 2), np.float32), 16_000))[0] == "audio_empty"


def test_text_renamed_to_wav(tmp_path: Path) -> None:
    """A text file is called one, whatever its name."""
    path = tmp_path / "letter.wav"
    path.write_text("Dear Sir or Madam, I am not audio.\n" * 100, encoding="utf-8")
    code, sentence = refused(path)
    assert code == "audio_unknown_format"
    assert sentence == (
        "letter.wav holds text, not audio; "
        "give WAV, FLAC, Ogg, Opus, MP3, AIFF, AU, SPHERE, M4A, MP4, WebM or AMR."
    )


@pytest.mark.parametrize("head", [b"\x89PNG\r\n\x1a\n", b"%PDF-1.7\n", b"PK\x03\x04", b"\x00" * 64, b"RIFF"])
def test_other_formats(head: bytes) -> None:
    """Pictures, documents, archives and zeros are no audio."""
    assert refused(head + bytes(range(256)) * 8)[0] == "audio_unknown_format"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_samples_that_are_no_numbers(bad: float, rate_hz: int) -> None:
    """One NaN in the second block of a float WAV file or an array is found, with its place."""
    samples = noise(30.0)
    samples[20 * 16_000] = bad
    for source in (encode(samples, rate_hz, subtype="FLOAT"), (samples, rate_hz)):
        code, sentence = refused(source)
        assert code == "audio_not_finite"
        assert "NaN or infinite samples near" in sentence


def test_double_beyond_single() -> None:
    """A float64 that no float32 can hold is infinite."""
    assert refused((np.full(16_000, 1e300), 16_000))[0] == "audio_not_finite"


def test_integers_in_floats() -> None:
    """int16 values cast to float are told from floats in [-1, 1]."""
    code, sentence = refused(((voice(1.0) * 32768).astype(np.float32), 16_000))
    assert code == "audio_out_of_scale"
    assert sentence.startswith("audio holds samples up to 16,384; expected floats in about [-1, 1]")


@pytest.mark.parametrize("rate_hz", [1, 0, -16_000, 5_999, 192_001])
def test_rate_out_of_range_in_arrays(rate_hz: int) -> None:
    """6 to 192 kHz."""
    code, sentence = refused((noise(1.0), rate_hz))
    assert code == "audio_rate_out_of_range"
    assert f"sampling rate of {rate_hz:,} Hz; expected 6,000 to 192,000 Hz" in sentence


@pytest.mark.parametrize("rate_hz", [1, 4_000, 384_000])
def test_rate_out_of_range_in_files(rate_hz: int) -> None:
    """libsndfile would read a file of 1 Hz."""
    assert refused(encode(noise(1.0), rate_hz))[0] == "audio_rate_out_of_range"


def test_nine_channels() -> None:
    """Eight channels are the most."""
    code, sentence = refused(encode(np.zeros((16_000, 9), np.float32)))
    assert (code, "has 9 channels; expected 1 to 8" in sentence) == ("audio_too_many_channels", True)


def test_array_lying_on_its_side() -> None:
    """(C, N) in place of (N, C) is 16,000 channels; the sentence says which way round."""
    code, sentence = refused((np.zeros((2, 16_000), np.float32), 16_000))
    assert code == "audio_too_many_channels"
    assert "(N, C)" in sentence


@pytest.mark.parametrize("channel", [2, -1])
def test_channel_missing(channel: int) -> None:
    """Channels count from 0."""
    code, sentence = refused((np.zeros((16_000, 2), np.float32), 16_000), channel=channel)
    assert code == "audio_channel_missing"
    assert sentence == f"audio has no channel {channel}; it has channels 0 to 1."
    assert refused((noise(1.0), 16_000), channel=1)[1].endswith("only channel 0 (it is mono).")
    assert refused(load((noise(1.0), 16_000)), channel=1)[0] == "audio_channel_missing"


def test_one_sample() -> None:
    """One sample is no recording."""
    assert refused((np.zeros(1, np.float32), 16_000)) == (
        "audio_too_short",
        "audio lasts 0.000 s; expected at least 0.1 s.",
    )
    assert refused(encode(np.zeros(1, np.float32), 192_000))[0] == "audio_too_short"


def test_too_long() -> None:
    """Over the cap, by declaration or by decoding, also when it was loaded before."""
    limits = AudioLimits(max_duration_s=2.0)
    for source in (encode(noise(2.01)), (noise(2.01), 16_000), encode(noise(3.0), kind="MP3")):
        assert refused(source, limits=limits) == (
            "audio_too_long",
            "audio lasts over 2 s, the most that is read; split it.",
        )
    assert refused(load((noise(3.0), 16_000)), limits=limits)[0] == "audio_too_long"


def test_too_many_bytes() -> None:
    """The encoded length has a cap of its own, for files and for streams without end."""
    limits = AudioLimits(max_encoded_bytes=10_000)
    encoded = encode(noise(1.0))
    for source in (encoded, io.BytesIO(encoded)):
        code, sentence = refused(source, limits=limits)
        assert code == "audio_too_large"
        assert "longer than 10,000 bytes" in sentence

    class Endless(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return bytes(size)

    assert refused(Endless(), limits=limits)[0] == "audio_too_large"


def lying_flac(total_samples: int) -> bytes:
    """1 s of digital silence whose STREAMINFO declares another length."""
    encoded = bytearray(encode(np.zeros(16_000, np.float32), kind="FLAC"))
    packed = int.from_bytes(encoded[18:26], "big")
    assert packed & (1 << 36) - 1 == 16_000
    encoded[18:26] = (packed >> 36 << 36 | total_samples).to_bytes(8, "big")
    return bytes(encoded)


def test_lying_flac_header() -> None:
    """More samples declared than there are; the claim reserves no memory."""
    code, sentence = refused(lying_flac(11 * 3600 * 16_000))
    assert code == "audio_truncated"
    assert sentence.startswith("audio is cut or damaged: less can be decoded than its FLAC header declares")
    assert refused(lying_flac((1 << 36) - 1))[0] == "audio_too_long"


def test_decompression_bomb_stops_at_the_cap(tmp_path: Path) -> None:
    """Ten minutes of 8-channel silence in few bytes, declared as unknown length: memory stays small."""
    path = tmp_path / "bomb.flac"
    with soundfile.SoundFile(path, "w", 48_000, 8, format="FLAC") as file:
        for _ in range(10 * 60):
            file.write(np.zeros((48_000, 8), np.float32))
    encoded = bytearray(path.read_bytes())
    packed = int.from_bytes(encoded[18:26], "big")
    encoded[18:26] = (packed >> 36 << 36).to_bytes(8, "big")
    assert len(encoded) < 1_000_000
    tracemalloc.start()
    try:
        assert refused(bytes(encoded), limits=AudioLimits(max_duration_s=10.0))[0] == "audio_too_long"
        assert tracemalloc.get_traced_memory()[1] < 16_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        ("WAV", "PCM_16"),
        ("WAV", "FLOAT"),
        ("WAV", "GSM610"),
        ("RF64", "PCM_16"),
        ("AIFF", "PCM_16"),
        ("AU", "PCM_16"),
        ("NIST", "PCM_16"),
        ("FLAC", "PCM_16"),
        ("MP3", "MPEG_LAYER_III"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
    ],
)
def test_cut_files(kind: str, subtype: str, share: float) -> None:
    """A file that ends before its declared length is refused, not read as far as it goes."""
    encoded = encode(voice(5.0), 16_000, kind, subtype)
    load(encoded)
    code, sentence = refused(encoded[: int(len(encoded) * share)])
    assert code == "audio_truncated"
    assert "transfer or record it again" in sentence


def test_wav_that_declares_less_than_it_holds() -> None:
    """Audio behind the declared end, which this reader would not hear and another might."""
    encoded = bytearray(encode(noise(10.0)))
    encoded[40:44] = (32_000).to_bytes(4, "little")
    code, sentence = refused(bytes(encoded))
    assert code == "audio_truncated"
    assert "declares less than it holds" in sentence


def test_damaged_files() -> None:
    """A header and then noise: unreadable or cut, never samples."""
    rng = np.random.default_rng(5)
    for kind in ("FLAC", "OGG", "MP3"):
        encoded = encode(voice(2.0), 16_000 if kind != "MP3" else 44_100, kind)
        junk = encoded[:40] + rng.integers(0, 256, 5000, dtype=np.uint8).tobytes()
        assert refused(junk)[0] in {"audio_unreadable", "audio_truncated", "audio_unknown_format"}


def test_no_damage_escapes_as_another_error() -> None:
    """Flipped bytes and cuts at random places give a waveform or a coded error, nothing else."""
    rng = np.random.default_rng(11)
    codes = set()
    for kind in ("WAV", "FLAC", "OGG", "MP3", "AIFF", "AU", "NIST"):
        encoded = encode(voice(0.5, seed=1), kind=kind)
        for _ in range(60):
            hurt = bytearray(encoded[: rng.integers(1, len(encoded) + 1)])
            for at in rng.integers(0, min(len(hurt), 200), rng.integers(0, 5)):
                hurt[at] = rng.integers(256)
            try:
                waveform = load(bytes(hurt), limits=AudioLimits(max_duration_s=60))
            except (InputError, ConfigError) as error:
                codes.add(error.code)
            else:
                assert np.isfinite(waveform.samples).all()
    assert {code.split("_")[0] for code in codes} <= {"audio", "media"}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (None, "A NoneType is not audio"),
        (3.5, "A float is not audio"),
        ((noise(1.0), 16_000.5), "Expected (samples, rate_hz)"),
        ((noise(1.0),), "Expected (samples, rate_hz)"),
        (([0.0] * 16_000, 16_000), "Expected (samples, rate_hz)"),
        ((np.zeros((4, 4, 4)), 16_000), "The array has 3 dimensions"),
        ((np.zeros(16_000, np.int64), 16_000), "Samples of type int64 have no known full scale"),
        ((np.zeros(16_000, np.complex64), 16_000), "Samples of type complex64"),
        (io.StringIO("text"), "is a text stream; open it in binary mode"),
    ],
)
def test_sources_of_another_kind(source: Any, found: str) -> None:
    """What is neither file nor array is named."""
    code, sentence = refused(source)
    assert code == "audio_unreadable"
    assert found in sentence


def test_media_without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """An m4a file without PyAV names the extra to install."""
    real_import = builtins.__import__

    def no_av(name: str, *rest: Any, **more: Any) -> Any:
        if name == "av":
            raise ImportError(name)
        return real_import(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", no_av)
    with pytest.raises(ConfigError) as caught:
        load(b"\x00\x00\x00\x20ftypM4A " + bytes(16) + b"\x00\x00\x00\x08free")
    assert caught.value.code == "media_extra_missing"
    assert caught.value.message == "audio is MP4/M4A, which needs PyAV; run: pip install 'voxid[media]'"
