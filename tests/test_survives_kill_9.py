"""A process killed in the middle of enroll, renew, delete or import leaves every person whole or absent.

`bench/reliability.py kill` does the same five hundred times.
"""

from __future__ import annotations

from pathlib import Path

from killed_workers import kill_rounds, write_exports
from synthetic_people import new_store, person
from voxid.gallery.store import Store

ROUNDS = 16


def test_leaves_people_whole_or_absent(tmp_path: Path) -> None:
    """Acknowledged is there (or gone), unacknowledged is whole or wholly absent, and the audit log is unbroken."""
    store = new_store(tmp_path, person("the first", 1))
    store.start_audit()
    store.close()
    write_exports(tmp_path, ROUNDS)
    tally = kill_rounds(str(store.path), tmp_path, ROUNDS, seed=17)
    assert sum(tally.hit.values()) > ROUNDS // 4, "kills should hit changes in progress"
    store = Store.open(store.path, create=False)
    store.check()
    report = store.audit().verify()
    assert report.problem is None, report
    store.close()
