"""The file of corrections that a timeline's page saves, taken as one change: names are looked up, none is stored."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from voxid.segments import Segment
from voxid.service.api.corrections import AtBy, Correcting, edited, nameable
from voxid.service.api.diarizations import Asking, JobId
from voxid.service.api.timeline_shapes import TimelineOut
from voxid.service.edits import rename
from voxid.service.problems import responses
from voxid.service.state import Tenant
from voxid.service.timelines import KeptTimeline, Shown, free_label, shown
from voxid.timeline import Correction, Corrections
from voxid.timeline.turn import is_label

__all__ = ["router"]

router = APIRouter(prefix="/diarizations/{job_id}", tags=["corrections"], responses=responses(404, 409))

_MOST: Final = 10_000
_MOST_S: Final = 1e7  # no recording lasts four months
_Label = Annotated[str, Field(min_length=1, max_length=200)]


class FileLine(BaseModel):
    """One turn: what it was called, who it is."""

    start_s: float = Field(ge=0, le=_MOST_S, examples=[3.0])
    end_s: float = Field(gt=0, le=_MOST_S, examples=[5.0])
    old_label: _Label = Field(examples=["SPEAKER_00"])
    new_name: _Label = Field(examples=["Ada Lovelace"], description="A name, or a label for a stranger")


class CorrectionFile(BaseModel):
    """A file of corrections, as `docs/output.md` has it."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["voxid-corrections"]
    version: Literal[1]
    audio_sha256: str = Field(pattern=r"^[0-9a-f]{64}$", examples=["3b" * 32])
    uri: str = Field(max_length=1000, examples=["call"])
    corrections: list[FileLine] = Field(max_length=_MOST)

    def checked(self) -> Corrections:
        """Return the corrections.

        Raises:
            InputError: corrections_invalid, speaker_invalid.
        """
        items = [
            Correction(Segment(line.start_s, line.end_s), line.old_label, line.new_name)
            for line in self.corrections
        ]
        return Corrections(self.audio_sha256, self.uri, tuple(items))


@router.post("/corrections/file", summary="Apply the file of corrections a page saved")
def apply_file(
    tenant: Correcting,
    by: Asking,
    job_id: JobId,
    wanted: CorrectionFile,
    strangers: Annotated[
        bool, Query(description="Who is called by a name nobody on record has is a stranger with a label")
    ] = False,
) -> TimelineOut:
    """Correct every turn of the file, or none: one change, which is undone as one.

    The file has the names that the timeline showed. Whoever is named in it must be on record and consent to be named;
    with `strangers` a name that nobody has becomes a label, one for each name: the timeline keeps who is who among
    them, and not what they are called.
    """
    file = wanted.checked()

    def edit(kept: KeptTimeline, at_by: AtBy) -> KeptTimeline:
        file.check_audio(kept.timeline)
        seen = shown(tenant.gallery, kept)
        speakers = _speakers(tenant, file, seen, kept, strangers)
        former = {
            _place(turn.segment, turn.speaker): kept.timeline.turns[number - 1]
            for turn, number in zip(seen.timeline.turns, seen.numbers, strict=True)
        }
        items = []
        for item in file.items:
            turn = former.get(_place(item.segment, item.old_label))
            if turn is None:
                items.append(item)  # no turn of this timeline: refused in the words of every correction
            else:
                to = turn.speaker if item.confirms else speakers[item.new_name]
                items.append(Correction(turn.segment, turn.speaker, to))
        return rename(kept, items, *at_by)

    return edited(tenant, by, job_id, None, edit)


def _speakers(
    tenant: Tenant, file: Corrections, seen: Shown, kept: KeptTimeline, strangers: bool
) -> dict[str, str]:
    """Return what each new name is kept as: a person id or a label.

    Raises:
        InputError: person_missing. PolicyError: consent_missing, consent_expired.
    """
    taken = {*kept.timeline.speakers, *seen.timeline.speakers, *kept.labels.values()}
    taken |= {item.new_name for item in file.items}
    found: dict[str, str] = {}
    for name in dict.fromkeys(item.new_name for item in file.items if not item.confirms):
        if is_label(name):
            found[name] = name
        elif strangers and tenant.store.find(name) is None:
            found[name] = free_label(taken)
            taken.add(found[name])
        else:
            found[name] = nameable(tenant, tenant.store.find(name))
    return found


def _place(segment: Segment, label: str) -> tuple[int, int, str]:
    return round(segment.start_s * 1000), round(segment.end_s * 1000), label
