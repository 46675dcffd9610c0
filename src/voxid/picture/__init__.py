"""A timeline as a picture: a page to listen with (`write_html`), a drawing for a document (`write_svg`)."""

from voxid.picture.drawing import draw_svg, write_svg
from voxid.picture.page import draw_html, write_html

__all__ = ["draw_html", "draw_svg", "write_html", "write_svg"]
