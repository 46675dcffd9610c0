"""Which person each cluster is: people of the gallery by calibrated evidence, then people it knows without a name.

Open set, in two steps. First all clusters and all people at once: one person one cluster, the largest sum of evidence,
nobody below the profile's threshold. Then the clusters left and the unknown people, the same way; so nobody loses a
name to an id. The rest are SPEAKER_00, ... A person in the review band is suggested, which changes no label.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from voxid.audio import Waveform
from voxid.backend import Quality
from voxid.diarize.clustering import unit_rows
from voxid.diarize.turns import DrawnTurn, alone
from voxid.embedding import Embedder
from voxid.errors import CompatibilityError
from voxid.recognize.assignment import assign
from voxid.timeline import Naming, Segment, Suggestion, Turn

if TYPE_CHECKING:
    from voxid.bundle import Bundle
    from voxid.decision import Candidate
    from voxid.recognize import Gallery
    from voxid.recognize.unknown import UnknownMatches
    from voxid.recognize.witness import WrittenOnce

PURPOSE = "diarize-name"
"""The consent purpose a person must have given to be named in a timeline."""

VOICE_SPEECH_S = 20.0
"""Speech of a cluster compared with the gallery; more hardly changes the embedding and costs time."""

VOICE_TURN_S = 8.0
"""Longest piece taken out of one turn, so that several turns speak for the cluster."""

MIN_CANDIDATES = 5
"""People looked at per cluster, at least."""

MIN_VOICE_TURN_S = 0.25
"""Shorter turns are not embedded on their own."""


@dataclass(frozen=True)
class Name:
    """The person, or unknown person's id, a cluster was found to be, and the natural-log likelihood ratio for it."""

    person: str
    llr: float


@dataclass(frozen=True, eq=False)
class ClusterVoices:
    """The clusters long enough to compare, by first appearance.

    Args:
        clusters: S numbers.
        segments: S lists: where each voice was taken from.
        embeddings: (S, D) float32, raw, of unit length.
        qualities: S, of the speech behind each.
        audio_sha256: of the recording; None where there is none, as in a live call.
    """

    clusters: list[int]
    segments: list[list[Segment]]
    embeddings: NDArray[np.float32]
    qualities: list[Quality]
    audio_sha256: str | None = None


@dataclass(frozen=True)
class Found:
    """Who the clusters are.

    Args:
        names: cluster -> person, or the person to ask about.
        ids: cluster -> unknown person; never of a cluster with a name, but perhaps of one with a suggestion.
        naming: how they were found; None without a gallery.
    """

    names: dict[int, Name | Suggestion] = field(default_factory=dict)
    ids: dict[int, Name] = field(default_factory=dict)
    naming: Naming | None = None


def check_same_bundle(gallery: Gallery, bundle: Bundle) -> None:
    """Raise CompatibilityError ``model_mismatch`` when the gallery's voiceprints come from another bundle."""
    if gallery.bundle.id != bundle.id:
        raise CompatibilityError(
            "model_mismatch",
            f"the gallery compares with model {gallery.bundle.id}, the recording would be embedded with "
            f"{bundle.id}; expected one model; leave bundle out or open a gallery of that model.",
        )
    gallery.compared(PURPOSE)  # a gallery may be opened with a bundle that made none of its voiceprints


def choose_voice_segments(
    turns: Sequence[DrawnTurn], cluster: int, *, overlapped: bool = True
) -> list[Segment]:
    """Return the parts of a cluster's longest turns that stand for its voice, up to 20 s, longest first.

    Args:
        turns: of everybody.
        cluster: whose.
        overlapped: where nothing is said while the others are silent, take what there is.
    """
    clean = [turn.segment for turn in alone(turns) if turn.speaker == cluster]
    if overlapped and not any(segment.duration_s >= MIN_VOICE_TURN_S for segment in clean):
        clean = [turn.segment for turn in turns if turn.speaker == cluster]
    own = sorted(clean, key=lambda segment: -segment.duration_s)
    chosen: list[Segment] = []
    left_s = VOICE_SPEECH_S
    for segment in own:
        take_s = min(segment.duration_s, VOICE_TURN_S, left_s)
        if take_s < MIN_VOICE_TURN_S:
            break
        middle_s = (segment.start_s + segment.end_s) / 2
        chosen.append(Segment(max(0.0, middle_s - take_s / 2), middle_s + take_s / 2))
        left_s -= take_s
    return chosen


def embed_voices(
    waveform: Waveform,
    turns: Sequence[DrawnTurn],
    embedder: Embedder,
    wanted: Collection[int] | None = None,
    *,
    overlapped: bool = True,
) -> ClusterVoices:
    """Return the voices of the clusters long enough to compare.

    Args:
        waveform, turns: the recording, and everybody's turns in it.
        embedder: of the gallery's bundle.
        wanted: only these clusters; None: all.
        overlapped: as `choose_voice_segments` has it.
    """
    clusters: list[int] = []
    taken: list[list[Segment]] = []
    voices: list[NDArray[np.float32]] = []
    qualities: list[Quality] = []
    for cluster in dict.fromkeys(turn.speaker for turn in turns):
        segments = choose_voice_segments(turns, cluster, overlapped=overlapped)
        if not segments or (wanted is not None and cluster not in wanted):
            continue
        pieces = np.stack([embedder.embed(waveform.slice(segment)) for segment in segments])
        weights = np.asarray([segment.duration_s for segment in segments], dtype=np.float32)
        clusters.append(cluster)
        taken.append(segments)
        voices.append(weights @ pieces)
        qualities.append(Quality(net_speech_s=float(weights.sum())))
    stacked = np.stack(voices) if voices else np.zeros((0, embedder.dim), dtype=np.float32)
    return ClusterVoices(clusters, taken, unit_rows(stacked), qualities, waveform.sha256)


def assign_people(candidates: Sequence[Sequence[Candidate]], threshold_llr: float) -> dict[int, Name]:
    """Return the name of each row that gets one: one person, one row, the largest sum of evidence.

    Args:
        candidates: ranked candidates of each row; those under ``threshold_llr`` are never used.
        threshold_llr: natural-log likelihood ratio a name must reach.
    """
    people = sorted({candidate.person for row in candidates for candidate in row})
    column = {person: index for index, person in enumerate(people)}
    llr = np.full((len(candidates), len(people)), -np.inf)
    for index, row in enumerate(candidates):
        for candidate in row:
            place = index, column[candidate.person]
            llr[place] = max(llr[place], candidate.llr)
    found = assign(llr, threshold_llr)
    return {row: Name(people[place], float(llr[row, place])) for row, place in found.items()}


def suggest_people(
    candidates: Sequence[Sequence[Candidate]], named: Collection[int], threshold_llr: float
) -> dict[int, Suggestion]:
    """Return the best candidate of each row without a name: a person to ask about, never a name.

    Most lie under the threshold; one above it lost the person to another row, which may be the same voice cut in two.
    """
    return {
        row: Suggestion(line[0].person, line[0].llr, threshold_llr)
        for row, line in enumerate(candidates)
        if line and row not in named
    }


def find_names(
    gallery: Gallery,
    waveform: Waveform,
    turns: Sequence[DrawnTurn],
    embedder: Embedder,
    profile: str,
) -> Found:
    """Return which clusters are people of the gallery with consent to be named, or people it knows without a name.

    A cluster whose best candidate lies in the review band of the profile comes with a suggestion instead of a name.

    Raises:
        CompatibilityError: ``model_mismatch``, the gallery's voiceprints come from another bundle.
    """
    check_same_bundle(gallery, embedder.bundle)
    return name_voices(gallery, embed_voices(waveform, turns, embedder), embedder.bundle, profile)


def name_voices(
    gallery: Gallery, voices: ClusterVoices, bundle: Bundle, profile: str, once: WrittenOnce | None = None
) -> Found:
    """Return who the voices are, as :func:`find_names` does.

    Args:
        bundle: which made them; the gallery's.
        once: of a call that asks again and again, for the audit log.
    """
    limits = bundle.profile(profile)
    naming = Naming(limits.name, limits.far, limits.threshold_llr, gallery.compared(PURPOSE))
    if not voices.clusters:
        return Found(naming=naming)
    candidates = gallery.match(
        voices.embeddings,
        purpose=PURPOSE,
        profile=profile,
        top=max(MIN_CANDIDATES, len(voices.clusters)),  # fewer could hide the best one-to-one assignment
        bundle_id=bundle.id,
        qualities=voices.qualities,
        review=True,
        audio_sha256=voices.audio_sha256,
        once=once,
    )
    names = assign_people(candidates, limits.threshold_llr)
    found = suggest_people(candidates, names, limits.threshold_llr) | names
    known = gallery.unknown.match(voices.embeddings, qualities=voices.qualities, profile=profile)
    if known.ids:
        naming = replace(naming, unknown=len(known.ids), unknown_threshold_llr=known.threshold_llr)
    ids = assign_ids(known, names)
    return Found(
        {voices.clusters[row]: name for row, name in found.items()},
        {voices.clusters[row]: id_ for row, id_ in ids.items()},
        naming,
    )


def assign_ids(known: UnknownMatches, named: Collection[int]) -> dict[int, Name]:
    """Return the unknown person of each row that is one; a row with a name is none."""
    llr = known.llr.copy()
    llr[sorted(named)] = -np.inf
    found = assign(llr, known.threshold_llr)
    return {row: Name(known.ids[place], float(llr[row, place])) for row, place in found.items()}


def label_turns(
    turns: Sequence[DrawnTurn],
    names: Mapping[int, Name | Suggestion],
    ids: Mapping[int, Name] | None = None,
) -> tuple[Turn, ...]:
    """Return turns with people's names or unknown people's ids, with their LLR, or SPEAKER_00, .. by first appearance.

    A suggestion is kept beside the label and never becomes it.
    """
    ids = {} if ids is None else ids
    strangers: dict[int, str] = {}
    taken = {name.person for name in names.values() if isinstance(name, Name)}
    numbered = (f"SPEAKER_{number:02d}" for number in range(len(turns) + len(taken)))
    labels = (label for label in numbered if label not in taken)
    labelled: list[Turn] = []
    for turn in turns:
        name = names.get(turn.speaker)
        if isinstance(name, Name):
            labelled.append(
                Turn(turn.segment, name.person, named=True, llr=name.llr, confidence=turn.confidence)
            )
            continue
        known = ids.get(turn.speaker)
        if known is not None:
            labelled.append(
                Turn(
                    turn.segment,
                    known.person,
                    llr=known.llr,
                    confidence=turn.confidence,
                    suggestion=name,
                    voice_id=known.person,
                )
            )
            continue
        if turn.speaker not in strangers:
            strangers[turn.speaker] = next(labels)
        labelled.append(
            Turn(turn.segment, strangers[turn.speaker], confidence=turn.confidence, suggestion=name)
        )
    return tuple(labelled)
