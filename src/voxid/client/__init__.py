"""The service from Python: `voxid.Client(address, key)`, every call typed, every problem one of voxid's errors.

transport     requests, answers, problems
answers       what calls give back
people        people, consents, enrollments, verify, identify
results       diarizations, corrections, unknown people, watchlists
rights        reviews, disputes, opt-outs, exports, erasure, audit
installation  keys, policy, models
live          calls followed while they go on: samples out, turns in
client        `Client`: all of them together
"""

from __future__ import annotations

from voxid.client.client import Client
from voxid.client.live import CallFormat, LiveCall, LiveTurn

__all__ = ["CallFormat", "Client", "LiveCall", "LiveTurn"]
