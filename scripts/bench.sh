#!/usr/bin/env bash
# Runs `tau bench` with the arguments given. Where PostgreSQL and Redis are installed and none are named, it starts some of its own for
# the time of the run, on the loopback and on directories that go away with them.
#   bench.sh PROGRAM [ARGUMENT…]
set -euo pipefail
program=$1
shift
directory=$(mktemp -d)
processes=()
finish() {
    for process in "${processes[@]}"; do kill -TERM "$process" 2>/dev/null || true; done
    for process in "${processes[@]}"; do wait "$process" 2>/dev/null || true; done
    rm -rf "$directory"
}
trap finish EXIT

as_server=()
if [ "$(id -u)" -eq 0 ] && id postgres >/dev/null 2>&1; then
    as_server=(setpriv --reuid postgres --regid postgres --clear-groups)
    chown postgres "$directory"
fi
programs=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -1 || true)
if [ -z "${TAU_POSTGRES_URL:-}" ] && [ -n "$programs" ]; then
    port=$((20000 + RANDOM % 12000))
    "${as_server[@]}" "$programs/initdb" -D "$directory/data" -A trust -U tau -E UTF8 --locale=C.UTF-8 >/dev/null
    "${as_server[@]}" "$programs/postgres" -D "$directory/data" -c listen_addresses=127.0.0.1 -c port=$port \
        -c unix_socket_directories="$directory" -c max_connections=200 -c shared_buffers=512MB -c max_wal_size=4GB \
        -c min_wal_size=2GB >"$directory/postgres.log" 2>&1 &
    processes+=($!)
    until "$programs/pg_isready" -q -h 127.0.0.1 -p $port; do kill -0 "${processes[-1]}"; done
    export TAU_POSTGRES_URL=postgres://tau@127.0.0.1:$port/postgres
fi
if [ -z "${TAU_REDIS_URL:-}" ] && [ -x /usr/bin/redis-server ]; then
    port=$((20000 + RANDOM % 12000))
    "${as_server[@]}" redis-server --bind 127.0.0.1 --port $port --save '' --dir "$directory" >"$directory/redis.log" 2>&1 &
    processes+=($!)
    export TAU_REDIS_URL=redis://127.0.0.1:$port
fi
"$program" bench "$@"
