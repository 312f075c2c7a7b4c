#!/bin/sh
# Makes the secrets of a Compose installation, each in a file of a volume: what `.env` gives, else what is there already, else
# 256 random bits. Runs to its end before anything else starts, and changes nothing where nothing is to change.
#
#   make-secrets.sh KEYS DB REDIS      three folders: for the cores, for the database, for Redis
#
# Read from the environment: ADMIN_KEY, CLIENT_KEY, MASTER_KEY, DB_PASSWORD, REDIS_PASSWORD, DATABASE_URL, and the places of the
# two servers as the cores reach them, DB_ADDRESS and REDIS_ADDRESS.
set -eu
umask 077
keys=$1 db=$2 redis=$3

random() { head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }
fail() { echo "make-secrets: $1" >&2; exit 1; }

# put FILE TEXT MODE OWNER: a file is either as it was or whole.
put() {
  printf '%s\n' "$2" >"$1.new"
  chmod "$3" "$1.new"
  [ "$(id -u)" != 0 ] || chown "$4" "$1.new"
  mv "$1.new" "$1"
}

# What a file holds, without its end of line; nothing if there is no file.
held() { if [ -e "$1" ]; then cat "$1"; fi; }

# choose GIVEN HELD PREFIX
choose() {
  if [ -n "$1" ]; then printf %s "$1"; elif [ -n "$2" ]; then printf %s "$2"; else printf '%s%s' "$3" "$(random)"; fi
}

# What was used once cannot be replaced by writing another one into .env.
fixed() {
  [ -z "$1" ] || [ -z "$2" ] || [ "$1" = "$2" ] || fail "$3"
}

# Passwords become parts of URLs, as they are.
plain() {
  case $1 in *[!A-Za-z0-9_-]*) fail "$2 may hold letters, digits, - and _ only" ;; esac
}

plain "${DB_PASSWORD:-}" DB_PASSWORD
plain "${REDIS_PASSWORD:-}" REDIS_PASSWORD
fixed "${MASTER_KEY:-}" "$(held "$keys/master.key")" \
  "MASTER_KEY in .env is not the one that this installation was made with; change it with 'orchestrator-grpc keys rotate'"
fixed "${DB_PASSWORD:-}" "$(held "$db/password")" \
  "DB_PASSWORD in .env is not the one that the database was made with; change it there and in the volume db-secret first"

chmod 755 "$db" "$redis"
[ "$(id -u)" != 0 ] || chown 1000:1000 "$keys"
chmod 700 "$keys"

put "$keys/admin.key" "$(choose "${ADMIN_KEY:-}" "$(held "$keys/admin.key")" orch-admin-)" 400 1000:1000
put "$keys/client.key" "$(choose "${CLIENT_KEY:-}" "$(held "$keys/client.key")" sk-orch-)" 400 1000:1000
put "$keys/master.key" "$(choose "${MASTER_KEY:-}" "$(held "$keys/master.key")" orch-master-)" 400 1000:1000

# The database's own user reads this one, and Redis' the next: their numbers are those images' business.
password=$(choose "${DB_PASSWORD:-}" "$(held "$db/password")" '')
put "$db/password" "$password" 444 0:0
url=${DATABASE_URL:-mysql://llm:$password@$DB_ADDRESS/llm}
put "$keys/database.url" "$url" 400 1000:1000

password=$(choose "${REDIS_PASSWORD:-}" "$(held "$redis/password.conf" | sed -n 's/^requirepass //p')" '')
put "$redis/password.conf" "requirepass $password" 444 0:0
put "$keys/redis.url" "redis://:$password@$REDIS_ADDRESS/0" 400 1000:1000
echo "make-secrets: the secrets are in place"
