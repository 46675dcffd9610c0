"""Text files of timelines: bounded reading, writing, and the sentence about a line that is wrong."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path

from voxid.errors import InputError

__all__ = ["bad_line", "finite_number", "fit_word", "read_lines", "read_text", "write_bytes", "write_text"]

_MAX_TEXT_BYTES = 64 << 20  # an hour of busy talk is 100 kB of RTTM


def read_text(path: str | Path, kind: str, *, utf16: bool = False) -> str:
    """Return the text of a UTF-8 file, without its byte-order mark.

    Args:
        path: the file.
        kind: what it should be; the codes of its errors begin with it.
        utf16: UTF-16 with a byte-order mark is read too.

    Raises:
        InputError: <kind>_missing; <kind>_invalid when it is too large, unreadable or no text.
    """
    try:
        size_bytes = os.stat(path).st_size
        if size_bytes > _MAX_TEXT_BYTES:
            raise InputError(
                f"{kind}_invalid", f"{path} has {size_bytes:,} bytes, over {_MAX_TEXT_BYTES:,}; split it."
            )
        content = Path(path).read_bytes()
        wide = utf16 and content[:2] in (b"\xff\xfe", b"\xfe\xff")
        return content.decode("utf-16" if wide else "utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{kind}_missing", f"There is no file {path}; check the path.") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{kind}_invalid",
            f"{path} is no text (byte {error.start} is not UTF-8); give a {kind.upper()} file.",
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"{kind}_invalid", f"{path} cannot be read ({error}); check the path.") from None


def read_lines(path: str | Path, kind: str) -> list[tuple[int, list[str]]]:
    """Return the non-empty, non-comment lines of a text file, numbered from 1 and split at white space.

    Raises:
        InputError: as `read_text`.
    """
    # Only \n ends a line: str.splitlines would also break names at rarer separators.
    numbered = ((number, line.split()) for number, line in enumerate(read_text(path, kind).split("\n"), 1))
    return [(number, fields) for number, fields in numbered if fields and not fields[0].startswith(";;")]


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, whole or not at all. Raises: InputError: output_unwritable."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file, whole or not at all; what is no ordinary file, such as a pipe, is written as it comes.

    Raises:
        InputError: output_unwritable.
    """
    target = Path(path)
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(content)
        else:
            _write_whole(target.resolve(), content)  # a link goes on leading where it leads
    except OSError as error:
        raise InputError(
            "output_unwritable", f"{path} cannot be written ({error.strerror}); choose another place."
        ) from None


def _write_whole(target: Path, content: bytes) -> None:
    draft = target.with_name(f".voxid-{os.urandom(6).hex()}")
    try:
        with draft.open("xb") as file:
            file.write(content)
        if target.exists():
            shutil.copymode(target, draft)
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def bad_line(kind: str, path: str | Path, number: int, found: str) -> InputError:
    """Return the error about one line of a file."""
    return InputError(f"{kind}_invalid", f"{path}, line {number}: {found.rstrip('.')}; correct this line.")


def fit_word(name: str) -> str:
    """Return a name as one word: white space, which RTTM and UEM cannot hold, becomes ``_``."""
    return "_".join(name.split()) or "audio"


def finite_number(value: object) -> float:
    """Return a number of a JSON document. Raises: TypeError for anything but a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TypeError(f"expected a finite number, found {value!r}"[:80])
    return float(value)
