"""The master key: required, checked, kept private, never made anew for an existing gallery."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from synthetic_people import names, new_store, person
from voxid.errors import ConfigError, InputError, StoreError
from voxid.gallery.keys import MasterKey, create_key_file, find_master_key
from voxid.gallery.store import Store


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    store = new_store(tmp_path, person("Alice", 1))
    store.close()
    return store.path


def key_file(path: Path) -> Path:
    return path.with_name(path.name + ".key")


def test_a_new_gallery_gets_a_private_key_and_file(gallery: Path) -> None:
    """Both are readable by their owner alone; beside them lies what is set aside for a full disk, and nothing else."""
    assert oct(key_file(gallery).stat().st_mode & 0o777) == "0o600"
    assert oct(gallery.stat().st_mode & 0o777) == "0o600"
    expected = ["people.voxid", "people.voxid.key", "people.voxid.reserve"]
    assert sorted(file.name for file in gallery.parent.iterdir()) == expected


def test_a_missing_key_is_an_error_and_makes_no_new_one(gallery: Path) -> None:
    key_file(gallery).unlink()
    with pytest.raises(ConfigError, match="no new one was made") as caught:
        Store.open(gallery)
    assert caught.value.code == "key_missing"
    assert not key_file(gallery).exists()


def test_a_tenant_of_a_service_is_opened_by_the_key_of_all(tmp_path: Path) -> None:
    """The command line finds it two folders up; a key beside the gallery counts before it."""
    tenant = tmp_path / "data" / "tenants" / "acme.voxid"
    tenant.parent.mkdir(parents=True)
    master = create_key_file(tmp_path / "data" / "master.key")
    Store.open(tenant).close()
    assert find_master_key(None, tenant, {}) == master
    assert not key_file(tenant).exists()
    own = create_key_file(key_file(tenant))
    assert find_master_key(None, tenant, {}) == own
    assert find_master_key(None, tmp_path / "data" / "elsewhere" / "acme.voxid", {}) is None


def test_a_wrong_key_is_said_to_be_wrong(gallery: Path) -> None:
    with pytest.raises(StoreError, match=r"is not the key of people\.voxid") as caught:
        Store.open(gallery, key=os.urandom(32))
    assert caught.value.code == "key_wrong"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_key_others_can_read_is_refused(gallery: Path, mode: int) -> None:
    key_file(gallery).chmod(mode)
    with pytest.raises(ConfigError, match="so others can read it; expected 0600") as caught:
        Store.open(gallery)
    assert caught.value.code == "key_readable_by_others"


@pytest.mark.parametrize("content", ["", "not base64!", base64.b64encode(b"short").decode()])
def test_a_key_that_is_no_key_is_refused(gallery: Path, content: str) -> None:
    key_file(gallery).write_text(content)
    with pytest.raises(ConfigError) as caught:
        Store.open(gallery)
    assert caught.value.code == "key_invalid"
    assert "32" in str(caught.value)


def test_the_environment_can_hold_the_key_or_name_its_file(gallery: Path) -> None:
    """VOXID_MASTER_KEY wins over VOXID_KEY_FILE, which wins over the file beside the gallery."""
    kept = gallery.parent / "kept-safe.key"
    key_file(gallery).rename(kept)
    text = kept.read_text().strip()
    for environ in ({"VOXID_MASTER_KEY": text, "VOXID_KEY_FILE": "/nowhere"}, {"VOXID_KEY_FILE": str(kept)}):
        store = Store.open(gallery, environ=environ)
        assert names(store) == ["Alice"]
        store.close()
    assert not key_file(gallery).exists()


def test_a_named_key_file_that_is_absent_is_never_made(tmp_path: Path) -> None:
    """A mount that is not there must not lead to a gallery under a throwaway key."""
    with pytest.raises(ConfigError) as caught:
        Store.open(tmp_path / "new.voxid", key=tmp_path / "mount" / "voxid.key")
    assert caught.value.code == "key_missing"
    assert list(tmp_path.iterdir()) == []


def test_a_key_in_the_environment_leaves_no_key_file(tmp_path: Path) -> None:
    environ = {"VOXID_MASTER_KEY": base64.b64encode(os.urandom(32)).decode()}
    Store.open(tmp_path / "new.voxid", environ=environ).close()
    assert [file.name for file in tmp_path.iterdir()] == ["new.voxid"]


def test_the_key_is_not_shown(tmp_path: Path) -> None:
    key = create_key_file(tmp_path / "a.key")
    assert repr(key) == f"MasterKey(origin='{tmp_path / 'a.key'}')"


def test_the_second_to_make_a_key_takes_the_first(tmp_path: Path) -> None:
    first = create_key_file(tmp_path / "a.key")
    assert create_key_file(tmp_path / "a.key").secret == first.secret
    assert find_master_key(tmp_path / "a.key", tmp_path / "x") == first


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ConfigError, match="is 5 bytes long; expected 32"):
        MasterKey(b"short", "a test")


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="choose another folder") as caught:
        Store.open(tmp_path / "nowhere" / "people.voxid")
    assert caught.value.code == "store_unwritable"


def test_a_missing_gallery_is_not_made_unasked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no gallery at") as caught:
        Store.open(tmp_path / "people.voxid", create=False)
    assert caught.value.code == "store_missing"
    assert list(tmp_path.iterdir()) == []
