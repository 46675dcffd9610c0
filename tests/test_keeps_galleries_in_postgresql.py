"""A gallery on a PostgreSQL server: tenants apart, one writer, erased for real, every failure in the error tree."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from conftest import SERVER, drop
from synthetic_people import names, person, put, remove
from voxid.errors import ConfigError, InputError, StoreError
from voxid.gallery import postgres
from voxid.gallery.backup import back_up, restore
from voxid.gallery.documents import Document
from voxid.gallery.postgres import PostgresAddress
from voxid.gallery.store import Store
from voxid.recognize import Gallery

KEY = b"another key for tests, 32 bytes."
needs_server = pytest.mark.skipif(
    not SERVER, reason="no PostgreSQL; run: scripts/with_postgres.sh python -m pytest"
)


@dataclass
class Server:
    """What a test asks of the server, past our own code."""

    address: str

    def run(self, *statements: str) -> list[tuple[object, ...]]:
        """Run statements in the tenant's schema, each by itself; returns the rows of the last."""
        parsed = PostgresAddress.parse(self.address)
        url = sa.make_url(parsed.url).set(drivername="postgresql+psycopg")
        engine = sa.create_engine(
            url,
            isolation_level="AUTOCOMMIT",
            connect_args={"options": f"-csearch_path={parsed.schema}"},
        )
        with engine.connect() as connection:
            for statement in statements:
                result = connection.exec_driver_sql(statement)
            rows = [tuple(row) for row in result] if result.returns_rows else []
        engine.dispose()
        return rows


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    tenant = f"{SERVER}?tenant=own-{os.getpid()}"
    yield Server(tenant)
    for address in (tenant, f"{tenant}-2"):
        drop(PostgresAddress.parse(address))


def opened(server: Server, *people: str) -> Store:
    store = Store.open(server.address, key=KEY)
    put(store, *(person(name, seed) for seed, name in enumerate(people, 1)))
    return store


@needs_server
def test_a_gallery_opens_by_its_address(server: Server) -> None:
    """Made with the first person, found again with its key, empty for nobody else."""
    assert not PostgresAddress.parse(server.address).exists()
    with Gallery.open(server.address, key=KEY) as gallery:
        assert not gallery.exists()
        put(gallery.stored()[0], person("Alice", 1))
        assert gallery.exists()
    with Gallery.open(server.address, key=KEY, create=False) as gallery:
        assert [each.name for each in gallery.people()] == ["Alice"]
    with pytest.raises(StoreError, match="is not the key of the tenant own-"):
        Gallery.open(server.address, key=b"x" * 32)
    with pytest.raises(
        InputError, match=r"There is no gallery at postgresql://127\.0\.0\.1/postgres\?tenant="
    ):
        Gallery.open(server.address + "-2", key=KEY, create=False)


@needs_server
def test_a_server_keeps_no_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key nothing is made: there is no folder beside a server to put one into."""
    for name in ("VOXID_MASTER_KEY", "VOXID_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    for opening in (Store.open, Gallery.open):
        with pytest.raises(ConfigError, match="needs a key that is kept elsewhere") as caught:
            opening(server.address)
        assert caught.value.code == "key_missing"
    assert not PostgresAddress.parse(server.address).exists()


@needs_server
def test_tenants_are_apart(server: Server) -> None:
    """Same server, same names: what is done to one is not seen by the other."""
    first, second = opened(server, "Alice", "Bob"), opened(Server(server.address + "-2"), "Alice")
    with first.changing() as change:
        change.put_document(Document("policy", "current", {"identify": True}))
        change.add_opt_out("Carla")
    remove(first, "Alice")
    assert (names(first), names(second)) == (["Bob"], ["Alice"])
    assert second.document("policy", "current") is None
    assert not second.opted_out("Carla")
    tenants = PostgresAddress.parse(server.address).siblings()
    assert {f"own-{os.getpid()}", f"own-{os.getpid()}-2"} <= set(tenants)
    first.close()
    second.close()


def base_files() -> bytes:
    folder = Path(os.environ.get("VOXID_TEST_POSTGRES_FOLDER", "/nonexistent"))
    try:
        files = [file for file in (folder / "base").rglob("*") if file.is_file()]
        return b"".join(file.read_bytes() for file in files)
    except PermissionError:
        return b""


@needs_server
def test_no_byte_of_a_deleted_person_is_left_in_the_tables(server: Server) -> None:
    """In no file of the database; the server's log, which no client can rewrite, is named in the documentation."""
    store = opened(server, "Alice", "Bob")
    alice = person("Alice", 1)
    with store.changing() as change:
        change.put_document(Document("receipt", "r", {"x": 1}, person_id=alice.id))
    queries = (
        "SELECT wrapped_key FROM person",
        "SELECT sealed FROM voiceprint",
        "SELECT sealed FROM document",
    )
    own = [bytes(row[0]) for query in queries for row in server.run(f"{query} WHERE person_id = '{alice.id}'".replace(
        "FROM person WHERE person_id", "FROM person WHERE id"))]  # fmt: skip
    server.run("CHECKPOINT")
    if not any(blob[:16] in base_files() for blob in own):
        pytest.skip("the files of the server cannot be read here")
    remove(store, "Alice")
    server.run("CHECKPOINT")
    left = base_files()
    pieces = [blob[at : at + 16] for blob in own for at in range(0, len(blob) - 15, 16)] + [alice.id.encode()]
    assert len(own) == 4
    assert [piece for piece in pieces if piece in left] == []
    assert names(store) == ["Bob"]
    store.close()


@needs_server
def test_an_old_snapshot_that_keeps_deleted_rows_is_reported(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The person is gone for everybody; that the bytes are not yet is said, and the next opening finishes it."""
    monkeypatch.setattr(postgres, "_PURGE_TIMEOUT_S", 0.3)
    store = opened(server, "Alice", "Bob")
    url = sa.make_url(PostgresAddress.parse(server.address).url).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="REPEATABLE READ")
    with engine.connect() as reader:
        reader.exec_driver_sql("SELECT 1")
        with pytest.raises(StoreError, match="still needs their old copy for another transaction") as caught:
            remove(store, "Alice")
        assert caught.value.code == "erase_incomplete"
        assert names(store) == ["Bob"]
        meanwhile = Store.open(server.address, key=KEY)
        with meanwhile.snapshot() as roster:
            assert roster.state.erasure_unfinished, "the mark stays, and the gallery can be used"
        meanwhile.close()
    engine.dispose()
    store.close()
    again = Store.open(server.address, key=KEY)
    with again.snapshot() as roster:
        assert not roster.state.erasure_unfinished
    assert names(again) == ["Bob"]
    again.close()


@needs_server
@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("DELETE FROM voiceprint WHERE id = (SELECT min(id) FROM voiceprint)", "rows of '.*' are missing"),
        ("UPDATE voiceprint SET bundle_id = 'other@1'", "the voiceprint .* does not open"),
        ("DELETE FROM opt_out", "list of people and opt-outs"),
        ("UPDATE person SET name_tag = sha256(name_tag)", "list of people and opt-outs"),
        ("DELETE FROM meta WHERE key = 'state'", "its state record is missing"),
        ("DELETE FROM document", "list of documents does not match"),
        ("DROP TABLE opt_out", "the table opt_out is missing"),
        ("DROP TABLE meta", "the table meta is missing"),
    ],
)
def test_rows_changed_behind_our_back_are_noticed(server: Server, statement: str, sentence: str) -> None:
    """By somebody with the right to write to the database, but without the key."""
    store = opened(server, "Alice", "Bob")
    with store.changing() as change:
        change.add_opt_out("Dora")
        change.put_document(Document("policy", "current", {}))
    store.close()
    server.run(statement)

    def read_all() -> None:
        again = Store.open(server.address, key=KEY, create=False)
        try:
            again.check()
        finally:
            again.close()

    with pytest.raises(StoreError, match=sentence) as caught:
        read_all()
    assert caught.value.code == "store_damaged"


@needs_server
def test_a_writer_waits_for_the_writer_and_says_so(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two handles, one lock: the second is told after its wait that others write; then it succeeds."""
    monkeypatch.setattr(postgres, "_LOCK_TIMEOUT_MS", 200)
    store, other = opened(server, "Alice"), Store.open(server.address, key=KEY)
    with store.changing() as change:
        change.put(person("Bob", 2))
        with pytest.raises(StoreError, match="is being written by others") as caught:
            put(other, person("Carla", 3))
        assert caught.value.code == "store_busy"
        assert names(other) == ["Alice"], "a reader sees the state before"
    put(other, person("Carla", 3))
    assert names(store) == ["Alice", "Bob", "Carla"]
    store.close()
    other.close()


@needs_server
def test_a_role_that_may_not_write_is_told_so(server: Server) -> None:
    store = opened(server, "Alice")
    store.close()
    url = server.address.replace("?", "?options=-cdefault_transaction_read_only%3Don&")
    schema = PostgresAddress.parse(server.address).schema
    role = f"reader_{os.getpid()}"
    server.run(
        f"CREATE ROLE {role} LOGIN PASSWORD 'only-for-this-test'",
        f"GRANT USAGE ON SCHEMA {schema} TO {role}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}",
    )
    try:
        reader = url.split("://")[1].split("@")[0]
        store = Store.open(server.address.replace(reader, f"{role}:only-for-this-test"), key=KEY)
        assert names(store) == ["Alice"]
        with pytest.raises(StoreError, match="cannot be written; nothing was changed") as caught:
            put(store, person("Bob", 2))
        assert caught.value.code == "store_readonly"
        store.close()
    finally:
        server.run(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


WORK = """
import sys
from synthetic_people import person, put, remove
from voxid.gallery.store import Store
store = Store.open(sys.argv[1], key=b"another key for tests, 32 bytes.")
print("ready", flush=True)
for n in range(10_000):
    put(store, person(f"person {n}", n + 10))
    print(f"put {n}", flush=True)
"""


@needs_server
def test_a_killed_process_leaves_people_whole_or_absent(server: Server) -> None:
    """What was acknowledged is there; what was not is whole or absent; the lock is free again."""
    opened(server, "Alice").close()
    here = Path(__file__).parent
    environ = {**os.environ, "PYTHONPATH": f"{here}:{here.parent / 'src'}"}
    command = [sys.executable, "-c", WORK, server.address]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)
    assert worker.stdout is not None
    said = [worker.stdout.readline().split() for _ in range(8)]
    worker.send_signal(signal.SIGKILL)
    said += [line.split() for line in worker.stdout]
    n_put = sum(words[0] == "put" for words in said)
    store = Store.open(server.address, key=KEY)
    assert set(names(store)) - {f"person {n_put}"} == {"Alice", *(f"person {n}" for n in range(n_put))}
    put(store, person("Bob", 2))
    store.close()


@needs_server
def test_a_gallery_moves_between_the_engines(server: Server, tmp_path: Path) -> None:
    """A backup of one is restored into the other, whoever was erased on the way stays erased."""
    store = opened(server, "Alice", "Bob", "Carla")
    store.start_audit()
    remove(store, "Bob")
    before = {record.name: record for record in store.read_many(store.person_ids())}
    back_up(store, tmp_path / "b.backup")
    store.close()
    restore(tmp_path / "people.voxid", tmp_path / "b.backup", key=KEY, nobody_erased=True)
    moved = Store.open(tmp_path / "people.voxid", key=KEY)
    for record in moved.read_many(moved.person_ids()):
        pairs = zip(record.voiceprints, before.pop(record.name).voiceprints, strict=True)
        assert all((left.embedding == right.embedding).all() for left, right in pairs)
    assert not before
    remove(moved, "Carla")
    back_up(moved, tmp_path / "c.backup")
    moved.close()
    restore(server.address + "-2", tmp_path / "c.backup", key=KEY, nobody_erased=True)
    again = Store.open(server.address + "-2", key=KEY)
    assert names(again) == ["Alice"]
    again.check()
    assert again.audit().verify().whole
    again.close()


def test_an_address_shows_no_password() -> None:
    address = PostgresAddress.parse(
        "postgresql://me:secret@db.example:5433/voices?tenant=acme-2&sslmode=require"
    )
    assert (address.tenant, address.schema) == ("acme-2", "voxid_acme_2")
    assert address.url == "postgresql://me:secret@db.example:5433/voices?sslmode=require"
    assert "secret" not in f"{address!r} {address} {address.name}"
    assert str(address) == "postgresql://db.example/voices?tenant=acme-2"


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        (
            "postgresql://db/voices?tenant=Drop;Table",
            "tenant_invalid",
            "expected up to 32 lower-case letters",
        ),
        ("postgresql://db?tenant=acme", "store_address_invalid", "names no database"),
    ],
)
def test_an_address_that_cannot_be_is_refused(text: str, code: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        Gallery.open(text, key=KEY)
    assert caught.value.code == code


def test_a_server_that_is_not_there_is_said() -> None:
    with pytest.raises(StoreError, match="does not answer or refused the connection") as caught:
        Store.open("postgresql://nobody:secret@127.0.0.1:9/voices", key=KEY)
    assert caught.value.code == "store_unreachable"
    assert "secret" not in str(caught.value)


def test_other_stores_are_not_known() -> None:
    with pytest.raises(ConfigError, match="mysql stores are not known") as caught:
        Gallery.open("mysql://db/voices")
    assert caught.value.code == "store_unsupported"
