"""The command line: thin, every command ends in a verb of the library."""

from __future__ import annotations

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code; Ctrl-C ends it with 130 and no traceback, also while it loads."""
    try:
        from voxid.cli.app import main as run

        return run(arguments)
    except KeyboardInterrupt:
        return 130
