#!/bin/sh
# Sees to it that the servers which tests start are installed: MariaDB, PostgreSQL and Redis, from Debian's packages, and such as its
# arguments name (`prometheus`); with the argument `browser` alone that Chromium is, with letters for Chinese. As root it installs what
# is missing; otherwise it says what to install. No service is started: tests start their own servers, on free ports.
set -eu

missing=
has() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]; }
if [ "${1:-}" = browser ]; then
  has chromium || missing="$missing chromium fonts-noto-cjk"
else
  has mariadbd && has mariadb-install-db || missing="$missing mariadb-server"
  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || has initdb || missing="$missing postgresql"
  has redis-server || missing="$missing redis-server"
  for package in "$@"; do
    has "$package" || missing="$missing $package"
  done
fi
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "the tests need programs that are not installed here; as root: apt-get install$missing" >&2
  exit 1
fi

# Debian's packages start their services unless this file says no.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
# A cluster that the package would make is of no use here. It is left to the system where the file is there already.
if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
  mkdir -p /etc/postgresql-common
  echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
fi
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
apt-get install -y --no-install-recommends $missing >/dev/null 2>&1 ||
  { apt-get update >/dev/null && apt-get install -y --no-install-recommends $missing >/dev/null; }
