"""M4A, MP4, WebM and AMR come through PyAV, and nothing in them reaches out of the file."""

from __future__ import annotations

import io

import numpy as np
import pytest

from voices import noise, voice
from voxid.audio import AudioLimits, load
from voxid.errors import InputError

av = pytest.importorskip("av", reason="PyAV is an extra: pip install 'voxid[media]'")


def media(kind: str, codec: str, rate_hz: int, samples: np.ndarray, layout: str = "mono") -> bytes:
    file = io.BytesIO()
    try:
        with av.open(file, "w", format=kind) as container:
            stream = container.add_stream(codec, rate=rate_hz, layout=layout)
            channels = 2 if layout == "stereo" else 1
            planes = np.tile((samples * 32767).astype(np.int16), (channels, 1))
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(planes), format="s16p", layout=layout)
            frame.sample_rate = rate_hz
            resampler = av.AudioResampler(
                format=stream.codec_context.format, layout=layout, rate=rate_hz,
                frame_size=stream.codec_context.frame_size or 960,
            )  # fmt: skip
            for part in [*resampler.resample(frame), *resampler.resample(None)]:
                container.mux(stream.encode(part))
            container.mux(stream.encode(None))
    except (av.FFmpegError, ValueError) as error:
        pytest.skip(f"this build of PyAV cannot write {codec} ({error})")
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "codec", "rate_hz", "layout"),
    [
        ("mp4", "aac", 44_100, "mono"),
        ("ipod", "aac", 16_000, "stereo"),
        ("webm", "libopus", 48_000, "mono"),
        ("matroska", "pcm_s16le", 16_000, "mono"),
        ("adts", "aac", 32_000, "mono"),
        ("amr", "libopencore_amrnb", 8_000, "mono"),
    ],
)
def test_media_files(kind: str, codec: str, rate_hz: int, layout: str) -> None:
    """Length, rate and level survive."""
    samples = noise(2.0 * rate_hz / 16_000)
    waveform = load(media(kind, codec, rate_hz, samples, layout))
    assert waveform.source_rate_hz == rate_hz
    assert waveform.duration_s == pytest.approx(2.0, abs=0.15)
    assert 0.03 < np.std(waveform.samples) < 0.15


def test_cut_m4a() -> None:
    """An MP4 whose boxes reach over its end."""
    encoded = media("mp4", "aac", 16_000, voice(3.0))
    with pytest.raises(InputError) as caught:
        load(encoded[: len(encoded) // 2])
    assert caught.value.code == "audio_truncated"


def test_cap_holds_for_media() -> None:
    """Decoding stops at the cap."""
    with pytest.raises(InputError) as caught:
        load(media("mp4", "aac", 16_000, voice(3.0)), limits=AudioLimits(max_duration_s=1.0))
    assert caught.value.code == "audio_too_long"


def test_video_without_sound() -> None:
    """No audio track is said, not silence returned."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(InputError) as caught:
        load(file.getvalue())
    assert caught.value.message == "audio has no audio track; give a file with speech in it."


def test_playlists_are_not_followed() -> None:
    """A playlist that names another address is no audio."""
    with pytest.raises(InputError) as caught:
        load(b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n")
    assert caught.value.code == "audio_unknown_format"


def test_damaged_media_gives_coded_errors() -> None:
    """Flipped bytes give a waveform or a coded error."""
    rng = np.random.default_rng(2)
    codes = set()
    encoded = media("mp4", "aac", 16_000, voice(0.5))
    for _ in range(40):
        hurt = bytearray(encoded)
        for at in rng.integers(0, len(hurt), 20):
            hurt[at] = rng.integers(256)
        try:
            waveform = load(bytes(hurt), limits=AudioLimits(max_duration_s=60))
        except InputError as error:
            codes.add(error.code)
        else:
            assert np.isfinite(waveform.samples).all()
    assert codes <= {
        "audio_unreadable",
        "audio_truncated",
        "audio_unknown_format",
        "audio_empty",
        "audio_too_short",
    }
