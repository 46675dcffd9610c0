"""The service over a PostgreSQL server: each tenant a schema, one master key, the same answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import SERVER, drop
from service_app import clips, running
from voxid.errors import CompatibilityError, InputError
from voxid.gallery.postgres import PostgresAddress

pytestmark = pytest.mark.skipif(
    not SERVER, reason="no PostgreSQL; run: scripts/with_postgres.sh python -m pytest"
)
TENANTS = ("service-one", "service-two")


@pytest.fixture(autouse=True)
def no_tenants() -> Iterator[None]:
    """Remove what this test makes, before and after it."""
    addresses = [replace(PostgresAddress.parse(SERVER), tenant=tenant) for tenant in TENANTS]
    for address in addresses:
        drop(address)
    yield
    for address in addresses:
        drop(address)


def test_tenants_of_a_server_live_beside_each_other(tmp_path: Path) -> None:
    """Enroll, verify, refuse a replay and a stranger's id; after a restart everything is there."""
    with running(tmp_path, database=SERVER) as house:
        ours, theirs = (house.client(tenant) for tenant in TENANTS)
        assert {*TENANTS} <= {*house.service.tenants.ids()}
        ada = ours.enroll("Ada", clips("ada", 1, 2), {"verify"}, "signed form 17").person_id
        assert ours.verify(ada, clips("ada", 3)[0])
        with pytest.raises(InputError, match="There is no person of this id"):
            theirs.verify(ada, clips("ada", 4)[0])
        text = house.key(TENANTS[0])
    with running(tmp_path, database=SERVER) as house:
        again = type(ours)("http://testserver", text, http=house.http)
        assert again.verify(ada, clips("ada", 5)[0])
        with pytest.raises(CompatibilityError, match="This very recording was heard before"):
            again.verify(ada, clips("ada", 3)[0])
