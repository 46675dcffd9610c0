"""What a caller may change about diarization, and the speaker counts a caller may demand."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from voxid.errors import InputError

if TYPE_CHECKING:
    from voxid.bundle import Bundle

DEFAULT_AHC_THRESHOLD = 0.29
"""Mean cosine above which two clusters join when the bundle's card names no ``diarization.ahc_threshold``.

Set for ecapa-small between the best values of two draws of 140 stitched conversations of held-out speakers
(``scripts/tune_diarization.py``): 0.30 on the draw the other options were chosen on (seeds 20 and 21), 0.275 on
a fresh one (seed 22; the same pool of speakers). Another bundle needs its own; that of ecapa-base, 0.24, lies between
the best two of 0.05 to 0.6 on 100 such conversations (seed 20).
"""

CLUSTERINGS = (
    "ahc",
    "ahc-complete",
    "ahc-centroid",
    "ahc-plda",
    "ahc-complete-plda",
    "ahc-centroid-plda",
    "spectral",
    "nme-sc",
    "vbx",
    "k-means",
)
"""Names of the methods that join voices into speakers: see :mod:`voxid.diarize.clustering`."""

SEGMENTATIONS = ("network", "chunks", "vad")
"""How turns are found: speech and overlap by the segmentation network with voices told apart by windows
(:mod:`voxid.diarize.combined`) or by the network's own chunks (:mod:`voxid.diarize.segmented`), or by speech detection
alone (:mod:`voxid.diarize.windowed`)."""

AUTOMATIC = "auto"
"""The method that suits: AHC for little speech and for the voices of chunks, else VBx, or NME-SC where the bundle has
no PLDA."""

MAX_SPEAKERS = 100
"""More voices than this in one recording is taken for a slip of the keyboard."""


@dataclass(frozen=True)
class DiarizeOptions:
    """How ``diarize`` cuts, joins and smooths; the defaults are tuned by ``scripts/tune_diarization.py``.

    Attributes:
        window_s: length of the window one embedding is pooled over. Longer: steadier embeddings, blurred
            turns; shorter: sharper turns, more false speakers.
        step_s: distance between windows. Smaller: finer change points, more masks per graph pass.
        cluster_every: every how many-th window is clustered; all of them vote afterwards. Larger: less
            time and memory, fewer views of a rare speaker.
        min_window_speech_s: windows with less speech are left out of the clustering and only assigned
            afterwards. Larger: cleaner clusters, but a speaker of short answers may be missed.
        chunk_s: audio that goes through the graph at once. Larger: more memory. Smaller: worse embeddings,
            because the mean of each chunk's features is taken away, and the mean of a few seconds is the voice:
            equal error rate of pairs of windows 20.3 % at 20 s, 15.8 at 60, 14.2 at 120, and 12.7 with the
            mean of the whole recording (14 tuning conversations, mean over all frames).
        bridge_s: pauses up to this long do not interrupt a window. Larger: longer windows in hesitant
            speech, but more windows with two voices.
        ahc_threshold: mean cosine (after centring) above which two clusters join. Higher: more speakers;
            lower: fewer. None takes the bundle's own (its card's ``diarization.ahc_threshold``).
        min_cluster_s: a cluster with less speech (and under ``min_cluster_share`` of it all) is no speaker of
            its own; its windows go to the nearest one. Larger: fewer invented speakers, guests with one
            sentence disappear.
        min_cluster_share: the part of all speech that always suffices to be a speaker, so that short
            recordings keep theirs.
        max_automatic_speakers: upper end of the automatic count when no maximum is given.
        switch_penalty: what a change of speaker must gain, in cosine x seconds. Larger: fewer and longer
            turns, short answers swallowed.
        resegment_rounds: how often windows are voted again against the centroids of the last vote.
        min_turn_s: a turn shorter than this inside a stretch of speech is given to its neighbour.
        max_gap_s: pauses of one speaker up to this long, with nobody between, stay inside the turn.
        profile: threshold profile (false-accept rate) a name must pass.
        direct_windows: up to this many windows are clustered at once; beyond, in two levels. Memory of the
            clustering is 4 bytes x the square of this.
        same_voice: cosine of their means from which two parts found by ``spectral`` or ``nme-sc`` are one person.
            Higher: more speakers, also of one voice on two channels.
        clustering: how windows become speakers, :data:`AUTOMATIC` or one of :data:`CLUSTERINGS`; those that end in
            plda, and vbx, need a bundle with a PLDA.
        resegmentation: how turns are drawn after the clustering: ``viterbi`` by the cosine with the centroids,
            ``vb`` by the Bayesian model of VBx over all windows, which needs a bundle with a PLDA.
        threads: chunks embedded at the same time, and threads of the segmentation network.
        segmentation: one of :data:`SEGMENTATIONS`.
        sure_count: voices heard, on average over chunks, from which there is speech next to detected speech.
        sure_within_s: how far from detected speech that is. Larger: quiet words are found, and noise is taken for them.
        overlap_count: voices heard at once, on average over chunks, from which two speak; with ``network``.
        min_purity: windows less of whose speech is one local voice shape no cluster; with ``network``.
        path_share: how far the path of the windows is believed against the voices of the chunks, in [0, 1]; with
            ``network``.
        apart_margin: most cosine a voice may lose where another voice of its chunk has its speaker, and it is given to
            another; 0 leaves windows joined without regard to chunks; with ``network``. On the tuning conversations
            no margin is better than none, and 2, which always moves, is worse (``docs/experiments.md``).
    """

    window_s: float = 1.5
    step_s: float = 0.25
    cluster_every: int = 3
    min_window_speech_s: float = 0.75
    chunk_s: float = 120.0
    bridge_s: float = 0.25
    ahc_threshold: float | None = None
    min_cluster_s: float = 6.0
    min_cluster_share: float = 0.1
    max_automatic_speakers: int = 20
    switch_penalty: float = 0.05
    resegment_rounds: int = 2
    min_turn_s: float = 0.3
    max_gap_s: float = 0.3
    profile: str = "far_1pct"
    direct_windows: int = 3000
    same_voice: float = 0.66
    clustering: str = AUTOMATIC
    resegmentation: str = "viterbi"
    threads: int = 2
    segmentation: str = "network"
    sure_count: float = 0.97
    sure_within_s: float = 0.2
    overlap_count: float = 1.4
    min_purity: float = 0.8
    path_share: float = 0.6
    apart_margin: float = 0.0

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            value = getattr(self, name)
            if not math.isfinite(value) or value <= 0:
                raise InputError(
                    "option_invalid", f"{name} is {value}; expected a positive number; change it."
                )
        for name in _NOT_NEGATIVE:
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0:
                raise InputError("option_invalid", f"{name} is {value}; expected 0 or more; change it.")
        if self.window_s < 0.2 or self.step_s > self.window_s or self.chunk_s < 2 * self.window_s:
            raise InputError(
                "option_invalid",
                f"window_s {self.window_s}, step_s {self.step_s}, chunk_s {self.chunk_s} do not fit; "
                "expected window_s >= 0.2, step_s <= window_s and chunk_s >= 2 window_s; change them.",
            )
        if self.ahc_threshold is not None and not -1 <= self.ahc_threshold <= 1:
            raise InputError(
                "option_invalid",
                f"ahc_threshold is {self.ahc_threshold}; expected a cosine in [-1, 1]; change it.",
            )

        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise InputError(
                    "option_invalid",
                    f"{name} is {getattr(self, name)!r}; expected one of {', '.join(allowed)}; change it.",
                )

    def threshold_for(self, bundle: Bundle) -> float:
        """Return the joining threshold: this option, else the card's, else ``DEFAULT_AHC_THRESHOLD``."""
        if self.ahc_threshold is not None:
            return self.ahc_threshold
        tuned = bundle.card.get("diarization")
        if isinstance(tuned, dict) and "ahc_threshold" in tuned:
            return float(tuned["ahc_threshold"])
        return DEFAULT_AHC_THRESHOLD


_CHOICES = {
    "clustering": (AUTOMATIC, *CLUSTERINGS),
    "segmentation": SEGMENTATIONS,
    "resegmentation": ("viterbi", "vb"),
}
_POSITIVE = [
    "window_s",
    "step_s",
    "cluster_every",
    "chunk_s",
    "max_automatic_speakers",
    "resegment_rounds",
    "direct_windows",
    "threads",
]
_NOT_NEGATIVE = [
    field.name
    for field in fields(DiarizeOptions)
    if field.name not in {*_POSITIVE, *_CHOICES, "ahc_threshold", "profile"}
]


@dataclass(frozen=True)
class SpeakerCount:
    """How many speakers a caller allows: at least ``least``, at most ``most`` (None: automatic)."""

    least: int = 1
    most: int | None = None

    @classmethod
    def checked(
        cls, speakers: int | None = None, min_speakers: int | None = None, max_speakers: int | None = None
    ) -> SpeakerCount:
        """Return the bounds that the three arguments mean together.

        Raises:
            InputError: ``speaker_count_invalid`` when one is below 1 or above 100, when the minimum exceeds
                the maximum, or when an exact count contradicts them.
        """
        named = {"speakers": speakers, "min_speakers": min_speakers, "max_speakers": max_speakers}
        for name, value in named.items():
            if value is not None and not 1 <= value <= MAX_SPEAKERS:
                raise InputError(
                    "speaker_count_invalid",
                    f"{name} is {value}; expected 1 to {MAX_SPEAKERS}; leave it out to count automatically.",
                )
        least = speakers or min_speakers or 1
        most = speakers or max_speakers
        inside = speakers is None or (min_speakers or 1) <= speakers <= (max_speakers or speakers)
        if not inside or (most is not None and least > most):
            given = ", ".join(f"{name} {value}" for name, value in named.items() if value is not None)
            raise InputError(
                "speaker_count_invalid",
                f"{given} contradict each other; expected min <= max; give one of them.",
            )
        return cls(least, most)

    def check_enough(self, n_windows: int) -> None:
        """Raise InputError ``speaker_count_invalid`` when there are fewer windows than speakers asked for."""
        if self.least > n_windows:
            raise InputError(
                "speaker_count_invalid",
                f"the recording has {n_windows} window(s) of speech; expected at least one for each of "
                f"{self.least} speakers; ask for fewer or leave the count out.",
            )
