"""Enroll, verify, identify: the verbs on top of the gallery, and the object users hold."""

from __future__ import annotations

from voxid.recognize.enrollment import Enrollment
from voxid.recognize.gallery import Gallery

__all__ = ["Enrollment", "Gallery"]
