"""The command line: thin, every command ends in a verb of the library."""

from voxid.cli.app import app, main

__all__ = ["app", "main"]
