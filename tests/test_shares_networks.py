"""The networks of the service: joined without changing a result, bounded, and warm."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from voices import voice
from voxid.audio import Waveform
from voxid.bundle import default_bundle
from voxid.embedding import Embedder, get_embedder
from voxid.errors import PolicyError
from voxid.service.inference import Inference, InferenceOptions
from voxid.service.problems import STATUS_OF


def spoken(seconds: float, seed: int) -> Waveform:
    return Waveform(voice(seconds, seed)[: round(16_000 * seconds)], f"voice {seed}", "", 16_000)


@pytest.fixture(scope="module")
def inference() -> Iterator[Inference]:
    shared = Inference(default_bundle(), InferenceOptions(workers=1, gather_ms=20.0))
    shared.start()
    yield shared
    shared.close()


def test_joined_requests_are_answered_as_single_ones(inference: Inference) -> None:
    """Eight threads, four lengths: fewer runs than requests, and each gets its own voice's embedding."""
    waveforms = [spoken(1.0 + 0.25 * (seed % 2), seed) for seed in range(8)]
    alone = Embedder(default_bundle(), threads=1)
    before = inference.runs.batches
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(inference.voice, waveforms))
    assert inference.runs.batches - before < len(waveforms)
    for waveform, embedding in zip(waveforms, found, strict=True):
        np.testing.assert_allclose(embedding, alone.embed(waveform), atol=1e-5)


def test_the_verbs_use_the_same_workers(inference: Inference) -> None:
    assert get_embedder(default_bundle()) is inference.embedder


def test_one_bad_input_harms_no_other(inference: Inference) -> None:
    """Runs that are joined with one the graph cannot take are run by themselves."""
    graph = inference.segmenter
    good = np.zeros((1, 100, 80), np.float32)
    outcomes: list[object] = []

    def ask(features: np.ndarray) -> None:
        try:
            outcomes.append(graph.activity(features).shape)
        except Exception as error:
            outcomes.append(type(error).__name__)

    threads = [
        threading.Thread(target=ask, args=(x,)) for x in (good, np.zeros((1, 100, 3), np.float32), good)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count((1, 50, 4)) == 2
    assert len(outcomes) == 3


def test_more_than_can_wait_is_refused_at_once() -> None:
    """With no worker nobody is served: two may wait, the third is told to come again, and closing frees the two."""
    shared = Inference(default_bundle(), InferenceOptions(most_waiting=2))
    codes: list[str] = []

    def ask() -> None:
        try:
            shared.voice(spoken(0.5, 1))
        except PolicyError as error:
            codes.append(error.code)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    while shared.waiting < 2:
        threading.Event().wait(0.01)
    with pytest.raises(PolicyError, match="2 requests wait for the networks already") as caught:
        shared.voice(spoken(0.5, 1))
    assert caught.value.code == "overloaded"
    assert STATUS_OF["overloaded"] == 503
    assert codes == []
    shared.close()
    for thread in threads:
        thread.join(10)
    assert codes == ["overloaded", "overloaded"]
    assert shared.runs.refused == 1


def test_a_service_that_ended_leaves_nothing_behind() -> None:
    shared = Inference(default_bundle(), InferenceOptions(workers=1))
    shared.start()
    shared.close()
    assert get_embedder(default_bundle()) is not shared.embedder
