"""Requests to the service: JSON in and out, recordings as raw bodies, problems as voxid's errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeAlias

from voxid.errors import CompatibilityError, ConfigError, InputError, PolicyError, StoreError, VoxidError

if TYPE_CHECKING:
    import httpx

__all__ = ["Recording", "Transport"]

Recording: TypeAlias = str | Path | bytes | BinaryIO
"""A recording to send: a path, encoded bytes, or a binary file, which is streamed."""

_CHUNK_BYTES: Final = 1 << 18
_BRANCH: Final[dict[int, type[VoxidError]]] = {
    401: PolicyError,
    403: PolicyError,
    409: CompatibilityError,
    429: PolicyError,
    507: StoreError,
}


class Transport:
    """One connection pool to one service, with one key.

    Args:
        address: e.g. "http://127.0.0.1:8470".
        key: API key or token; None: none is sent.
        timeout_s: seconds until a call without an answer is given up.
        http: an httpx client to send with; None: one of our own, which `close` closes.

    Attributes:
        address: without a slash at its end.
        headers: sent with every request; they hold the key.
    """

    def __init__(
        self, address: str, key: str | None, *, timeout_s: float = 60.0, http: httpx.Client | None = None
    ) -> None:
        try:
            import httpx
        except ImportError:
            raise ConfigError(
                "serve_extra_missing", "voxid.Client needs httpx; install it: pip install 'voxid[serve]'."
            ) from None
        self.address = address.rstrip("/")
        self.headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._own = http is None
        self._http = http if http is not None else httpx.Client(timeout=timeout_s)

    def close(self) -> None:
        """Close the connections."""
        if self._own:
            self._http.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Any:
        """Return the JSON of an answer; None when it has no body.

        Raises:
            VoxidError: of the branch that fits, with the code and sentence of the problem.
        """
        return self._sent(method, path, query, idempotency_key, json=None if json is None else dict(json))

    def send(
        self,
        path: str,
        recording: Recording,
        *,
        query: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Return the JSON answered to a recording, which is streamed.

        Raises:
            InputError: audio_missing when there is no such file; and as `call`.
        """
        if isinstance(recording, bytes):
            return self._sent("POST", path, query, idempotency_key, content=recording, headers=headers)
        if not isinstance(recording, str | Path):
            return self._sent(
                "POST", path, query, idempotency_key, content=_chunks(recording), headers=headers
            )
        try:
            with Path(recording).open("rb") as file:
                return self._sent(
                    "POST", path, query, idempotency_key, content=_chunks(file), headers=headers
                )
        except OSError as error:
            raise InputError(
                "audio_missing", f"{recording} cannot be read ({error.strerror}); check the path."
            ) from None

    def download(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Return an answer that is a file.

        Raises:
            VoxidError: as `call`.
        """
        body = {} if json is None else {"json": dict(json)}
        return self._answered(method, path, query, {}, **body).content

    def pages(
        self, path: str, entries: str, query: Mapping[str, Any] | None = None
    ) -> Iterator[Mapping[str, Any]]:
        """Yield the entries of a list, page after page.

        Args:
            path: of the list.
            entries: the field they stand in.
            query: more than `limit` and `after`.
        """
        after = None
        while True:
            found = self.call("GET", path, query={**(query or {}), "limit": 100, "after": after})
            yield from found[entries]
            if (after := found["next"]) is None:
                return

    def _sent(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        idempotency_key: str | None,
        headers: Mapping[str, str] | None = None,
        **body: Any,
    ) -> Any:
        more = dict(headers or {})
        if idempotency_key is not None:
            more["Idempotency-Key"] = idempotency_key
        answer = self._answered(method, path, query, more, **body)
        return answer.json() if answer.content else None

    def _answered(
        self, method: str, path: str, query: Mapping[str, Any] | None, more: Mapping[str, str], **body: Any
    ) -> httpx.Response:
        import httpx

        headers = {**self.headers, **more}
        if "content" in body:
            headers["Content-Type"] = "application/octet-stream"
        params = {name: value for name, value in (query or {}).items() if value is not None}
        try:
            answer = self._http.request(
                method, f"{self.address}/v1{path}", params=params, headers=headers, **body
            )
        except httpx.HTTPError as error:
            raise InputError(
                "service_unreachable",
                f"{self.address} did not answer ({type(error).__name__}); check that `voxid serve` runs there.",
            ) from None
        if answer.status_code >= 400:
            raise _error_of(answer)
        return answer


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk


def _error_of(answer: httpx.Response) -> VoxidError:
    status = answer.status_code
    branch = _BRANCH.get(status, InputError if status < 500 else StoreError)
    try:
        problem = answer.json()
        return branch(str(problem["code"]), str(problem["detail"]))
    except (ValueError, KeyError, TypeError):
        return branch("service_failed", f"The service answered {status} and did not say why; see its log.")
