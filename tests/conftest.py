"""Tests of a gallery run on both engines: a module that says ``BOTH_ENGINES = True`` runs once with files, once with
PostgreSQL, where the path of a file stands for a tenant of the server that VOXID_TEST_POSTGRES names.

``scripts/with_postgres.sh make test`` starts such a server. A test that looks into files is marked ``file_only``.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from voxid.gallery import locations, store
from voxid.gallery.postgres import PostgresAddress
from voxid.recognize import opened

SERVER = os.environ.get("VOXID_TEST_POSTGRES", "")
POSTGRES = pytest.param(
    "postgres",
    marks=pytest.mark.skipif(
        not SERVER, reason="no PostgreSQL; run: scripts/with_postgres.sh python -m pytest"
    ),
)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "file_only: what it looks at is a file, so that it runs on SQLite alone"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if getattr(metafunc.module, "BOTH_ENGINES", False):
        engines = ["sqlite"] if metafunc.definition.get_closest_marker("file_only") else ["sqlite", POSTGRES]
        metafunc.parametrize("engine", engines, indirect=True)


@pytest.fixture(autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Which engine galleries are kept in; on a server, what the test made there is dropped after it."""
    name = getattr(request, "param", "sqlite")
    made: set[PostgresAddress] = set()
    if name == "postgres":
        original = locations.location_of

        def location_of(text: str | Path | PostgresAddress) -> locations.Location:
            place = original(text)
            # A backup is a file on both engines, and what lies in a folder that is not there is refused on both.
            gallery = (
                isinstance(place, Path) and place.suffix == ".voxid" and place.absolute().parent.is_dir()
            )
            if not isinstance(place, Path) or not gallery:
                return place
            made.add(address_for(place))
            return address_for(place)

        monkeypatch.setattr(store, "location_of", location_of)
        monkeypatch.setattr(opened, "location_of", location_of)
        monkeypatch.setenv("VOXID_MASTER_KEY", base64.b64encode(b"a key for tests, of 32 bytes....").decode())
    yield name
    for address in made:
        drop(address)


def address_for(place: Path) -> PostgresAddress:
    """Return the tenant a file stands for."""
    tenant = hashlib.sha256(str(place.absolute()).encode()).hexdigest()[:16]
    return PostgresAddress.parse(f"{SERVER}?tenant=t{tenant}")


def drop(address: PostgresAddress) -> None:
    """Remove a tenant."""
    server = sa.create_engine(sa.make_url(address.url).set(drivername="postgresql+psycopg"))
    with server.begin() as connection:
        connection.execute(sa.schema.DropSchema(address.schema, cascade=True, if_exists=True))
    server.dispose()
