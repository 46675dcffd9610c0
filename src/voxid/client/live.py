"""A live call from the client's side: samples go out, turns come back, and a broken connection is taken up again.

    with LiveCall("http://127.0.0.1:8470", "vxk_...", CallFormat(8_000, channels=2)) as call:
        for samples in line:
            for event in call.send(samples):
                print(event["type"], event.get("speaker"))
        timeline = call.end()

Needs ``pip install 'voxid[serve]'`` for its WebSocket.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from voxid.errors import ConfigError, InputError, PolicyError, StoreError, VoxidError

__all__ = ["CallFormat", "LiveCall", "LiveTurn"]

_PATH: Final = "/v1/live"
_WAIT_S: Final = 60.0
_PIECE_BYTES: Final = 256 << 10

Message = dict[str, Any]


@dataclass(frozen=True)
class CallFormat:
    """What will be sent, and what is wanted.

    Args:
        sample_rate_hz, channels: of the samples.
        encoding: ``pcm_s16le`` for int16, ``float32``; or ``mulaw`` for bytes as a telephone line brings them.
        layout: ``mixed`` or ``sides``; None: a side per channel where there are two or more.
        channel_names: what the sides are called.
        names: whether people are named.
        latency_s: how old speech is when it is first told, 0.5 to 5 s in halves.
        spoof: whether it is told if each speaker is a live human voice; None: as the tenant's policy has it.
        watchlist: id of a list whose people are looked for as well; it takes the scope ``watchlists``.
    """

    sample_rate_hz: int
    channels: int = 1
    encoding: str = "pcm_s16le"
    layout: str | None = None
    channel_names: tuple[str, ...] = ()
    names: bool = True
    latency_s: float = 2.0
    spoof: bool | None = None
    watchlist: str | None = None


@dataclass(frozen=True)
class LiveTurn:
    """One turn of the final timeline.

    Args:
        start_s, end_s: of the call, in seconds.
        speaker: the person's name, the side's, or SPEAKER_00, ...
        named: whether the speaker is a person of the gallery.
        person_id: of that person.
        llr: evidence for the name, natural-log likelihood ratio; higher is surer.
        confidence: of the turn, 0 to 1.
    """

    start_s: float
    end_s: float
    speaker: str
    named: bool
    person_id: str | None
    llr: float | None
    confidence: float | None


@dataclass(eq=False)
class LiveCall:
    """A call that goes on at the service.

    Args:
        base_url: of the service, http:// or https://.
        key: API key with the scope ``live``.
        format: of what is sent.

    Attributes:
        sequence: of the last message that came.
        sent_frames: sent so far; after `resume` what the service has of them.
        rest: what was told while `end` waited for the timeline.
        verdicts: the last verdict told of each voice, by its number.

    Raises:
        VoxidError: as the service refuses.
    """

    base_url: str
    key: str = field(repr=False)
    format: CallFormat
    sequence: int = 0
    sent_frames: int = 0
    rest: list[Message] = field(default_factory=list, repr=False)
    verdicts: dict[int, Message] = field(default_factory=dict, repr=False)
    _socket: Any = field(default=None, repr=False)
    _token: str = field(default="", repr=False)

    def __enter__(self) -> Self:
        wanted = {
            name: value for name, value in vars(self.format).items() if value is not None and value != ()
        }
        self._connect()
        self._token = self._said({"type": "start", **wanted}, "started")["token"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, samples: NDArray[np.int16] | NDArray[np.float32] | bytes) -> list[Message]:
        """Send samples (N, C), (N,) for one channel, or bytes; return what the service told meanwhile.

        Raises:
            StoreError: live_connection_lost: `resume`, and send again what the service has not got.
        """
        data = samples if isinstance(samples, bytes) else self._encoded(samples)
        frame_bytes = {"pcm_s16le": 2, "float32": 4}.get(self.format.encoding, 1) * self.format.channels
        piece = max(1, _PIECE_BYTES // frame_bytes) * frame_bytes
        for at in range(0, len(data), piece):
            self._put(data[at : at + piece])
        self.sent_frames += len(data) // frame_bytes
        return self.told()

    def told(self, within_s: float = 0.0) -> list[Message]:
        """Return what came since the last time, after waiting so long for a first message."""
        found: list[Message] = []
        while (message := self._next(0.0 if found else within_s)) is not None:
            found.append(message)
        return found

    def end(self) -> list[LiveTurn]:
        """End the call and return its timeline, drawn with everything heard."""
        self._put(json.dumps({"type": "end"}))
        end_s = time.monotonic() + _WAIT_S
        while time.monotonic() < end_s:
            message = self._next(1.0)
            if message is not None and message["type"] == "timeline":
                names = LiveTurn.__dataclass_fields__
                return [LiveTurn(**{name: turn[name] for name in names}) for turn in message["turns"]]
            self.rest += [message] if message is not None else []
        raise StoreError("live_connection_lost", f"No timeline came within {_WAIT_S:g} s; resume the call.")

    def resume(self) -> int:
        """Connect again after the connection broke; return how many frames of samples the service has.

        Raises:
            InputError: live_call_missing, the service has given the call up.
        """
        self._socket.close()
        self._connect()
        said = self._said({"type": "resume", "token": self._token, "after": self.sequence}, "resumed")
        self.sent_frames = int(said["received_frames"])
        return self.sent_frames

    def _connect(self) -> None:
        try:
            from websockets.exceptions import InvalidStatus
            from websockets.sync.client import connect
        except ImportError:
            raise ConfigError(
                "extra_missing", "Live calls need a WebSocket; install it: pip install 'voxid[serve]'."
            ) from None
        address = self.base_url.rstrip("/").replace("http", "ws", 1) + _PATH
        headers = {"Authorization": f"Bearer {self.key}"}
        try:
            self._socket = connect(address, additional_headers=headers, max_size=None, compression=None)
        except InvalidStatus as refused:
            raise _refusal(json.loads(refused.response.body or b"{}")) from None
        except OSError as error:
            raise StoreError(
                "live_connection_lost", f"{self.base_url} does not answer ({error}); is the service running?"
            ) from None

    def _said(self, message: Mapping[str, Any], expected: str) -> Message:
        self._put(json.dumps(message))
        answer = self._next(_WAIT_S)
        if answer is None or answer["type"] != expected:
            raise _refusal(answer or {})
        return answer

    def _put(self, data: str | bytes) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            self._socket.send(data)
        except ConnectionClosed:
            raise _lost() from None

    def _next(self, within_s: float) -> Message | None:
        from websockets.exceptions import ConnectionClosed

        try:
            message: Message = json.loads(self._socket.recv(timeout=within_s))
        except TimeoutError:
            return None
        except ConnectionClosed:
            raise _lost() from None
        self.sequence = int(message.get("sequence", self.sequence))
        for verdict in message["spoof"] if message["type"] == "snapshot" else [message]:
            if verdict["type"] == "spoof":
                self.verdicts[verdict["voice"]] = verdict
        return message

    def _encoded(self, samples: NDArray[Any]) -> bytes:
        dtype = {"pcm_s16le": "<i2", "float32": "<f4"}.get(self.format.encoding)
        if dtype is None or np.dtype(dtype).kind != samples.dtype.kind:
            raise InputError(
                "live_audio_invalid",
                f"samples of type {samples.dtype} cannot be sent as {self.format.encoding}; expected int16 for "
                "pcm_s16le, float32 for float32, and bytes for mulaw.",
            )
        return np.ascontiguousarray(samples, dtype).tobytes()


def _refusal(answer: Mapping[str, Any]) -> VoxidError:
    code, detail = answer.get("code", "live_refused"), answer.get("detail", "The service refused the call.")
    kind = PolicyError if answer.get("status") in (401, 403, 429) else InputError
    return kind(str(code), str(detail))


def _lost() -> StoreError:
    return StoreError(
        "live_connection_lost",
        "The connection to the service broke; resume the call within the time it waits.",
    )
