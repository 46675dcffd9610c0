"""Another master key for a gallery in place: everything stays, the old key opens nothing, a kill leaves it whole."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from synthetic_people import NOW, new_store, person, put, remove
from voxid.audit.events import Event
from voxid.cli.app import main
from voxid.errors import ConfigError, InputError, StoreError
from voxid.gallery import exchange
from voxid.gallery.backup import back_up, restore
from voxid.gallery.documents import Document
from voxid.gallery.exchange import exchange_key
from voxid.gallery.keys import create_key_file, read_key_file
from voxid.gallery.store import Store
from voxid.gallery.tombstones import ErasureFile
from voxid.service.settings import ServiceSettings
from voxid.service.state import Tenants

BOTH_ENGINES = True
ADA, BOB, EVE = person("Ada", 1), person("Bob", 2), person("Eve", 3)


def filled(folder: Path) -> Store:
    """Return a store with one of everything that lies under the master key."""
    store = new_store(folder, ADA, BOB, EVE)
    store.start_audit()
    with store.changing() as change:
        change.add_opt_out("Zoe")
        change.put_document(Document("job", "one", {"of": "nobody"}))
        change.put_document(Document("session", "two", {"of": "Ada"}, person_id=ADA.id))
        change.record(Event("test.done", "done", ADA.id, {}, {"llr": 1.5}))
        change.count("rate", 60.0, 5, NOW)
    remove(store, "Eve")
    return store


def told(store: Store) -> dict[str, object]:
    """Return all that a gallery says, secrets and ids of its keys aside."""
    store.check()
    log = store.audit()
    return {
        "people": sorted(
            (record.name, record.voiceprints[0].embedding.tobytes())
            for record in store.read_many(store.person_ids())
        ),
        "refused": store.opted_out("Zoe"),
        "documents": sorted((one.kind, one.id, str(one.body), one.version) for one in store.every_document()),
        "erased": store.buried(),
        "log": [each.entry.line() for each in log.events() if each.entry.act != "keys.exchanged"],
        "personal": [each.personal for each in log.events(act="test.done")],
    }


def old_and_new(store: Store) -> tuple[bytes, bytes]:
    """Return the former key and the key, after an exchange."""
    key = Path(f"{store.path}.key")
    return read_key_file(Path(f"{key}.former")).secret, read_key_file(key).secret


@pytest.mark.file_only
def test_everything_stays_and_the_old_key_opens_nothing(tmp_path: Path) -> None:
    """People, documents, refusals, tombstones and the log are as before; the former key does not fit, nor its bytes."""
    store = filled(tmp_path)
    before, head = told(store), store.audit().sign_head(NOW)
    with store.rows() as connection:
        former = [row[0] for row in connection.exec_driver_sql("SELECT wrapped_key FROM person")]
        former += [row[0] for row in connection.exec_driver_sql("SELECT sealed FROM voiceprint")]
        former += [row[0] for row in connection.exec_driver_sql("SELECT sealed FROM document")]
    store.close()
    report = exchange_key([store.path])
    assert (report.exchanged, report.before) == (("people.voxid",), ())
    old, new = old_and_new(store)
    assert old != new
    assert (Path(f"{store.path}.key").stat().st_mode & 0o777) == 0o600
    with pytest.raises(StoreError, match="is not the key of people.voxid"):
        Store.open(store.path, key=old)
    again = Store.open(store.path)
    assert told(again) == before
    assert again.audit().verify(head).whole
    exchanged = again.audit().events(act="keys.exchanged")
    assert exchanged[0].entry.facts["former_public_key"] == head.public_key
    assert exchanged[0].entry.facts["public_key"] == again.audit().public_key != head.public_key
    assert ErasureFile(Path(f"{store.path}.erased"), again.keyring).read().buried == again.buried()
    again.close()
    for file in tmp_path.iterdir():
        content = file.read_bytes()
        assert not any(sealed[:16] in content or sealed[-16:] in content for sealed in former), file.name
    exchange_key([store.path])
    third = Store.open(store.path)
    assert told(third) == before
    assert third.audit().verify(head).whole
    third.close()


def killed_in(work: Callable[[], None], place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do the work in a process of its own, which is killed with -9 when it comes to a function of `exchange`."""
    child = os.fork()
    if child == 0:
        setattr(exchange, place, lambda *given: os.kill(os.getpid(), signal.SIGKILL))
        try:
            work()
        finally:
            os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.file_only
@pytest.mark.parametrize("place", ["_exchanged", "_documents", "key_rows", "_take_place"])
def test_a_kill_leaves_the_gallery_whole_and_the_command_goes_on(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, in the middle, at the end of the transaction, and after it: it opens, holds all, and is finished."""
    store = filled(tmp_path)
    before = told(store)
    store.close()
    killed_in(lambda: exchange_key([store.path]) and None, place, monkeypatch)
    first = read_key_file(Path(f"{store.path}.key.next")).secret
    between = Store.open(store.path)
    assert told(between) == before
    put(between, person("Kay", 9))
    between.close()
    report = exchange_key([store.path])
    assert (report.before == ("people.voxid",)) == (place == "_take_place")
    after = Store.open(store.path)
    assert after.find("Kay")
    assert old_and_new(store)[1] == first
    assert not Path(f"{store.path}.key.next").exists()
    assert len(after.audit().events(act="keys.exchanged")) == 1
    after.check()
    after.close()


@pytest.mark.file_only
def test_several_galleries_of_one_key_are_done_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the first of two: both open with the key file as it is; called again, the second follows."""
    key = tmp_path / "master.key"
    create_key_file(key)
    places = [tmp_path / "a.voxid", tmp_path / "b.voxid"]
    for number, place in enumerate(places):
        store = Store.open(place, key=key)
        put(store, person(f"person {number}", number))
        store.close()

    def work() -> None:
        done = exchange._exchanged

        def second(location: Path, *keys: object) -> bool:
            if location == places[1]:
                os.kill(os.getpid(), signal.SIGKILL)
            return done(location, *keys)  # type: ignore[arg-type]

        exchange._exchanged = second  # type: ignore[assignment]
        exchange_key(places, key)

    killed_in(work, "FORMER_SUFFIX", monkeypatch)
    for number, place in enumerate(places):
        store = Store.open(place, key=key)
        assert store.find(f"person {number}")
        store.close()
    report = exchange_key(places, key)
    assert (report.exchanged, report.before) == (("b.voxid",), ("a.voxid",))
    for place in places:
        Store.open(place, key=read_key_file(key).secret, create=False).close()


@pytest.mark.file_only
def test_a_process_that_has_it_open_does_nothing_more(tmp_path: Path) -> None:
    """Reading and writing under the former key end with what happened, and nothing is changed."""
    store = filled(tmp_path)
    exchange_key([store.path])
    for act in (
        lambda: put(store, person("Kay", 9)),
        lambda: store.document("job", "one"),
        lambda: store.record([Event("test.done")]),
        lambda: store.person_ids(),
    ):
        with pytest.raises(StoreError, match="was exchanged while it was in use here") as refused:
            act()
        assert refused.value.code == "key_exchanged"
    store.close()
    again = Store.open(store.path)
    assert again.find("Kay") is None
    again.check()
    again.close()


@pytest.mark.file_only
def test_a_key_that_is_kept_elsewhere_needs_a_file_for_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the key comes from the environment, nothing is changed until a file is named; an old file stays."""
    store = filled(tmp_path)
    store.close()
    own = Path(f"{store.path}.key")
    monkeypatch.setenv("VOXID_MASTER_KEY", own.read_text().strip())
    with pytest.raises(ConfigError, match="name a file for the new one"):
        exchange_key([store.path])
    report = exchange_key([store.path], new_key=tmp_path / "new.key")
    assert report.former_file is None
    assert exchange_key([store.path], new_key=tmp_path / "new.key").before == ("people.voxid",)
    Store.open(store.path, key=tmp_path / "new.key").close()


@pytest.mark.file_only
def test_what_is_damaged_is_not_sealed_anew(tmp_path: Path) -> None:
    """A tampered entry of the log would be authentic under the new key: the exchange is refused, all stays."""
    store = filled(tmp_path)
    with store._database.writing() as connection:
        connection.exec_driver_sql(
            "UPDATE audit_entry SET line = replace(line, 'test', 'tost') WHERE sequence = 2"
        )
    store.close()
    with pytest.raises(StoreError, match="in its audit log"):
        exchange_key([store.path])
    Store.open(store.path).close()


@pytest.mark.file_only
def test_a_backup_from_before_follows_and_brings_nobody_back(tmp_path: Path) -> None:
    """Given the same new key, it is restored without whom the gallery erased after it; the old list is refused."""
    store = filled(tmp_path)
    back_up(store, tmp_path / "monday.backup")
    remove(store, "Bob")
    store.close()
    key, backup = Path(f"{store.path}.key"), tmp_path / "monday.backup"
    (tmp_path / "old.erased").write_bytes(Path(f"{store.path}.erased").read_bytes())
    exchange_key([store.path])
    with pytest.raises(StoreError, match="is not the key of monday.backup"):
        restore(store.path, backup)
    exchange_key([backup], Path(f"{key}.former"), new_key=key)
    assert restore(store.path, backup).left_out == 1
    again = Store.open(store.path)
    assert again.find("Bob") is None
    assert again.find("Ada")
    again.close()
    store.path.unlink()
    Path(f"{store.path}.erased").unlink()
    with pytest.raises(InputError, match="None of its lines opens with this key"):
        restore(store.path, backup, erasures=tmp_path / "old.erased")


def test_it_works_where_the_key_lies_elsewhere(tmp_path: Path) -> None:
    """On a server too: everything is there under the new key, and the audit log says so."""
    store = filled(tmp_path)
    before, new = told(store), tmp_path / "new.key"
    store.close()
    exchange_key([store.path], new_key=new)
    again = Store.open(store.path, key=new)
    assert told(again) == before
    put(again, person("Kay", 9))
    remove(again, "Ada")
    assert len(again.audit().events(act="keys.exchanged")) == 1
    again.check()
    again.close()


@pytest.mark.file_only
def test_the_command_exchanges_the_key_of_a_service(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All tenants of a data folder follow their one key; keys of the API still hold."""
    data = tmp_path / "data"
    tenants = Tenants(ServiceSettings(data=data))
    for name in ("default", "acme"):
        tenants.create(name).keys.create("test", NOW, roles=["admin"])
    tenants.close()
    old = read_key_file(data / "master.key").secret
    assert main(["keys", "exchange", "--data", str(data), "--yes", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert sorted(said["exchanged"]) == ["acme.voxid", "default.voxid"]
    assert read_key_file(data / "master.key.former").secret == old
    again = Tenants(ServiceSettings(data=data))
    for name in ("default", "acme"):
        assert [key.label for key in again.get(name).keys.list()] == ["test"]
    again.close()
