"""The timeline's page of `voxid.picture` inside the console: its script and its style, written once."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from voxid.picture.peaks import COLORS_DARK, COLORS_LIGHT

__all__ = ["speaker_colors", "viewer_script", "viewer_style"]


@cache
def viewer_script() -> str:
    """Return the viewer: lanes, zoom, sound, one selected turn. It leaves the global `viewer` behind."""
    return _read("page.js")


@cache
def viewer_style() -> str:
    """Return its style and the speakers' colours."""
    return _read("page.css") + speaker_colors()


@cache
def speaker_colors() -> str:
    """Return the speakers' colours as classes, for a page whose root says which theme it has."""
    return _rules(COLORS_LIGHT, "") + _rules(COLORS_DARK, ':root[data-theme="dark"] ')


def _read(name: str) -> str:
    return files("voxid.picture").joinpath(name).read_text(encoding="utf-8")


def _rules(palette: tuple[str, ...], within: str) -> str:
    return "".join(f"{within}.c{at}{{--color:{color}}}\n" for at, color in enumerate(palette))
