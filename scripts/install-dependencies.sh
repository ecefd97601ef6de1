#!/usr/bin/env bash
# Installs the system packages that Tau needs, if they are missing: headers to build, and what the tools run in and use. With
# the argument `tests` also the servers that the tests talk to.
set -euo pipefail

needed=()
[ -e /usr/include/zlib.h ] || needed+=(zlib1g-dev)
[ -e /usr/include/sqlite3.h ] || needed+=(libsqlite3-dev)
[ -e /usr/include/seccomp.h ] || needed+=(libseccomp-dev)
[ -e /usr/include/utf8proc.h ] || needed+=(libutf8proc-dev)
[ -e /usr/include/re2/re2.h ] || needed+=(libre2-dev)
[ -e /usr/include/postgresql/libpq-fe.h ] || needed+=(libpq-dev)
if [ "${1:-}" = tests ]; then
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || needed+=(postgresql)
    [ -x /usr/sbin/pgbouncer ] || needed+=(pgbouncer)
    [ -x /usr/bin/redis-server ] || needed+=(redis-server)
    for program in radosgw ceph-mon ceph-osd; do
        [ -x "/usr/bin/$program" ] || needed+=("$program")
    done
    [ -x /usr/bin/ceph ] || needed+=(ceph-common)
    [ -x /usr/bin/openssl ] || needed+=(openssl)
    [ -x /usr/bin/promtool ] || needed+=(prometheus)
    [ -x /usr/sbin/nginx ] || needed+=(nginx-light)
    [ -x /usr/bin/caddy ] || needed+=(caddy)
    [ -x /usr/sbin/haproxy ] || needed+=(haproxy)
    [ -x /usr/sbin/logrotate ] || needed+=(logrotate)
fi
# Without these Tau builds and runs: no bubblewrap, no commands; no GraphicsMagick, no large images; ripgrep makes grep
# faster.
useful=()
command -v bwrap >/dev/null || useful+=(bubblewrap)
command -v rg >/dev/null || useful+=(ripgrep)
command -v gm >/dev/null || useful+=(graphicsmagick)
missing=("${needed[@]}" "${useful[@]}")
[ ${#missing[@]} -eq 0 ] && exit 0

say() { printf 'tau: %s\n' "$*" >&2; }
if ! command -v apt-get >/dev/null; then
    say "these packages are missing: ${missing[*]}. Install them with your system's package manager."
    [ ${#needed[@]} -eq 0 ] && exit 0
    exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null; then
        say "these packages are missing and need root to install: sudo apt-get install ${missing[*]}"
        [ ${#needed[@]} -eq 0 ] && exit 0
        exit 1
    fi
    as_root=(sudo -n)
fi
say "installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
