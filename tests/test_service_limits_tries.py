"""Rates shared by processes, tries that cannot pass the limit together, recordings known again."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import lfilter

from service_app import Clock
from synthetic_people import new_store, person
from voices import voice
from voxid.gallery.store import Store
from voxid.service.attempts import Attempts, unlock
from voxid.service.limits import Quotas
from voxid.service.problems import TooOftenError
from voxid.service.settings import Limits
from voxid.spoof.fingerprint import NEARLY_SAME, alike, decode, encode, fingerprint

NOBODY: frozenset[str] = frozenset()


def allowed(quotas: Quotas, store: Store, clock: Clock, tries: int, per_min: int) -> int:
    """Return how many of the tries were let through."""
    passed = 0
    for _ in range(tries):
        try:
            quotas.take(store, "t", "key", per_min, clock())
        except TooOftenError:
            continue
        passed += 1
    return passed


def test_a_rate_is_kept_by_two_processes_together(tmp_path: Path) -> None:
    """Two at one gallery let through what one may; the next minute begins anew; the wait is told."""
    store, clock = new_store(tmp_path), Clock()
    first, second = Quotas(), Quotas()
    assert allowed(first, store, clock, 50, 100) == 50
    assert allowed(second, store, clock, 100, 100) == 50
    assert allowed(first, store, clock, 10, 100) == 0
    with pytest.raises(
        TooOftenError, match="More than 100 requests a minute came from here; wait 60 s"
    ) as refused:
        first.take(store, "t", "key", 100, clock())
    assert refused.value.retry_after_s == 60
    clock.pass_s(60)
    assert allowed(first, store, clock, 5, 100) == 5
    assert allowed(first, store, clock, 3, 0) == 3
    store.close()


def test_tries_at_the_same_moment_cannot_pass_the_limit(tmp_path: Path) -> None:
    """Of twenty that all fail, sent at once, exactly as many are decided as may fail."""
    someone = person("Ada", 1)
    store, clock = new_store(tmp_path, someone), Clock()
    attempts = Attempts(replace(Limits(), lockout_failures=4), clock)
    said: Counter[str] = Counter()
    lock = threading.Lock()

    def one_try() -> None:
        try:
            with attempts.trying("t", store, someone.id, NOBODY) as attempt:
                attempt.failed = True
            code = "decided"
        except TooOftenError as error:
            code = error.code
        with lock:
            said[code] += 1

    threads = [threading.Thread(target=one_try) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said["decided"] == 4
    assert said.total() == 20
    unlock(store, someone.id, Limits(), clock())
    with attempts.trying("t", store, someone.id, NOBODY) as attempt:
        attempt.accepted = True
    store.close()


def test_what_was_tried_goes_with_the_person(tmp_path: Path) -> None:
    """Failures and fingerprints are the person's, and erased with them."""
    someone = person("Ada", 1)
    store, clock = new_store(tmp_path, someone), Clock()
    attempts = Attempts(Limits(), clock)
    with attempts.trying("t", store, someone.id, NOBODY) as attempt:
        attempt.failed = True
    assert len(store.documents("attempts", person_id=someone.id)) == 1
    with store.changing() as change:
        change.remove(someone.id)
    assert store.documents("attempts") == []
    store.close()


def changed(samples: np.ndarray) -> dict[str, np.ndarray]:
    """Return the same recording as somebody might play it again."""
    rng = np.random.default_rng(5)
    noise = rng.standard_normal(len(samples)).astype(np.float32)
    noise *= np.sqrt(np.square(samples).mean() / np.square(noise).mean() / 10)
    return {
        "cut": samples[700:-3000],
        "quieter": samples * 0.2,
        "filtered": lfilter([1.0, -0.9], [1.0], samples).astype(np.float32),
        "noisy": samples + noise,
    }


def test_a_recording_is_known_again() -> None:
    """Cut, quieter, filtered, with noise 10 dB under it: the same; another sentence of the same voice: not."""
    samples = voice(6.0, seed=11)
    bits = fingerprint(samples)
    for name, other in changed(samples).items():
        assert alike(bits, fingerprint(other)) < NEARLY_SAME, name
    for seed in (12, 13, 14):
        assert alike(bits, fingerprint(voice(6.0, seed=seed))) > NEARLY_SAME
    assert np.array_equal(decode(encode(bits)), bits)


def test_too_short_to_tell_is_not_called_alike() -> None:
    """Under a second and a half nothing is claimed."""
    bits = fingerprint(voice(1.0, seed=11))
    assert alike(bits, bits) == 1.0
    assert fingerprint(np.zeros(100, np.float32)).shape == (0, 23)
