"""`Client`: everything the service does, as methods."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from voxid.client.installation import InstallationCalls
from voxid.client.live import CallFormat, LiveCall
from voxid.client.liveness import LivenessCalls
from voxid.client.people import PeopleCalls
from voxid.client.results import ResultCalls
from voxid.client.rights import RightsCalls

__all__ = ["Client"]


class Client(PeopleCalls, LivenessCalls, ResultCalls, RightsCalls, InstallationCalls):
    """A service, as its key may use it. Threads may share a client.

    Example::

        with voxid.Client("http://127.0.0.1:8470", "vxk_default_...") as client:
            ada = client.enroll("Ada", ["a1.wav", "a2.wav"], {"verify"}, "signed form 17")
            client.verify(ada.person_id, "call.wav")            # true only when accepted
    """

    def live(self, format: CallFormat) -> LiveCall:
        """Return a live call, which begins where it is entered: ``with client.live(CallFormat(8_000)) as call``."""
        return LiveCall(self.address, self.headers.get("Authorization", "").removeprefix("Bearer "), format)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
