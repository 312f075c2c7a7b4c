#!/usr/bin/env bash
# Copies the gateway's database into a folder and removes copies that are too old. For all three databases, and beside running cores.
#
#   scripts/backup.sh                 what DATABASE_URL, DATABASE_URL_FILE or DATA_DIR say
#
#   BACKUP_DIR   where the copies go (/var/backups/llm-orchestrator)
#   KEEP_DAYS    how many days they are kept (30). Old copies go only after a new one is whole; other files are left alone
#
# The copies: llm-orchestrator-TIME.db.gz (SQLite), .sql.gz (MariaDB, MySQL), .dump (PostgreSQL). docs/DEPLOYMENT.md says how each
# is restored. Needs bash, gzip and find, and orchestrator-grpc, mariadb-dump (or mysqldump) or pg_dump by the database.
# The master key is in none of them: keep it elsewhere. Exit code 0, or 1 with a line that says why; then nothing was removed.
set -euo pipefail
umask 077

BACKUP_DIR=${BACKUP_DIR:-/var/backups/llm-orchestrator}
KEEP_DAYS=${KEEP_DAYS:-30}

fail() { echo "backup: $1" >&2; exit 1; }

# The percent-encoded parts of a URL as they are.
decoded() { local text=${1//\\/\\\\}; printf '%b' "${text//%/\\x}"; }

# The one of these programs that is there.
one_of() {
  local program
  for program in "$@"; do
    if command -v "$program" >/dev/null 2>&1; then echo "$program"; return; fi
  done
  fail "none of these programs is here: $*"
}

# Takes scheme://USER:PASSWORD@HOST:PORT/DATABASE?PARAMETERS apart.
take_apart() {
  local rest=${1#*://} authority
  parameters=''
  case $rest in *\?*) parameters=${rest#*\?}; rest=${rest%%\?*} ;; esac
  authority=${rest%%/*}
  case $rest in */*) database=$(decoded "${rest#*/}") ;; *) database= ;; esac
  user='' password='' host='' port=''
  case $authority in
    *@*)
      user=${authority%@*}; authority=${authority##*@}
      case $user in *:*) password=$(decoded "${user#*:}"); user=${user%%:*} ;; esac
      user=$(decoded "$user") ;;
  esac
  case $authority in
    \[*\]:*) host=${authority%%\]*}; host=${host#\[}; port=${authority##*:} ;;
    \[*\]) host=${authority#\[}; host=${host%\]} ;;
    *:*) host=${authority%:*}; port=${authority##*:} ;;
    *) host=$authority ;;
  esac
  [ -n "$database" ] || fail "DATABASE_URL names no database"
}

# The value of one of these parameters of the URL, or nothing.
parameter() {
  local name pair
  local -a pairs
  IFS='&' read -r -a pairs <<<"$parameters"
  for pair in ${pairs[@]+"${pairs[@]}"}; do
    for name in "$@"; do
      if [ "${pair%%=*}" = "$name" ]; then decoded "${pair#*=}"; return; fi
    done
  done
}

# A value as MariaDB's option files have it.
option() { local text=${2//\\/\\\\}; [ -z "$2" ] || printf '%s="%s"\n' "$1" "${text//\"/\\\"}"; }

sqlite() {
  local program
  program=$(one_of orchestrator-grpc)
  "$program" backup "$work/copy.db" >"$work/said" 2>&1 || fail "$(cat "$work/said")"
  gzip "$work/copy.db"
  publish "$work/copy.db.gz" db.gz
}

mysql() {
  local program mode
  program=$(one_of mariadb-dump mysqldump)
  take_apart "$1"
  # In a file, since everybody sees a program's arguments.
  {
    echo '[client]'
    option host "$host"; option port "$port"; option user "$user"; option password "$password"
    option socket "$(parameter socket unix_socket)"
    option ssl-ca "$(parameter ssl-ca)"; option ssl-cert "$(parameter ssl-cert)"; option ssl-key "$(parameter ssl-key)"
    mode=$(parameter ssl-mode sslmode)
    case ${mode,,} in
      required | verify_ca | verify-ca) if [[ $program == mariadb* ]]; then echo 'ssl'; else echo 'ssl-mode=REQUIRED'; fi ;;
      verify_identity | verify-identity) if [[ $program == mariadb* ]]; then echo 'ssl-verify-server-cert'; else echo 'ssl-mode=VERIFY_IDENTITY'; fi ;;
    esac
  } >"$work/client.cnf"
  # Without locks, so that the user of docs/DATABASES.md may restore it: LOCK TABLES is not among its rights.
  "$program" --defaults-extra-file="$work/client.cnf" --single-transaction --hex-blob --no-tablespaces --skip-add-locks \
    --default-character-set=utf8mb4 "$database" 2>"$work/said" | gzip >"$work/copy.sql.gz" || fail "$program: $(cat "$work/said")"
  # The tool's last line; a copy without it was cut short.
  [[ $(gzip -dc "$work/copy.sql.gz" | tail -n 1) == '-- Dump completed'* ]] || fail "$program ended early"
  publish "$work/copy.sql.gz" sql.gz
}

postgres() {
  local name value
  one_of pg_dump >/dev/null
  take_apart "$1"
  for name in sslmode sslrootcert sslcert sslkey; do
    value=$(parameter "$name")
    [ -z "$value" ] || export "PG${name^^}=$value"
  done
  value=$(parameter host)
  [ -z "$value" ] || host=$value
  export PGPASSWORD=$password
  pg_dump --no-password --format=custom --file="$work/copy.dump" ${host:+--host="$host"} ${port:+--port="$port"} \
    ${user:+--username="$user"} "$database" 2>"$work/said" || fail "pg_dump: $(cat "$work/said")"
  # Reads its table of contents.
  pg_restore --list "$work/copy.dump" >/dev/null 2>"$work/said" || fail "pg_restore: $(cat "$work/said")"
  publish "$work/copy.dump" dump
}

# Gives the copy its name when it is on disk.
publish() {
  copy=$BACKUP_DIR/llm-orchestrator-$(date -u +%Y%m%dT%H%M%SZ).$2
  [ ! -e "$copy" ] || fail "$copy is there already"
  sync "$1"
  mv "$1" "$copy"
}

case $KEEP_DAYS in '' | *[!0-9]* | 0) fail "KEEP_DAYS is a number of days, from 1" ;; esac
mkdir -p "$BACKUP_DIR" || fail "$BACKUP_DIR cannot be made"
work=$(mktemp -d "$BACKUP_DIR/.partial-XXXXXX") || fail "nothing can be written into $BACKUP_DIR"
trap 'rm -rf "$work"' EXIT

url=${DATABASE_URL:-}
if [ -z "$url" ] && [ -n "${DATABASE_URL_FILE:-}" ]; then
  url=$(cat "$DATABASE_URL_FILE") || fail "$DATABASE_URL_FILE cannot be read"
fi
copy=''
case $url in
  env:* | file:*) fail "give DATABASE_URL itself, or DATABASE_URL_FILE" ;;
  '' | sqlite*) sqlite ;;
  mysql*://* | mariadb*://*) mysql "$url" ;;
  postgres*://*) postgres "$url" ;;
  *) fail "DATABASE_URL is of no kind that is known here" ;;
esac

removed=$(find "$BACKUP_DIR" -maxdepth 1 -type f \( -name 'llm-orchestrator-*.db.gz' -o -name 'llm-orchestrator-*.sql.gz' \
  -o -name 'llm-orchestrator-*.dump' \) -mmin +$((KEEP_DAYS * 1440)) -print -delete | wc -l)
echo "backup: $copy, $(wc -c <"$copy") bytes; $((removed)) old ones removed"
