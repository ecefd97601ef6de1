#!/usr/bin/env bash
# Installs the system packages that Tau needs, if they are missing: zlib's headers to build, bubblewrap for the bash tool.
set -euo pipefail

missing=()
[ -e /usr/include/zlib.h ] || missing+=(zlib1g-dev)
[ -e /usr/include/sqlite3.h ] || missing+=(libsqlite3-dev)
command -v bwrap >/dev/null || missing+=(bubblewrap)
[ ${#missing[@]} -eq 0 ] && exit 0

say() { printf 'tau: %s\n' "$*" >&2; }
if ! command -v apt-get >/dev/null; then
    say "these packages are missing: ${missing[*]}. Install them with your system's package manager."
    # Without bubblewrap Tau builds and runs; only the bash tool is off.
    [ -e /usr/include/zlib.h ] && exit 0
    exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null; then
        say "these packages are missing and need root to install: sudo apt-get install ${missing[*]}"
        [ -e /usr/include/zlib.h ] && exit 0
        exit 1
    fi
    as_root=(sudo -n)
fi
say "installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
