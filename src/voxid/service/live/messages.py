"""What a client may say, and how its audio is read.

Shapes: N frames of samples, C channels.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from voxid.diarize.online import LiveOptions
from voxid.errors import InputError

__all__ = ["Alive", "End", "Resume", "Start", "decode", "read_message"]

_SAMPLE_BYTES: Final = {"pcm_s16le": 2, "mulaw": 1, "float32": 4}
_MAX_HOP_S: Final = 2.0


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Start(_Message):
    """A call begins.

    Attributes:
        sample_rate_hz: of what comes.
        encoding: of the samples; channels are interleaved.
        channels: how many.
        layout: ``mixed``: several voices on what comes, its channels averaged; ``sides``: one speaker on each channel,
            which takes a fraction of the processor. None: ``sides`` where there are two channels or more.
        channel_names: what the sides are called; none: CHANNEL_0, ...
        names: whether people who consented to diarize-name are named.
        latency_s: how old speech is when it is first told, 0.5 to 5 s in halves. The networks hear the call again as
            often as that, at most every 2 s: a longer latency takes less of the processor.
        spoof: whether it is told if each speaker is a live human voice; None: as the tenant's policy has it.
        watchlist: id of a list whose people are looked for as well, for its own purpose; it takes the scope watchlists.
    """

    type: Literal["start"]
    sample_rate_hz: Annotated[int, Field(ge=8_000, le=192_000)]
    encoding: Literal["pcm_s16le", "mulaw", "float32"] = "pcm_s16le"
    channels: Annotated[int, Field(ge=1, le=8)] = 1
    layout: Literal["mixed", "sides"] | None = None
    channel_names: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=40)], ...], Field()] = ()
    names: bool = True
    latency_s: Annotated[float, Field(ge=0.5, le=5.0)] = 2.0
    spoof: bool | None = None
    watchlist: Annotated[str, Field(pattern=r"^[0-9a-f-]{36}$")] | None = None

    @property
    def by_sides(self) -> bool:
        """Whether each channel is one speaker."""
        return self.layout == "sides" or (self.layout is None and self.channels > 1)

    @property
    def sides(self) -> tuple[str, ...]:
        """What the sides are called.

        Raises:
            InputError: live_message_invalid for another number of names than channels.
        """
        names = self.channel_names or tuple(f"CHANNEL_{number}" for number in range(self.channels))
        if len(names) != self.channels:
            raise _invalid(f"channel_names: {len(names)} names for {self.channels} channels")
        return names

    @property
    def options(self) -> LiveOptions:
        """How the call is followed.

        Raises:
            InputError: latency_invalid.
        """
        LiveOptions(latency_s=self.latency_s)
        return LiveOptions(latency_s=self.latency_s, hop_s=min(self.latency_s, _MAX_HOP_S))

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return _SAMPLE_BYTES[self.encoding] * self.channels


class Resume(_Message):
    """A call goes on after its connection broke.

    Attributes:
        token: as given when it started.
        after: the last sequence number that arrived; everything after it is told.
    """

    type: Literal["resume"]
    token: Annotated[str, Field(min_length=20, max_length=100)]
    after: Annotated[int, Field(ge=0)] = 0


class End(_Message):
    """The call is over: hear it once more as a whole, tell the timeline, and close."""

    type: Literal["end"]


class Alive(_Message):
    """Nothing is wanted: a sign of life while a line is on hold."""

    type: Literal["alive"]


_Any = Annotated[Start | Resume | End | Alive, Field(discriminator="type")]
_ADAPTER: TypeAdapter[Start | Resume | End | Alive] = TypeAdapter(_Any)


def read_message(text: str) -> Start | Resume | End | Alive:
    """Return what a client said.

    Raises:
        InputError: live_message_invalid. The values sent are left out of the sentence: they may be names.
    """
    try:
        return _ADAPTER.validate_python(json.loads(text), strict=False)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "message"
        raise _invalid(f"{place}: {first['msg']}") from None
    except (ValueError, RecursionError):
        raise _invalid("it is not JSON") from None


def decode(data: bytes, start: Start) -> NDArray[Any]:
    """Return (N, C) samples, int16 or float32.

    Raises:
        InputError: live_audio_invalid when the bytes are not whole frames.
    """
    if len(data) % start.frame_bytes:
        raise InputError(
            "live_audio_invalid",
            f"{len(data):,} bytes of {start.encoding} with {start.channels} channel(s) came; expected a multiple of "
            f"{start.frame_bytes}. They were left out.",
        )
    if start.encoding == "mulaw":
        samples: NDArray[Any] = _MULAW[np.frombuffer(data, np.uint8)]
    else:
        samples = np.frombuffer(data, "<i2" if start.encoding == "pcm_s16le" else "<f4")
    return samples.reshape(-1, start.channels)


def _mulaw_table() -> NDArray[np.int16]:
    """Return the sample of each byte. Source: ITU-T G.711, mu-law."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


_MULAW: Final = _mulaw_table()


def _invalid(found: str) -> InputError:
    return InputError(
        "live_message_invalid",
        f"The message cannot be used ({found}); expected start, resume, alive or end as docs/live.md has them.",
    )
