"""What a caller may change about clustering, and the task a method is given."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from voxid.diarize.clustering.constraint import find_apart
from voxid.diarize.clustering.voices import Floats, Labels, cluster_means
from voxid.diarize.options import AUTOMATIC, CLUSTERINGS, DiarizeOptions
from voxid.diarize.vbx import VbxOptions
from voxid.errors import CompatibilityError, InputError
from voxid.plda import Plda

if TYPE_CHECKING:
    from voxid.bundle import Bundle

SHORT_S = 30.0
"""Seconds of speech below which ``auto`` is AHC, unless the number is given. Of pieces of 20, 30 and 60 s of tuning
conversations it puts 4.6, 4.8 and 7.8 % of the windows to the wrong speaker, VBx 7.6, 4.7 and 6.2; with the number
given 2.9, 3.7 and 7.4, VBx 2.9, 2.9 and 3.4."""

_TUNED = (AUTOMATIC, "ahc", "k-means", "nme-sc")
"""Methods that use the bundle's joining threshold; the others find theirs in the recording."""


@dataclass(frozen=True)
class ClusterOptions:
    """Which method, and where it stops; what :class:`DiarizeOptions` has as well is documented there.

    Attributes:
        method: ``auto`` or one of :data:`voxid.diarize.options.CLUSTERINGS`.
        threshold: similarity above which clusters join, in the units of the method (cosine or LLR). None finds it in
            the recording, between two Gaussians fitted to the similarities of all pairs.
        same_voice: cosine of their means from which two parts of a graph (``spectral``, ``nme-sc``) are one person.
        min_voice_s: voices with less clean speech do not shape the clusters and are only assigned to them.
        apart_s: two voices of one chunk with this much clean speech each are two people, and are never joined; a
            shorter one may be a slip of the segmentation, and is kept apart only in the last matching.
        vbx: of the method ``vbx``; None takes the values for windows or for local voices, as the voices are.
        resamples: how often half of the voices are clustered again when the confidence is measured.
        seed: of everything drawn.
    """

    method: str = "ahc"
    threshold: float | None = None
    same_voice: float = DiarizeOptions.same_voice
    min_voice_s: float = 0.0
    apart_s: float = 1.0
    min_cluster_s: float = DiarizeOptions.min_cluster_s
    min_cluster_share: float = DiarizeOptions.min_cluster_share
    max_automatic_speakers: int = DiarizeOptions.max_automatic_speakers
    direct_windows: int = DiarizeOptions.direct_windows
    vbx: VbxOptions | None = None
    resamples: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in (AUTOMATIC, *CLUSTERINGS):
            raise InputError(
                "option_invalid",
                f"clustering is {self.method!r}; expected one of {', '.join(CLUSTERINGS)}; change it.",
            )
        seconds = self.min_voice_s, self.apart_s, self.min_cluster_s, self.min_cluster_share
        sound = math.isfinite(sum(seconds)) and min(seconds) >= 0
        if not sound or min(self.max_automatic_speakers, self.direct_windows, self.resamples) < 1:
            raise InputError(
                "option_invalid",
                f"found {self}; expected counts of 1 or more and seconds of 0 or more; change it.",
            )

    @classmethod
    def of(cls, options: DiarizeOptions, threshold: float) -> ClusterOptions:
        """Return what ``options`` say; ``threshold``, the bundle's, goes to the methods it was set for."""
        tuned = options.clustering in _TUNED or options.ahc_threshold is not None
        return cls(
            method=options.clustering,
            threshold=threshold if tuned else None,
            same_voice=options.same_voice,
            min_cluster_s=options.min_cluster_s,
            min_cluster_share=options.min_cluster_share,
            max_automatic_speakers=options.max_automatic_speakers,
            direct_windows=options.direct_windows,
        )

    def settled(self, crowded: bool, speech_s: float, given: bool, plda: Plda | None) -> ClusterOptions:
        """Return the options with a method in place of ``auto``.

        Args:
            crowded: whether chunks hold several voices.
            speech_s: seconds of speech in all.
            given: whether the number of speakers is.
            plda: the bundle's.
        """
        if self.method != AUTOMATIC:
            return self
        short = speech_s < SHORT_S
        if crowded or (short and (plda is None or not given)):
            return replace(self, method="ahc")
        return replace(self, method="nme-sc") if plda is None else replace(self, method="vbx", threshold=None)

    def check_plda(self, plda: Plda | None) -> None:
        """Raise CompatibilityError ``plda_missing`` when the method needs a PLDA and there is none."""
        if plda is None and needs_plda(self.method):
            raise _plda_missing(f"clustering by {self.method}")


def needs_plda(method: str) -> bool:
    """Return whether the method works in the space of a PLDA."""
    return method == "vbx" or method.endswith("plda")


def check_method(options: DiarizeOptions, bundle: Bundle) -> None:
    """Raise CompatibilityError ``plda_missing`` when what ``options`` ask for needs a PLDA the bundle lacks."""
    if bundle.plda is None and needs_plda(options.clustering):
        raise _plda_missing(f"clustering by {options.clustering}")
    if bundle.plda is None and options.resegmentation == "vb":
        raise _plda_missing("resegmentation by vb")


@dataclass(frozen=True, eq=False)
class Task:
    """What a method of clustering is given.

    Attributes:
        embeddings: (K, D) unit rows in order of time.
        weights: (K,) seconds of clean speech.
        chunk: (K,) which chunk each was heard in.
        sure: (K,) which voices forbid that others of their chunk join them.
        items: (K,) the item 0..M-1 each voice belongs to; items are never taken apart.
        least, most: how many speakers may come out; 1 <= least <= most.
        ordered: whether the order in time means something (windows), or several voices share a place.
    """

    embeddings: NDArray[np.float32]
    weights: Floats
    chunk: Labels
    sure: NDArray[np.bool_]
    items: Labels
    least: int
    most: int
    ordered: bool
    options: ClusterOptions
    plda: Plda | None = None

    def take(self, rows: NDArray[np.integer]) -> Task:
        """Return the task of some of the voices, each an item of its own."""
        return replace(
            self,
            embeddings=self.embeddings[rows],
            weights=self.weights[rows],
            chunk=self.chunk[rows],
            sure=self.sure[rows],
            items=np.arange(len(rows)),
        )

    @cached_property
    def _item_means(self) -> tuple[NDArray[np.float32], Floats]:
        return cluster_means(self.embeddings, self.weights, self.items)

    @property
    def means(self) -> NDArray[np.float32]:
        """(M, D) mean of the unit embeddings of each item, not normalised."""
        return self._item_means[0]

    @property
    def item_weights(self) -> Floats:
        """(M,) seconds of each item."""
        return self._item_means[1]

    def apart(self, items: Labels) -> NDArray[np.bool_] | None:
        """Return (M, M) which of any items (K,) are two people; None where every voice has a chunk of its own."""
        return None if self.ordered else find_apart(self.chunk, self.sure, items)

    @property
    def min_weight(self) -> float:
        """Seconds from which a cluster is a speaker."""
        return min(self.options.min_cluster_s, self.options.min_cluster_share * float(self.weights.sum()))

    @property
    def space(self) -> Plda:
        """The PLDA the method works in.

        Raises:
            CompatibilityError: ``plda_missing``.
        """
        if self.plda is None:
            raise _plda_missing(f"clustering by {self.options.method}")
        return self.plda


def _plda_missing(what: str) -> CompatibilityError:
    return CompatibilityError(
        "plda_missing",
        f"{what} needs a PLDA and this bundle brings none; expected a bundle with one; take another bundle, or a "
        "method without.",
    )
