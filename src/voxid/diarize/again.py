"""A recording heard once and joined again: another number of speakers, or another method, takes a moment.

    heard = listen("meeting.wav", gallery=gallery)
    timeline = heard.timeline()
    if len(timeline.speakers) != 5:
        timeline = heard.timeline(speakers=5)

What was heard holds embeddings, which are biometric data of everybody in the recording. It lives in memory and in no
file, and is gone with the object.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from voxid.audio import AudioSource, Waveform, load
from voxid.bundle import Bundle, default_bundle
from voxid.diarize import combined, windowed
from voxid.diarize.clustering import check_method
from voxid.diarize.options import DiarizeOptions, SpeakerCount
from voxid.diarize.pipeline import PACK_BEYOND_S, check_served, name_turns
from voxid.diarize.progress import Progress, part_of
from voxid.diarize.turns import CountedTurns
from voxid.embedding import Embedder, get_embedder
from voxid.errors import InputError
from voxid.timeline import Timeline

if TYPE_CHECKING:
    from voxid.recognize import Gallery

__all__ = ["HeardRecording", "listen"]

Join = Callable[[SpeakerCount, DiarizeOptions], CountedTurns]
"""From bounds and options to turns of numbered speakers, on what was heard."""


@dataclass(frozen=True, eq=False)
class HeardRecording:
    """A recording after the costly part of ``diarize``.

    Attributes:
        waveform: the recording, from which voices are compared with the gallery.
        embedder: of the bundle.
        options: it was heard with.
        gallery: people to look for; None names nobody.
        join: the cheap part.
    """

    waveform: Waveform
    embedder: Embedder
    options: DiarizeOptions
    gallery: Gallery | None
    join: Join

    def timeline(
        self,
        *,
        speakers: int | None = None,
        min_speakers: int | None = None,
        max_speakers: int | None = None,
        clustering: str | None = None,
    ) -> Timeline:
        """Return who spoke when, as ``diarize`` would with these arguments.

        Under a second for an hour of audio; comparing the voices with a gallery comes on top, about half a second for
        each speaker.

        Args:
            speakers, min_speakers, max_speakers: as for ``diarize``.
            clustering: one of the methods; None keeps that of the options.

        Raises:
            InputError: ``speaker_count_invalid``, ``option_invalid``.
            CompatibilityError: ``plda_missing``.
        """
        count = SpeakerCount.checked(speakers, min_speakers, max_speakers)
        options = self.options if clustering is None else replace(self.options, clustering=clustering)
        check_method(options, self.embedder.bundle)
        turns = self.join(count, options)
        return name_turns(self.waveform, turns, self.embedder, self.gallery, options)


def listen(
    source: AudioSource,
    *,
    gallery: Gallery | None = None,
    bundle: Bundle | None = None,
    channel: int | None = None,
    options: DiarizeOptions | None = None,
    progress: Progress | None = None,
) -> HeardRecording:
    """Return a recording that was heard, to be joined as often as one likes; arguments and errors as for ``diarize``.

    Raises:
        InputError: ``option_invalid`` for the segmentation ``chunks``, whose voices are joined only once.
    """
    options = options if options is not None else DiarizeOptions()
    if options.segmentation not in _HEARING:
        raise InputError(
            "option_invalid",
            f"segmentation is {options.segmentation!r}; expected one of {', '.join(_HEARING)} for a recording that is "
            "joined again; change it.",
        )
    if bundle is None:
        bundle = gallery.bundle if gallery is not None else default_bundle()
    check_served(options, bundle, gallery)
    waveform, embedder = load(source, channel=channel, pack_beyond_s=PACK_BEYOND_S), get_embedder(bundle)
    join = _HEARING[options.segmentation](waveform, embedder, options, progress)
    part_of(progress, 0.0, 1.0)(1.0)
    return HeardRecording(waveform, embedder, options, gallery, join)


def _hear_by_network(
    waveform: Waveform,
    embedder: Embedder,
    options: DiarizeOptions,
    progress: Progress | None,
) -> Join:
    heard = combined.listen(waveform, embedder, options, progress)
    return lambda count, changed: combined.join(heard, embedder, count, changed).count()


def _hear_by_detection(
    waveform: Waveform,
    embedder: Embedder,
    options: DiarizeOptions,
    progress: Progress | None,
) -> Join:
    recording = windowed.find_speech(waveform, progress)
    embedded = windowed.embed_recording(recording, embedder, options, progress)
    bundle = embedder.bundle
    return lambda count, changed: CountedTurns(
        windowed.join_windows(recording, embedded, count, changed.threshold_for(bundle), changed, bundle.plda)
    )


_HEARING = {"network": _hear_by_network, "vad": _hear_by_detection}
