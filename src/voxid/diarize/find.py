"""Every moment one person speaks: reference and recording -> occurrences -> is it really that voice?

There are two ways. ``diarization`` finds everybody's turns, overlapping where they speak at once, and keeps those of
the voices that are the person's. ``network`` asks the target-speech network for this one person: it needs no clusters
and hears somebody similar when the person is not there, so what it found is compared with the reference as one voice.
Either way what lies below the threshold of the profile is thrown away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from voxid.audio import AudioSource, Waveform, load
from voxid.backend import Quality
from voxid.bundle import Bundle, default_bundle
from voxid.decision import DEFAULT_PROFILE
from voxid.diarize.clustering import unit_rows
from voxid.diarize.combined import find_turns
from voxid.diarize.naming import PURPOSE, check_same_bundle, choose_voice_segments, embed_voices
from voxid.diarize.options import DiarizeOptions, SpeakerCount
from voxid.diarize.pipeline import PACK_BEYOND_S
from voxid.diarize.progress import Progress, part_of
from voxid.diarize.stitching import SpeakerActivity, draw
from voxid.diarize.target_speech import TargetDetector
from voxid.diarize.turns import DrawnTurn
from voxid.embedding import Embedder, get_embedder
from voxid.errors import InputError
from voxid.recognize.finding import References, references_of
from voxid.recognize.listening import embedding_of, hear
from voxid.speech import QualityPolicy
from voxid.timeline import Timeline, Turn

if TYPE_CHECKING:
    from voxid.recognize import Gallery

__all__ = ["FindOptions", "Findings", "find"]

METHODS: Final = ("diarization", "network")
"""Ways to find a person."""

_DETECTED: Final = 0.97  # share of the work that is done when turns are found, before they are compared


@dataclass(frozen=True)
class FindOptions:
    """How occurrences are drawn.

    Attributes:
        method: one of :data:`METHODS`. The others apply to ``network`` alone, but for the profile.
        threshold: probability from which the person counts as heard. Lower: more is found, more of it is others.
        min_turn_s: shorter occurrences are dropped.
        max_gap_s: pauses up to this long stay inside an occurrence.
        overlap: share of each chunk of 20 s that is heard in the next one too. Larger: slower, steadier.
        profile: threshold profile (false-accept rate) that what was found must pass as one voice.
    """

    method: str = "diarization"
    threshold: float = 0.5
    min_turn_s: float = 0.3
    max_gap_s: float = 0.3
    overlap: float = 0.5
    profile: str = DEFAULT_PROFILE

    def __post_init__(self) -> None:
        limits = {"threshold": (0.0, 1.0), "overlap": (0.0, 0.95)}
        if self.method not in METHODS:
            raise InputError(
                "option_invalid",
                f"method is {self.method!r}; expected one of {', '.join(METHODS)}; change it.",
            )
        for name in (field.name for field in fields(self) if field.name not in ("profile", "method")):
            low, high = limits.get(name, (0.0, math.inf))
            value = getattr(self, name)
            if not (low <= value <= high and math.isfinite(value)):
                raise InputError(
                    "option_invalid",
                    f"{name} is {value}; expected {low:g} to {high:g}; change it.",
                )


@dataclass(frozen=True)
class Findings:
    """What a search through a recording found.

    Args:
        person: who was looked for.
        llr: natural-log likelihood ratio that what was heard is that person, all of it as one voice; None where
            nothing was heard that is long enough to compare.
        threshold_llr: what it takes.
        timeline: every moment the person speaks, each with its probability; no turns where ``present`` is False.
    """

    person: str
    llr: float | None
    threshold_llr: float
    timeline: Timeline

    @property
    def present(self) -> bool:
        """Whether the person is heard at all."""
        return bool(self.timeline.turns)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "person": self.person,
            "present": self.present,
            "llr": None if self.llr is None else round(self.llr, 2),
            "threshold_llr": round(self.threshold_llr, 2),
            "speech_s": round(self.timeline.speech_s(), 2),
            "timeline": self.timeline.to_dict(),
        }


def find(
    who: AudioSource,
    source: AudioSource,
    *,
    gallery: Gallery | None = None,
    bundle: Bundle | None = None,
    channel: int | None = None,
    options: FindOptions | None = None,
    detector: TargetDetector | None = None,
    progress: Progress | None = None,
) -> Findings:
    """Return every moment one person speaks, also while others do. Nothing is stored.

    Args:
        who: with a gallery the name of somebody in it; else a recording of the person alone, 3 s of speech or more
            (less is taken, and finds less).
        source: the recording to look in.
        gallery: where the name is looked up; the person's consent must cover ``diarize-name``.
        bundle: model bundle; None takes the gallery's, else the default one.
        channel: 0-based channel of ``source``; None averages all.
        options: thresholds; None takes the defaults.
        detector: target-speech model, which the method ``network`` needs; none comes with voxid.
        progress: hears the share of the work done, 0 to 1; raise from it to cancel.

    Raises:
        PolicyError: ``consent_missing``, ``consent_expired``, ``opted_out``, all before a recording is opened.
        InputError: ``detector_missing``; ``person_missing``; ``not_enough_speech``, ``no_speech``, ``poor_quality`` of
            the reference; ``audio_too_short``; ``name_expected`` when ``who`` is no name; those of
            ``voxid.load_audio``.
        CompatibilityError: ``model_mismatch``, the model was trained with the embeddings of another bundle, or the
            gallery's voiceprints come from another one.
    """
    options = options if options is not None else FindOptions()
    if bundle is None:
        bundle = gallery.bundle if gallery is not None else default_bundle()
    if options.method == "network":
        if detector is None:
            raise InputError(
                "detector_missing",
                "The method network was asked for without a model, and none comes with voxid; give the folder of one "
                "that was trained by recipes/tsvad-small.yaml, or find by diarization.",
            )
        detector.check_bundle(bundle)
    threshold_llr = bundle.profile(options.profile).threshold_llr
    references = _enrolled(gallery, who, bundle) if gallery is not None else _heard(who, bundle)
    embedder = get_embedder(bundle)
    waveform = load(source, channel=channel, pack_beyond_s=PACK_BEYOND_S)
    if detector is not None and options.method == "network":
        heard = occurrences(waveform, references, embedder, detector, options, progress)
        turns, llr = verified(waveform, heard, references, embedder, threshold_llr)
    else:
        heard = everybody(waveform, embedder, progress)
        turns, llr = turns_of_person(waveform, heard, references, embedder, threshold_llr)
    part_of(progress, _DETECTED, 1.0)(1.0)
    named = gallery is not None
    timeline = Timeline(
        tuple(
            Turn(turn.segment, references.name, named=named, llr=llr, confidence=turn.confidence)
            for turn in turns
        ),
        duration_s=waveform.duration_s,
        uri=waveform.uri,
        audio_sha256=waveform.sha256,
    )
    return Findings(references.name, llr, threshold_llr, timeline)


def occurrences(
    waveform: Waveform,
    references: References,
    embedder: Embedder,
    detector: TargetDetector,
    options: FindOptions,
    progress: Progress | None = None,
) -> list[DrawnTurn]:
    """Return when somebody speaks who sounds like the references; it need not be that person."""
    target = embedder.bundle.backend.side(references.embeddings, references.qualities).vectors
    probability = detector.detect(
        waveform.samples,
        target,
        embedder,
        options.overlap,
        part_of(progress, 0.0, _DETECTED),
    )[0]
    heard: NDArray[np.bool_] = (probability >= options.threshold)[:, None]
    activity = SpeakerActivity(probability[:, None], heard[:, 0].astype(np.float32))
    return draw(heard, activity, waveform.duration_s, options.max_gap_s, options.min_turn_s)


def everybody(waveform: Waveform, embedder: Embedder, progress: Progress | None = None) -> list[DrawnTurn]:
    """Return everybody's turns, none where there is no speech."""
    try:
        return find_turns(
            waveform,
            embedder,
            SpeakerCount(),
            DiarizeOptions(),
            part_of(progress, 0.0, _DETECTED),
        ).turns
    except InputError as error:
        if error.code != "no_speech":
            raise
        return []


def turns_of_person(
    waveform: Waveform,
    turns: list[DrawnTurn],
    references: References,
    embedder: Embedder,
    threshold_llr: float,
) -> tuple[list[DrawnTurn], float | None]:
    """Return the turns of all speakers that reach the threshold, and the LLR of the likeliest.

    A person cut into two speakers is found whole. The LLR is None where nobody speaks for long enough to compare.
    """
    voices = embed_voices(waveform, turns, embedder)
    if not voices.clusters:
        return [], None
    backend = embedder.bundle.backend
    enrolled = backend.side(references.embeddings, references.qualities)
    probes = backend.sides(
        [row[None] for row in voices.embeddings], [[quality] for quality in voices.qualities]
    )
    llrs = backend.compare(enrolled, probes)[1]
    wanted = {
        cluster for cluster, llr in zip(voices.clusters, llrs.tolist(), strict=True) if llr >= threshold_llr
    }
    return [turn for turn in turns if turn.speaker in wanted], float(llrs.max())


def _enrolled(gallery: Gallery, who: AudioSource, bundle: Bundle) -> References:
    if not isinstance(who, str):
        raise InputError(
            "name_expected",
            f"with a gallery, who to find is a name of it, found a {type(who).__name__}; leave the gallery out to "
            "look for the voice of a recording.",
        )
    check_same_bundle(gallery, bundle)
    return references_of(gallery, who, PURPOSE)


def _heard(who: AudioSource, bundle: Bundle) -> References:
    policy, waveform = QualityPolicy(), load(who)
    heard = hear(waveform, bundle, policy, None)
    return References(waveform.uri, embedding_of(heard, policy)[None], [Quality.of(heard.quality)])


def verified(
    waveform: Waveform,
    turns: list[DrawnTurn],
    references: References,
    embedder: Embedder,
    threshold_llr: float,
) -> tuple[list[DrawnTurn], float | None]:
    """Return the turns if they, as one voice, reach the threshold, and that LLR; None with too little of them."""
    segments = choose_voice_segments(turns, 0)
    if not segments:
        return [], None
    spoken_s = np.array([segment.duration_s for segment in segments], np.float32)
    voice = spoken_s @ np.stack([embedder.embed(waveform.slice(segment)) for segment in segments])
    backend = embedder.bundle.backend
    enrolled = backend.side(references.embeddings, references.qualities)
    probe = backend.side(unit_rows(voice[None]), [Quality(net_speech_s=float(spoken_s.sum()))])
    llr = float(backend.compare(enrolled, probe)[1][0])
    return (turns if llr >= threshold_llr else []), llr
