"""Every error voxid raises, in one tree.

    VoxidError
    ├── InputError           the audio, file or argument given cannot be used      exit 2, HTTP 422
    ├── CompatibilityError   a model, template or format of another kind           exit 2, HTTP 409
    ├── ConfigError          a key, option or extra of this installation is wrong  exit 2, HTTP 500
    ├── PolicyError          refused by consent, purpose or another rule           exit 3, HTTP 403
    └── StoreError           stored data is damaged or cannot be written           exit 4, HTTP 500

Each error carries a stable ``code`` for programs and a sentence for people: what was found, what was
expected, what to do.
"""

from __future__ import annotations

from typing import ClassVar


class VoxidError(Exception):
    """The root: catch it to catch everything voxid raises on purpose.

    Args:
        code: stable snake_case identifier, e.g. ``"audio_empty"``.
        message: what was found, what was expected, what to do.

    Example:
        >>> error = InputError("audio_empty", "x.wav has 0 bytes; give a file with speech in it.")
        >>> error.code, error.exit_code, str(error)
        ('audio_empty', 2, 'x.wav has 0 bytes; give a file with speech in it.')
    """

    exit_code: ClassVar[int] = 2
    http_status: ClassVar[int] = 500

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[type[VoxidError], tuple[str, str]]:
        return type(self), (self.code, self.message)

    def to_dict(self) -> dict[str, str]:
        """Return the error as ``--json`` and the service print it."""
        return {"error": self.code, "kind": type(self).__name__, "message": self.message}


class InputError(VoxidError):
    """The audio, file or argument given cannot be used."""

    http_status = 422


class CompatibilityError(VoxidError):
    """A model bundle, template or stored format of another kind or version."""

    http_status = 409


class ConfigError(VoxidError):
    """A key, option or optional extra of this installation is missing or wrong."""


class PolicyError(VoxidError):
    """Refused by consent, purpose or another rule; nothing was computed or stored."""

    exit_code = 3
    http_status = 403


class StoreError(VoxidError):
    """Stored data is damaged, or could not be read or written."""

    exit_code = 4
