"""Recording -> turns of numbered speakers -> names -> Timeline.

The ends (loading, naming, the timeline) know nothing of the middle: a middle turns a waveform into turns of numbered
speakers. There are three: :mod:`voxid.diarize.combined`, on the segmentation network and windows,
:mod:`voxid.diarize.segmented`, on the network's chunks, and :mod:`voxid.diarize.windowed`, on speech detection alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from voxid.audio import AudioSource, Waveform, load
from voxid.bundle import Bundle, default_bundle
from voxid.decision import DEFAULT_PROFILE
from voxid.diarize import combined, segmented, windowed
from voxid.diarize.clustering import check_method
from voxid.diarize.naming import Found, check_same_bundle, find_names, label_turns
from voxid.diarize.options import DiarizeOptions, SpeakerCount
from voxid.diarize.progress import Progress, part_of
from voxid.diarize.turns import CountedTurns
from voxid.embedding import Embedder, get_embedder
from voxid.timeline import Timeline

if TYPE_CHECKING:
    from voxid.recognize import Gallery

PACK_BEYOND_S = 1800.0
"""Longer recordings are held packed: half an hour is 115 MB of samples."""

_DRAWN: Final = 0.98  # share of the work that is done when there are turns, before they get names


def diarize(
    source: AudioSource,
    *,
    gallery: Gallery | None = None,
    speakers: int | None = None,
    min_speakers: int | None = None,
    max_speakers: int | None = None,
    bundle: Bundle | None = None,
    channel: int | None = None,
    options: DiarizeOptions | None = None,
    progress: Progress | None = None,
) -> Timeline:
    """Return who spoke when. Nothing is stored: no audio, no embedding, no name.

    Args:
        source: path, bytes, binary file, (samples, rate_hz) or Waveform.
        gallery: people to look for; only those whose consent covers ``diarize-name`` are named. Voices it keeps without
            a name get the id they are kept under (`remember` keeps more).
        speakers: exact number of voices; None counts automatically.
        min_speakers: at least so many voices.
        max_speakers: at most so many voices.
        bundle: model bundle; None takes the gallery's, else the default one.
        channel: 0-based channel to use; None averages all.
        options: window lengths, thresholds; None takes the defaults.
        progress: hears the share of the work done, 0 to 1; raise from it to cancel.

    Returns:
        Turns, which overlap where people speak at once, each with the probability that its speaker is heard in it. A
        person of the gallery appears under the gallery's name with ``named=True`` and the LLR of the match; strangers
        are SPEAKER_00, .. by first appearance.

    Raises:
        InputError: ``speaker_count_invalid``, ``profile_unknown``, ``no_speech``, ``audio_too_short`` (under 0.22 s),
            and those of ``voxid.load_audio``.
        CompatibilityError: ``model_mismatch``, the gallery's voiceprints come from another bundle;
            ``plda_missing``, the method of clustering needs a PLDA and the bundle has none.
    """
    count = SpeakerCount.checked(speakers, min_speakers, max_speakers)
    options = options if options is not None else DiarizeOptions()
    if bundle is None:
        bundle = gallery.bundle if gallery is not None else default_bundle()
    check_served(options, bundle, gallery)
    embedder = get_embedder(bundle)
    waveform = load(source, channel=channel, pack_beyond_s=PACK_BEYOND_S)
    found = _find_turns(waveform, embedder, count, options, part_of(progress, 0.0, _DRAWN))
    timeline = name_turns(waveform, found, embedder, gallery, options)
    part_of(progress, _DRAWN, 1.0)(1.0)
    return timeline


def _find_turns(
    waveform: Waveform, embedder: Embedder, count: SpeakerCount, options: DiarizeOptions, progress: Progress
) -> CountedTurns:
    """Return the turns by the middle of the options; how sure a number is was tried for the usual one alone."""
    if options.segmentation == "network":
        return combined.find_turns(waveform, embedder, count, options, progress).count()
    middle = segmented if options.segmentation == "chunks" else windowed
    return CountedTurns(middle.find_turns(waveform, embedder, count, options, progress))


def check_served(options: DiarizeOptions, bundle: Bundle, gallery: Gallery | None = None) -> None:
    """Refuse what the bundle cannot do for these options and this gallery, before a recording is gone through.

    Raises:
        InputError: ``profile_unknown``.
        CompatibilityError: ``model_mismatch``, ``plda_missing``.
    """
    if gallery is not None:
        check_same_bundle(gallery, bundle)
    if gallery is not None or options.profile != DEFAULT_PROFILE:
        bundle.profile(options.profile)
    check_method(options, bundle)


def name_turns(
    waveform: Waveform,
    drawn: CountedTurns,
    embedder: Embedder,
    gallery: Gallery | None,
    options: DiarizeOptions,
) -> Timeline:
    """Return the timeline of numbered speakers with the names that the gallery knows."""
    found = Found()
    if gallery is not None:
        found = find_names(gallery, waveform, drawn.turns, embedder, options.profile)
    return Timeline(
        label_turns(drawn.turns, found.names, found.ids),
        duration_s=waveform.duration_s,
        uri=waveform.uri,
        audio_sha256=waveform.sha256,
        naming=found.naming,
        counted=drawn.counted,
    )
