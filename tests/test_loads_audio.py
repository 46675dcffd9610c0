"""Any common file, bytes, stream or array becomes the same mono 16 kHz waveform."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import threading
import time
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voices import encode, noise, voice
from voxid.audio import AudioLimits, Waveform, load
from voxid.containers import mp3_frame_bytes
from voxid.segments import Segment

SHARED = Path(__file__).parents[2] / "shared"


def tone(rate_hz: int, duration_s: float = 1.0, tone_hz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * tone_hz * np.arange(round(rate_hz * duration_s)) / rate_hz)).astype(
        np.float32
    )


@pytest.mark.parametrize(
    ("kind", "subtype", "rate_hz"),
    [
        ("WAV", "PCM_16", 16_000),
        ("WAV", "PCM_24", 44_100),
        ("WAV", "FLOAT", 48_000),
        ("WAV", "DOUBLE", 96_000),
        ("WAV", "ULAW", 8_000),
        ("WAV", "PCM_U8", 22_050),
        ("RF64", "PCM_16", 16_000),
        ("FLAC", "PCM_16", 48_000),
        ("FLAC", "PCM_24", 192_000),
        ("OGG", "VORBIS", 44_100),
        ("OGG", "OPUS", 48_000),
        ("MP3", "MPEG_LAYER_III", 44_100),
        ("AIFF", "PCM_16", 32_000),
        ("AU", "PCM_16", 8_000),
        ("NIST", "PCM_16", 16_000),
        ("WAV", "PCM_16", 6_000),
    ],
)
def test_every_format_gives_the_same_tone(kind: str, subtype: str, rate_hz: int) -> None:
    """A 440 Hz tone stays one at every rate, by every codec, with its length and its level."""
    waveform = load(encode(tone(rate_hz), rate_hz, kind, subtype))
    assert waveform.samples.dtype == np.float32
    assert waveform.samples.ndim == 1
    assert waveform.source_rate_hz == rate_hz
    assert waveform.duration_s == pytest.approx(1.0, abs=0.03)
    middle = waveform.samples[2000:14000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) * 16_000 / len(middle) == pytest.approx(440, abs=2)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


def test_path_bytes_stream_and_pipe_agree(tmp_path: Path) -> None:
    """The way in changes neither the samples nor the hash, which is that of the encoded bytes."""
    encoded = encode(voice(1.0), kind="FLAC")
    path = tmp_path / "one two.flac"
    path.write_bytes(encoded)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(encoded,))
    writer.start()
    with path.open("rb") as stream:
        ways = [
            load(str(path)),
            load(path),
            load(encoded),
            load(stream),
            load(io.BytesIO(encoded)),
            load(pipe),
        ]
        assert not stream.closed
    writer.join()
    for waveform in ways:
        np.testing.assert_array_equal(waveform.samples, ways[0].samples)
        assert waveform.sha256 == hashlib.sha256(encoded).hexdigest()
    assert [waveform.uri for waveform in ways] == ["one two", "one two", "audio", "one two", "audio", "pipe"]


def test_the_name_of_a_file_is_not_believed(tmp_path: Path) -> None:
    """A FLAC file called .mp3 is read as FLAC."""
    path = tmp_path / "wrong.mp3"
    path.write_bytes(encode(tone(16_000), kind="FLAC"))
    assert load(path).duration_s == 1.0


def test_a_stream_is_read_from_where_it_stands() -> None:
    """Bytes before the position of a stream are not part of the recording."""
    stream = io.BytesIO(b"header of another protocol" + encode(tone(16_000)))
    stream.seek(26)
    assert load(stream).duration_s == 1.0


def test_channels_are_averaged_or_picked() -> None:
    """None averages; a number takes that channel, in files and arrays alike."""
    left, right = tone(16_000), np.zeros(16_000, np.float32)
    both = np.stack([left, right], axis=1)
    for source in ((both, 16_000), encode(both, subtype="FLOAT")):
        np.testing.assert_allclose(load(source).samples, left / 2, atol=1e-6)
        np.testing.assert_allclose(load(source, channel=0).samples, left, atol=1e-6)
        np.testing.assert_allclose(load(source, channel=1).samples, right, atol=1e-6)


def test_eight_channels_pass() -> None:
    """Eight channels are the most, and they are let in."""
    assert load((np.tile(tone(16_000)[:, None], 8), 16_000)).duration_s == 1.0


@pytest.mark.parametrize(
    ("dtype", "factor", "offset"), [(np.int16, 32768, 0), (np.int32, 2**31, 0), (np.uint8, 128, 128)]
)
def test_integers_are_scaled_to_one(dtype: type, factor: int, offset: int) -> None:
    """Full scale of every integer type is 1."""
    exact = np.array([-1.0, -0.5, 0.0, 0.5] * 1000)
    values = (exact * factor + offset).astype(dtype)
    np.testing.assert_array_equal(load((values, 16_000)).samples, exact.astype(np.float32))


def test_array_is_copied_and_the_waveform_is_read_only() -> None:
    """Changing the array afterwards changes nothing; the samples cannot be changed."""
    array = tone(16_000)
    waveform = load((array, 16_000))
    array[:] = 0
    assert np.abs(waveform.samples).max() > 0.4
    with pytest.raises(ValueError, match="read-only"):
        waveform.samples[0] = 1


def test_array_hash_is_that_of_the_samples() -> None:
    """The same samples hash alike, others differ."""
    first, same, other = (
        load((array, 16_000)).sha256 for array in (tone(16_000), tone(16_000), -tone(16_000))
    )
    assert first == same != other
    assert first == hashlib.sha256(tone(16_000).tobytes()).hexdigest()


def test_blocks_resample_as_one_piece() -> None:
    """Decoding in blocks leaves no seam: the result is that of resampling everything at once."""
    soxr = pytest.importorskip("soxr")
    array = noise(60.0, seed=3)  # taken as 44.1 kHz: several blocks
    whole = soxr.resample(array, 44_100, 16_000, quality="HQ")
    blocks = load((array, 44_100)).samples
    assert abs(len(whole) - len(blocks)) <= 1
    length = min(len(whole), len(blocks))
    np.testing.assert_allclose(blocks[:length], whole[:length], atol=2e-5)


@pytest.mark.parametrize(
    ("kind", "subtype"), [("MP3", None), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("FLAC", None)]
)
def test_blocks_decode_as_one_piece(kind: str, subtype: str | None) -> None:
    """The edges of blocks cannot be heard: a codec with a memory decodes as in one go."""
    encoded = encode(voice(40.0, 4), 16_000, kind, subtype)
    whole = soundfile.read(io.BytesIO(encoded), dtype="float32")[0]
    np.testing.assert_allclose(load(encoded).samples, whole, atol=1e-6)


def test_aliases_are_filtered_out() -> None:
    """A 10 kHz tone at 48 kHz has no place at 16 kHz and leaves nothing behind."""
    loud = load((tone(48_000, tone_hz=10_000), 48_000)).samples
    assert np.abs(loud[1000:-1000]).max() < 1e-3


def test_a_waveform_passes_through() -> None:
    """Loading what was loaded gives the same object."""
    waveform = load((tone(16_000), 16_000))
    assert load(waveform) is waveform
    assert load(waveform, channel=0) is waveform


def test_slice_is_cut_at_the_end() -> None:
    """A slice is a view with the hash of the whole, and ends with the recording."""
    waveform = load((tone(16_000), 16_000))
    part = waveform.slice(Segment(0.5, 2.0))
    assert part.duration_s == 0.5
    assert part.sha256 == waveform.sha256
    assert np.shares_memory(part.samples, waveform.samples)


def streamed_wav(size_field: int) -> bytes:
    encoded = bytearray(encode(tone(16_000)))
    encoded[4:8] = size_field.to_bytes(4, "little")
    encoded[40:44] = size_field.to_bytes(4, "little")
    assert encoded[36:40] == b"data"
    return bytes(encoded)


@pytest.mark.parametrize("size_field", [0xFFFF_FFFF, 0, 0x7FFF_FFFF, 0x8000_0000, 0x7FFF_F024])
def test_streamed_wav_is_whole(size_field: int) -> None:
    """A header that a streaming writer could not go back to is no lie: everything there is read."""
    assert load(streamed_wav(size_field)).duration_s == 1.0


def test_wav_written_to_a_pipe_by_the_standard_library() -> None:
    """Python's wave module cannot go back in a pipe and leaves the length 0."""
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as source:
        with (
            os.fdopen(write_end, "wb") as pipe,
            contextlib.suppress(OSError),
            wave.open(pipe, "wb") as writer,
        ):
            writer.setparams((1, 2, 16_000, 0, "NONE", "none"))
            writer.writeframesraw(b"")  # writes the header, with the length known so far
            writer.writeframesraw((tone(16_000) * 32767).astype("<i2").tobytes())
        encoded = source.read()
    assert encoded[40:44] == bytes(4)
    waveform = load(encoded)
    assert waveform.duration_s == 1.0
    np.testing.assert_allclose(waveform.samples, tone(16_000), atol=1e-4)


def test_tags_behind_the_audio_are_no_audio(tmp_path: Path) -> None:
    """Chunks after the data and an ID3v1 tag after an MP3 are passed over."""
    wav = encode(tone(16_000)) + b"LIST" + (40_000).to_bytes(4, "little") + bytes(40_000)
    assert load(wav).duration_s == 1.0
    assert load(encode(tone(44_100), 44_100, "MP3") + b"TAG" + bytes(125)).duration_s == pytest.approx(
        1, abs=0.06
    )


def test_mp3_with_an_id3v2_tag_and_without_xing_frame() -> None:
    """An MP3 that declares no length has none to break: a cut one is read as far as it goes."""
    plain = encode(tone(44_100, 3.0), 44_100, "MP3")
    assert b"Info" in plain[:64] or b"Xing" in plain[:64]
    start = mp3_frame_bytes(plain)  # the frame behind the one that declares the length
    assert start
    tag = b"ID3\x04\x00\x00\x00\x00\x02\x00" + bytes(256)
    bare = tag + plain[start:]
    assert load(bare).duration_s == pytest.approx(3, abs=0.1)
    assert 1.3 < load(bare[: len(bare) // 2]).duration_s < 1.7


def test_clip_at_the_least_and_the_most_length() -> None:
    """Bounds belong to what is let in."""
    limits = AudioLimits(min_duration_s=0.5, max_duration_s=1.0)
    assert load((tone(16_000), 16_000), limits=limits).duration_s == 1.0
    assert load((tone(16_000, 0.5), 16_000), limits=limits).duration_s == 0.5


def test_three_second_clip_loads_in_five_milliseconds(tmp_path: Path) -> None:
    """The door costs little: the best of 20 readings of a 3 s WAV file takes under 5 ms of processor time."""
    path = tmp_path / "clip.wav"
    path.write_bytes(encode(voice(3.0)))
    times_s = []
    for _ in range(20):
        start_s = time.process_time()
        load(path)
        times_s.append(time.process_time() - start_s)
    assert min(times_s) < 0.005


def test_real_recordings_are_not_refused() -> None:
    """Files of eight corpora and codecs load; none is taken for cut."""
    if not SHARED.exists():
        pytest.skip("real recordings are not beside this checkout (../shared)")
    endings = {".wav", ".flac", ".mp3", ".ogg", ".opus"}
    files = sorted(path for path in (SHARED / "eval").rglob("*") if path.suffix.lower() in endings)
    assert files
    for path in files[:: max(1, len(files) // 150)]:
        waveform = load(path)
        assert isinstance(waveform, Waveform)
        assert waveform.duration_s == pytest.approx(soundfile.info(path).duration, abs=0.1)
