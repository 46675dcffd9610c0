"""Where a gallery can be: a file, or a tenant of a PostgreSQL database."""

from __future__ import annotations

from pathlib import Path

from voxid.errors import ConfigError, InputError
from voxid.gallery.database import Database
from voxid.gallery.formats import new_meta
from voxid.gallery.keys import KEY_FILE_SUFFIX, MasterKey, create_key_file, find_master_key
from voxid.gallery.postgres import PostgresAddress, PostgresDatabase, is_postgres
from voxid.gallery.sqlite import SqliteDatabase

__all__ = ["Location", "check_creatable", "create_database", "location_of", "open_database"]

Location = Path | PostgresAddress


def location_of(text: str | Path | PostgresAddress) -> Location:
    """Return what a path or an address stands for.

    Raises:
        InputError: tenant_invalid, store_address_invalid. ConfigError: store_unsupported.
    """
    if isinstance(text, PostgresAddress):
        return text
    if is_postgres(text):
        return PostgresAddress.parse(str(text))
    if "://" in str(text):
        raise ConfigError(
            "store_unsupported",
            f"{str(text).split('://')[0]} stores are not known; give the path of a gallery file, or "
            "postgresql://user@host/database?tenant=NAME.",
        )
    return Path(text)


def open_database(location: Location) -> Database:
    """Return the tables of the gallery there.

    Raises:
        InputError: store_missing. StoreError: store_damaged, store_unreadable, store_unreachable.
        CompatibilityError: store_format_unknown.
    """
    return SqliteDatabase(location) if isinstance(location, Path) else PostgresDatabase(location)


def create_database(location: Location, master: MasterKey | None) -> None:
    """Make an empty gallery; where another process was first, its stands.

    Args:
        master: None makes a key file beside a gallery file. A server has no beside: there the key must be given.

    Raises:
        InputError: store_unwritable. ConfigError: key_missing.
    """
    if isinstance(location, Path):
        # The key is on disk before the gallery is: a gallery without its key would be lost.
        master = master or create_key_file(location.with_name(location.name + KEY_FILE_SUFFIX))
        SqliteDatabase.create(location, new_meta(master))
    elif master is None:
        raise _no_key(location.name)
    else:
        PostgresDatabase.create(location, new_meta(master))


def check_creatable(location: Location, key: str | Path | bytes | None) -> None:
    """Refuse a place where no gallery could be made later, and a key that was named but is not there.

    Raises:
        InputError: store_unwritable. ConfigError: key_missing, key_invalid, key_readable_by_others.
    """
    file = location if isinstance(location, Path) else None
    if file is not None and not file.absolute().parent.is_dir():
        raise InputError("store_unwritable", f"The folder of {file} does not exist; make it first.")
    if find_master_key(key, file) is None and file is None:
        raise _no_key(location.name)


def _no_key(name: str) -> ConfigError:
    return ConfigError(
        "key_missing",
        "A gallery on a server needs a key that is kept elsewhere: name a key file, or set VOXID_KEY_FILE or "
        f"VOXID_MASTER_KEY, before {name} is made.",
    )
