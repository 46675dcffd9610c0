"""What saves memory on long recordings changes no result: rows centred as they come, tiles, memory given back."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np

from voxid.audio import load
from voxid.bundle import default_bundle
from voxid.diarize import DiarizeOptions, SpeakerCount, combined
from voxid.diarize.clustering.similarity import symmetric
from voxid.diarize.segmentation import default_segmenter
from voxid.diarize.windows import draw_masks, embed_windows, plan_windows
from voxid.embedding import Embedder
from voxid.features import frame_count
from voxid.score import center

MEETING = Path(str(files("voxid") / "data" / "voices" / "meeting.opus"))


def test_windows_are_centred_as_they_come() -> None:
    bundle, waveform = default_bundle(), load(MEETING)
    embedder = Embedder(bundle, threads=1)
    options = DiarizeOptions(chunk_s=3.0, step_s=0.5)
    speech = np.ones(frame_count(12 * 16_000), np.float32)
    windows = plan_windows(speech, options)
    found = embed_windows(waveform, speech, windows, embedder, options)
    first = windows.bounds[windows.bounds[:, 1] <= 300]
    raw = embedder.embed_masks(waveform.samples[: 299 * 160 + 400], draw_masks(first, speech, 0, 300))
    assert np.array_equal(found[: len(first)], center(raw, bundle.mean))


def test_both_halves_become_equal_in_place() -> None:
    matrix = np.random.default_rng(0).standard_normal((1_300, 1_300)).astype(np.float32)
    wanted = np.maximum(matrix, matrix.T)
    assert symmetric(matrix) is matrix
    assert np.array_equal(matrix, wanted)


def test_memory_given_back_changes_nothing() -> None:
    waveform, bundle = load(MEETING), default_bundle()
    embedder, segmenter = Embedder(bundle, threads=1), default_segmenter()
    before = segmenter.segment(waveform.samples), embedder.embed(waveform)
    segmenter.release_memory()
    embedder.release_memory()
    after = segmenter.segment(waveform.samples), embedder.embed(waveform)
    assert np.array_equal(before[0].probability, after[0].probability)
    assert np.array_equal(before[1], after[1])


def test_memory_is_left_to_what_stands_in_front_of_a_session() -> None:
    """What joins the runs of several threads is not asked for a run of its own."""

    class Front:
        def __init__(self, session: object) -> None:
            self.runs = 0

        def run(self, wanted: object, inputs: object) -> list[object]:
            self.runs += 1
            return []

        def get_inputs(self) -> list[object]:
            return []

    fronts: list[Front] = []

    def put_front(session: object) -> Front:
        fronts.append(Front(session))
        return fronts[-1]

    Embedder(default_bundle(), threads=1, through=put_front).release_memory()
    assert [front.runs for front in fronts] == [0]


def test_joining_leaves_what_was_heard_as_it_was() -> None:
    waveform, embedder, options = load(MEETING), Embedder(default_bundle(), threads=1), DiarizeOptions()
    heard = combined.listen(waveform, embedder, options)
    once = combined.join(heard, embedder, SpeakerCount(), options).turns
    more = combined.join(heard, embedder, SpeakerCount(6, 6), options).turns
    assert len({turn.speaker for turn in more}) == 6
    assert combined.join(heard, embedder, SpeakerCount(), options).turns == once
