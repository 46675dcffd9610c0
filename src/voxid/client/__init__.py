"""The service from Python: `voxid.Client(address, key)`, every call typed, every problem one of voxid's errors.

transport     requests, answers, problems
answers       what calls give back
people        people, consents, enrollments, verify, identify
installation  keys, policy, models
client        `Client`: all of them together
"""

from __future__ import annotations

from voxid.client.client import Client

__all__ = ["Client"]
