"""A timeline as a picture: a page to listen with and correct, a drawing or an image for a document."""

from voxid.picture.drawing import draw_svg, write_svg
from voxid.picture.image import write_png
from voxid.picture.page import draw_html, write_html

__all__ = ["draw_html", "draw_svg", "write_html", "write_png", "write_svg"]
