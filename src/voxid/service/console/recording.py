"""What the page of one recording is rendered from: its timeline, drawn by `voxid.picture`."""

from __future__ import annotations

from typing import Any

from voxid.picture.drawing import draw_facts
from voxid.picture.lists import draw_data, draw_names
from voxid.service.diarizing import read_kept
from voxid.service.state import Tenant
from voxid.service.timelines import shown
from voxid.timeline import ReviewPolicy

__all__ = ["recording_values"]


def recording_values(tenant: Tenant, recording_id: str) -> dict[str, Any]:
    """Return what the template shows of a kept timeline, with the names of this moment.

    Raises:
        InputError: timeline_missing. StoreError: store_damaged.
    """
    timeline = shown(tenant.gallery, read_kept(tenant.store, recording_id)[1]).timeline
    return {
        "recording_id": recording_id,
        "heading": timeline.uri,
        "facts": draw_facts(timeline),
        "names": draw_names(timeline),
        "data": draw_data(timeline, timeline.audio_sha256, ReviewPolicy()),
    }
