"""/healthz and /readyz: the process lives; models, stores, disk and audit logs are as they must be."""

from __future__ import annotations

from pathlib import Path

import pytest

from served import Served, serving
from voxid.errors import StoreError
from voxid.gallery.store import Store
from voxid.service.settings import OperationsSettings

AT_ONCE = OperationsSettings(ready_for_s=0.0)


def test_a_service_that_can_work_is_ready(tmp_path: Path) -> None:
    """Nobody signs in; the answer names the checks and nothing else."""
    with serving(tmp_path) as served:
        nobody = {"Authorization": ""}
        assert served.http.get("/healthz", headers=nobody).json() == {"status": "ok"}
        answer = served.http.get("/readyz", headers=nobody)
        assert answer.status_code == 200
        checks = dict.fromkeys(("models", "store", "disk", "audit"), "ok")
        assert answer.json() == {"status": "ready", "checks": checks}


def test_a_full_disk_is_not_ready(tmp_path: Path) -> None:
    """With less free space than the settings want; the process still lives."""
    with serving(tmp_path, operations=OperationsSettings(min_free_bytes=1 << 60)) as served:
        answer = served.http.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (503, "not_ready")
        assert answer.json()["checks"]["disk"] == "disk_full"
        assert served.http.get("/healthz").status_code == 200
        assert 'voxid_ready{check="disk"} 0.0' in served.http.get("/metrics").text


def refused(*_: object) -> None:
    raise StoreError("store_readonly", "The gallery cannot be written to.")


@pytest.mark.parametrize(("broken", "check"), [("changing", "store"), ("audit", "audit")])
def test_a_store_that_refuses_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, check: str
) -> None:
    """The code of what is wrong is told, and the service is ready again when it is gone."""
    with serving(tmp_path, operations=AT_ONCE) as served:
        with monkeypatch.context() as patched:
            patched.setattr(Store, broken, refused)
            answer = served.http.get("/readyz")
            assert (answer.status_code, answer.json()["checks"][check]) == (503, "store_readonly")
        assert served.http.get("/readyz").status_code == 200


def test_a_log_that_became_shorter_is_not_ready(tmp_path: Path) -> None:
    """Somebody put an older gallery in place of this one."""
    with serving(tmp_path, operations=AT_ONCE) as served:
        assert served.http.get("/readyz").status_code == 200
        _remember_longer_log(served)
        assert served.http.get("/readyz").json()["checks"]["audit"] == "audit_shorter"


def _remember_longer_log(served: Served) -> None:
    sizes = served.http.app.state.operations.health.log_sizes  # type: ignore[attr-defined]
    sizes.update({tenant: size + 1000 for tenant, size in sizes.items()})


def test_an_answer_holds_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks often does not keep the disk busy."""
    with serving(tmp_path, operations=OperationsSettings(ready_for_s=600.0)) as served:
        assert served.http.get("/readyz").status_code == 200
        monkeypatch.setattr(Store, "changing", refused)
        assert served.http.get("/readyz").status_code == 200
