#!/usr/bin/env bash
# Runs a command beside a PostgreSQL server of its own:   scripts/with_postgres.sh COMMAND [ARGUMENT ...]
#
# The server is Debian's package, installed where it is missing and this is root; its cluster lies in a temporary
# folder, listens on 127.0.0.1 at a free port, runs as an unprivileged user, and is gone when the command ends.
# The command finds it by VOXID_TEST_POSTGRES. Where no server can be had, a sentence says so and the command runs
# without it. fsync is off: these are tests of what is said and done, not of power cuts.
set -euo pipefail

bin_folder() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1; }

if [ -n "${VOXID_TEST_POSTGRES:-}" ]; then exec "$@"; fi
if [ -z "$(bin_folder)" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "PostgreSQL is missing; installing Debian's package" >&2
  # No cluster and no service: the tests make their own.
  SETTINGS=/etc/postgresql-common/createcluster.conf
  [ -e "$SETTINGS" ] || { mkdir -p "${SETTINGS%/*}" && echo "create_main_cluster = false" > "$SETTINGS"; }
  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install postgresql; } >/dev/null 2>&1 || true
fi
BIN="$(bin_folder)"
if [ -z "$BIN" ] && command -v initdb >/dev/null; then BIN="$(dirname "$(command -v initdb)")"; fi
if [ -z "$BIN" ]; then
  echo "no PostgreSQL here (apt-get install postgresql): the tests of that engine skip" >&2
  exec "$@"
fi

FOLDER="$(mktemp -d "${TMPDIR:-/tmp}/voxid-postgres.XXXXXX")"
PORT="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
PASSWORD="$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
as_server() { "$@"; }
if [ "$(id -u)" = 0 ]; then
  OWNER="$(getent passwd postgres >/dev/null && echo postgres || echo nobody)"
  chown "$OWNER" "$FOLDER"
  as_server() { setpriv --reuid "$OWNER" --regid "$(id -g "$OWNER")" --clear-groups env HOME="$FOLDER" "$@"; }
fi
stop() {
  as_server "$BIN/pg_ctl" -D "$FOLDER/data" -m immediate -s stop >/dev/null 2>&1 || true
  rm -rf "$FOLDER"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

printf '%s' "$PASSWORD" > "$FOLDER/password"
[ "$(id -u)" = 0 ] && chown "$OWNER" "$FOLDER/password"
cd "$FOLDER"
if ! { as_server "$BIN/initdb" -D "$FOLDER/data" -U voxid -A scram-sha-256 --pwfile="$FOLDER/password" \
         --encoding=UTF8 --locale=C.UTF-8 \
       && as_server "$BIN/pg_ctl" -D "$FOLDER/data" -s -w -t 60 -l "$FOLDER/log" start \
         -o "-h 127.0.0.1 -p $PORT -k $FOLDER -c fsync=off -c full_page_writes=off -c shared_buffers=32MB -c max_connections=100"
     } >"$FOLDER/start.log" 2>&1; then
  echo "PostgreSQL does not start here ($(tail -1 "$FOLDER/start.log")): the tests of that engine skip" >&2
  cd "$OLDPWD"
  "$@"
  exit
fi
cd "$OLDPWD"
export VOXID_TEST_POSTGRES="postgresql://voxid:$PASSWORD@127.0.0.1:$PORT/postgres"
export VOXID_TEST_POSTGRES_FOLDER="$FOLDER/data"
"$@"
