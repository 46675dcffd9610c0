"""A bundle's map of telephone speech, fitted on recordings of training speakers and their copies off lines of 8 kHz.

The map is the affine one with the least squared distance to the embeddings of the wide-band recordings, pulled to
leaving everything as it is. Its cost and use are measured on held-out people, with the calibration and the thresholds
the bundle has; the people reserved for evaluation are not listened to.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxid import audio
from voxid.audio import SAMPLE_RATE_HZ, Waveform
from voxid.backend import Quality
from voxid.bundle import CARD_FILE, NARROW_FILE, Bundle, load_bundle, write_card
from voxid.embedding import Embedder, with_margin
from voxid.errors import InputError
from voxid.evaluate.metrics import cllr, eer
from voxid.features import fbank, frame_count
from voxid.narrowband import without_empty_bands
from voxid.simulate.narrow import LINES, narrow_line
from voxid.speech import detect_speech, measure_quality, speech_mask
from voxid.train.backend import score_trials
from voxid.train.development import HeardSpeech, Recording
from voxid.train.trials import make_trials

Floats = NDArray[np.float32]
Progress = Callable[[str, int, int], None]

_LEAST_S, _LEAST_SPEECH_S = 1.5, 1.0
_LEAST_PAIRS: Final = 100
_SPARE: Final = 3  # recordings of a speaker that may be too short; who only says words is passed over
_FEW_LOW_BANDS: Final = 7  # below 230 Hz: what the narrowest lines leave empty
_VIEWS: Final = ("whole", "telephone")


@dataclass(frozen=True)
class NarrowBandOptions:
    """How a map is fitted.

    Args:
        recordings: of training speakers, two of each.
        copies: lines each of them goes through.
        held_out: recordings of held-out people it is measured on, four of each at most.
        longest_s: of each recording.
        pull: to leaving embeddings as they are, in units of their variance: larger, weaker.
        seed: of every draw.
    """

    recordings: int = 450
    copies: int = 2
    held_out: int = 300
    longest_s: float = 8.0
    pull: float = 0.01
    seed: int = 17


@dataclass(frozen=True, eq=False)
class _Heard:
    """A recording with speech: its samples, its speech as frames, and its own chance."""

    recording: Recording
    waveform: Waveform
    kept: NDArray[np.bool_]
    rng: np.random.Generator


def fit_narrow_band(
    folder: str | Path,
    training: Sequence[Recording],
    held_out: Sequence[Recording],
    options: NarrowBandOptions | None = None,
    progress: Progress = lambda part, done, total: None,
) -> Bundle:
    """Write the map into a bundle, whole or not at all, and return the bundle; its id stays.

    Args:
        folder: the bundle.
        training: utterances of speakers it was trained on.
        held_out: utterances of speakers it was not trained on.
        options: None takes the defaults.
        progress: called with (part, done, in all).

    Raises:
        InputError: ``no_development_speech`` with fewer than 100 usable pairs.
    """
    chosen, bundle = options or NarrowBandOptions(), load_bundle(folder)
    plain = replace(bundle, narrow_band=None)
    heard, wide, speakers = _pairs(Embedder(plain, threads=1), training, chosen, progress)
    matrix, shift = fit_map(heard, wide, chosen.pull)
    fitted_on = {"speakers": speakers, "pairs": len(wide), "lines": list(LINES), "options": asdict(chosen)}
    with tempfile.TemporaryDirectory(dir=bundle.path.parent) as work:
        draft = Path(work) / "bundle"
        shutil.copytree(bundle.path, draft)
        np.savez_compressed(draft / NARROW_FILE, matrix=matrix, shift=shift)
        write_card(draft, {**bundle.card, "narrow_band": {"fitted_on": fitted_on}})
        measured = _measure((plain, load_bundle(draft)), held_out, chosen, progress)
        write_card(draft, {**bundle.card, "narrow_band": {"fitted_on": fitted_on, "held_out": measured}})
        load_bundle(draft)
        for name in (NARROW_FILE, CARD_FILE):
            (draft / name).replace(bundle.path / name)
    return load_bundle(folder)


def fit_map(heard: Floats, wide: Floats, pull: float) -> tuple[Floats, Floats]:
    """Return the matrix (D, D) and shift (D,) that bring ``heard`` (N, D) nearest to ``wide`` (N, D).

    Least squares with the cost ``pull`` N |matrix - 1|^2; the shift is free.
    """
    x, y = heard.astype(np.float64), wide.astype(np.float64)
    x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
    x, y = x - x_mean, y - y_mean
    unit = np.eye(x.shape[1])
    more = np.linalg.solve(x.T @ x / len(x) + pull * unit, x.T @ (y - x) / len(x)).T
    matrix = unit + more
    return matrix.astype(np.float32), (y_mean - matrix @ x_mean).astype(np.float32)


def _pairs(
    embedder: Embedder, training: Sequence[Recording], options: NarrowBandOptions, progress: Progress
) -> tuple[Floats, Floats, int]:
    """Return embeddings (N, D) off lines, those of the same speech by microphone, and how many speakers there are."""
    heard: list[Floats] = []
    wide: list[Floats] = []
    speakers = set()
    for done, one in enumerate(_listen(training, options, 2, options.recordings), start=1):
        frames = _frames(one.waveform.samples, one)
        original = embedder.embed_frames(frames)
        for line in one.rng.choice(LINES, options.copies, replace=False):
            copy = _frames(narrow_line(one.waveform.samples, str(line), one.rng), one)
            # Speech of soft lines as if they were sharp, too: it is then what the sharpest lines leave of it.
            for low_bands in (None, _FEW_LOW_BANDS):
                heard.append(embedder.embed_frames(without_empty_bands(copy, low_bands)))
                wide.append(original)
        speakers.add(one.recording.speaker)
        progress("pairs", done, options.recordings)
    if len(wide) < _LEAST_PAIRS:
        raise InputError(
            "no_development_speech",
            f"the training speech gives {len(wide)} pairs of a recording and its copy off a line; a map needs "
            f"{_LEAST_PAIRS}. Check the corpora.",
        )
    return np.stack(heard), np.stack(wide), len(speakers)


def _listen(
    recordings: Sequence[Recording], options: NarrowBandOptions, most_each: int, most: int
) -> Iterator[_Heard]:
    """Yield the first seconds of recordings with enough speech, speaker after speaker in a random order."""
    by_speaker: dict[str, list[Recording]] = {}
    rng = np.random.default_rng(options.seed)
    for at in rng.permutation(len(recordings)):
        by_speaker.setdefault(recordings[int(at)].speaker, []).append(recordings[int(at)])
    found, names = 0, sorted(by_speaker)
    for at in rng.permutation(len(names)):
        of_speaker = 0
        for recording in by_speaker[names[int(at)]][: most_each + _SPARE]:
            if of_speaker == most_each or found == most:
                break
            heard = _heard(recording, options)
            if heard is not None:
                of_speaker, found = of_speaker + 1, found + 1
                yield heard


def _heard(recording: Recording, options: NarrowBandOptions) -> _Heard | None:
    """Return a recording with speech worth listening to; None for any other."""
    try:
        whole = audio.load(recording.path)
    except InputError:
        return None
    if whole.duration_s < _LEAST_S:
        return None
    samples = whole.samples[: round(options.longest_s * SAMPLE_RATE_HZ)]
    waveform = Waveform(samples, whole.uri, whole.sha256, whole.source_rate_hz)
    regions = detect_speech(waveform)
    if sum(region.duration_s for region in regions) < _LEAST_SPEECH_S:
        return None
    kept = with_margin(speech_mask(regions, frame_count(samples.size))) > 0
    words = hashlib.sha256(f"{options.seed}:{whole.sha256}".encode()).digest()
    return _Heard(recording, waveform, kept, np.random.default_rng(list(words)))


def _frames(samples: Floats, heard: _Heard) -> Floats:
    return fbank(samples)[heard.kept]


def _measure(
    bundles: tuple[Bundle, Bundle],
    held_out: Sequence[Recording],
    options: NarrowBandOptions,
    progress: Progress,
) -> dict[str, Any]:
    """Return, by condition and without and with the map, EER, Cllr and the rates at the bundle's thresholds."""
    embedders = [Embedder(bundle, threads=1) for bundle in bundles]
    recordings: list[Recording] = []
    rows: list[tuple[int, str, list[Floats], Quality]] = []
    for done, one in enumerate(_listen(held_out, options, 4, options.held_out), start=1):
        line = str(one.rng.choice(LINES))
        views = [one.waveform.samples, narrow_line(one.waveform.samples, line, one.rng)]
        recordings.append(one.recording)
        for name, samples in zip(_VIEWS, views, strict=True):
            waveform = Waveform(samples, one.waveform.uri, "", SAMPLE_RATE_HZ)
            regions = detect_speech(waveform)
            quality = measure_quality(waveform, regions)
            if quality.net_speech_s >= _LEAST_SPEECH_S:
                vectors = [embedder.embed(waveform, regions) for embedder in embedders]
                rows.append((done - 1, name, vectors, Quality.of(quality)))
        progress("held-out speech", done, options.held_out)
    names = np.array([name for _, name, _, _ in rows])
    speech = [
        HeardSpeech(
            recordings,
            np.array([at for at, _, _, _ in rows], dtype=np.int64),
            names,
            np.stack([vectors[which] for _, _, vectors, _ in rows]),
            tuple(quality for _, _, _, quality in rows),
            {},
        )
        for which in range(2)
    ]
    people = len({recording.speaker for recording in recordings})
    unmapped, mapped = (_rates(bundle, of) for bundle, of in zip(bundles, speech, strict=True))
    return {"speakers": people, "recordings": len(recordings), "without": unmapped, "with": mapped}


def _rates(bundle: Bundle, speech: HeardSpeech) -> dict[str, Any]:
    """Return condition -> measures, each the mean over corpora."""
    trials = make_trials(speech, _VIEWS)
    scored = score_trials(bundle.backend, speech, trials)
    llrs = bundle.calibration.llr(scored.scores, scored.measured)
    found: dict[str, list[dict[str, float]]] = {}
    for _, condition, rows in trials.cells():
        target, other = llrs[rows & trials.is_target], llrs[rows & ~trials.is_target]
        if min(target.size, other.size) < 50:
            continue
        of = {"eer_percent": 100 * eer(target, other), "cllr": cllr(target, other)}
        for profile in bundle.profiles.values():
            of[f"far_percent@{profile.name}"] = 100 * float((other >= profile.threshold_llr).mean())
            of[f"frr_percent@{profile.name}"] = 100 * float((target < profile.threshold_llr).mean())
        found.setdefault(trials.conditions[condition], []).append(of)
    return {
        name: {key: round(float(np.mean([of[key] for of in every])), 3) for key in every[0]}
        for name, every in found.items()
    }
