"""Which person each cluster is: gallery people by calibrated evidence, the others SPEAKER_00, .."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from voxid.audio import Waveform
from voxid.backend import Quality
from voxid.diarize.clustering import unit_rows
from voxid.diarize.turns import DrawnTurn, alone
from voxid.embedding import Embedder
from voxid.errors import CompatibilityError
from voxid.timeline import Segment, Suggestion, Turn

if TYPE_CHECKING:
    from voxid.bundle import Bundle
    from voxid.decision import Candidate
    from voxid.recognize import Gallery

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
    """The person a cluster was found to be, and the natural-log likelihood ratio for it."""

    person: str
    llr: float


def check_same_bundle(gallery: Gallery, bundle: Bundle) -> None:
    """Raise CompatibilityError ``model_mismatch`` when the gallery's voiceprints come from another bundle."""
    if gallery.bundle.id != bundle.id:
        raise CompatibilityError(
            "model_mismatch",
            f"the gallery compares with model {gallery.bundle.id}, the recording would be embedded with "
            f"{bundle.id}; expected one model; leave bundle out or open a gallery of that model.",
        )


def choose_voice_segments(turns: Sequence[DrawnTurn], cluster: int) -> list[Segment]:
    """Return the parts of a cluster's longest turns that stand for its voice, up to 20 s, longest first.

    What is said while others speak is left out where there is anything else.
    """
    clean = [turn.segment for turn in alone(turns) if turn.speaker == cluster]
    if not any(segment.duration_s >= MIN_VOICE_TURN_S for segment in clean):
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
    waveform: Waveform, turns: Sequence[DrawnTurn], embedder: Embedder
) -> tuple[list[int], NDArray[np.float32], list[Quality]]:
    """Return the clusters long enough to compare, by first appearance, their (S, D) unit embeddings, their speech."""
    clusters: list[int] = []
    voices: list[NDArray[np.float32]] = []
    qualities: list[Quality] = []
    for cluster in dict.fromkeys(turn.speaker for turn in turns):
        segments = choose_voice_segments(turns, cluster)
        if not segments:
            continue
        pieces = np.stack([embedder.embed(waveform.slice(segment)) for segment in segments])
        weights = np.asarray([segment.duration_s for segment in segments], dtype=np.float32)
        clusters.append(cluster)
        voices.append(weights @ pieces)
        qualities.append(Quality(net_speech_s=float(weights.sum())))
    stacked = np.stack(voices) if voices else np.zeros((0, embedder.dim), dtype=np.float32)
    return clusters, unit_rows(stacked), qualities


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
    # Being left without a name is worth as much as a name exactly at the threshold.
    gain = np.where(llr >= threshold_llr, llr - threshold_llr + 1e-9, 0.0)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    return {
        int(row): Name(people[place], float(llr[row, place]))
        for row, place in zip(rows, columns, strict=True)
        if gain[row, place] > 0
    }


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
) -> dict[int, Name | Suggestion]:
    """Return the names of the clusters that are people of the gallery with consent to be named.

    A cluster whose best candidate lies in the review band of the profile comes with a suggestion instead.

    Raises:
        CompatibilityError: ``model_mismatch``, the gallery's voiceprints come from another bundle.
    """
    check_same_bundle(gallery, embedder.bundle)
    clusters, voices, qualities = embed_voices(waveform, turns, embedder)
    if not clusters:
        return {}
    candidates = gallery.match(
        voices,
        purpose=PURPOSE,
        profile=profile,
        top=max(MIN_CANDIDATES, len(clusters)),  # fewer could hide the best one-to-one assignment
        bundle_id=embedder.bundle.id,
        qualities=qualities,
        review=True,
    )
    threshold_llr = embedder.bundle.profile(profile).threshold_llr
    names = assign_people(candidates, threshold_llr)
    found = suggest_people(candidates, names, threshold_llr) | names
    return {clusters[row]: name for row, name in found.items()}


def label_turns(turns: Sequence[DrawnTurn], names: Mapping[int, Name | Suggestion]) -> tuple[Turn, ...]:
    """Return turns with people's names, with their LLR, or SPEAKER_00, SPEAKER_01, .. by first appearance.

    A suggestion is kept beside the label and never becomes it.
    """
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
        if turn.speaker not in strangers:
            strangers[turn.speaker] = next(labels)
        labelled.append(
            Turn(turn.segment, strangers[turn.speaker], confidence=turn.confidence, suggestion=name)
        )
    return tuple(labelled)
