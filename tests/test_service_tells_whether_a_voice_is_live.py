"""Spoof checks at the service: asked by themselves, within verify and identify as the tenant's policy has it, counted."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("onnx", reason="needs the train extra: pip install 'voxid[train]'")

from level_detector import SPOOF_GAIN, SUSPICIOUS_GAIN, write_detector
from served import Served, clip, serving
from voxid.audio import SAMPLE_RATE_HZ, load
from voxid.client import Client
from voxid.service.settings import Limits


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Replays are let through, so that one recording serves many tests."""
    folder = tmp_path_factory.mktemp("served")
    detector = write_detector(folder / "detector")
    with serving(folder, limits=Limits(replay_days=0, lockout_failures=3), detector=detector) as running:
        yield running


@pytest.fixture(scope="module")
def ada(served: Served) -> str:
    return served.enroll("Ada", "ada", 1, 2, 3)


def flac(samples: np.ndarray) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_24")
    return file.getvalue()


def said(gain: float = 1.0, seconds: float | None = None) -> bytes:
    """Ada's voice, at a level the detector of these tests takes for genuine, suspicious, or a spoof."""
    samples = load(clip("ada", 4)).samples
    return flac(gain * samples[: None if seconds is None else round(seconds * SAMPLE_RATE_HZ)])


def policy(served: Served, **changes: str) -> None:
    now = served.call("GET", "/policies")
    served.call("PUT", "/policies", json={**now, **changes})


def verified(served: Served, person: str, body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = served.call("POST", f"/people/{person}/verifications", content=body)
    return found


def acts(served: Served, act: str) -> list[Any]:
    return [one.entry for one in served.tenant.store.audit().events() if one.entry.act == act]


@pytest.mark.parametrize(
    ("gain", "seconds", "outcome"),
    [
        (1.0, None, "genuine"),
        (SUSPICIOUS_GAIN, None, "suspicious"),
        (SPOOF_GAIN, None, "spoof"),
        (1.0, 0.6, "cannot_tell"),
    ],
)
def test_a_recording_is_checked(served: Served, gain: float, seconds: float | None, outcome: str) -> None:
    """Each outcome with its reason, its pieces over time, and an entry in the audit log that names nobody."""
    body = said(gain, seconds)
    found = served.call("POST", "/spoof-checks", content=body)
    assert found["outcome"] == outcome
    assert found["reason"]
    assert found["model_id"].startswith("level@")
    assert (found["llr"] is None) == (outcome == "cannot_tell") == (found["pieces"] == [])
    assert all(0 <= one["start_s"] < one["end_s"] <= found["duration_s"] + 0.01 for one in found["pieces"])
    entry = acts(served, "spoof.checked")[-1]
    assert entry.outcome == outcome
    assert entry.facts["audio_sha256"] == found["audio_sha256"]
    assert entry.person is None
