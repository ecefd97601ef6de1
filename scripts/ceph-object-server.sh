#!/usr/bin/env bash
# Runs an S3 server of Ceph (a monitor, an object store in memory, a gateway) on the loopback until it is killed:
#   ceph-object-server.sh DIRECTORY PORT ACCESS-KEY SECRET-KEY
# Prints "ready" once it answers. All that it starts ends with it.
set -euo pipefail
directory=$1 port=$2 access=$3 secret=$4
monitor=$((port + 1))
mkdir -p "$directory"/{mon,osd,rgw}
cd "$directory"
id=$(cat /proc/sys/kernel/random/uuid)
cat >ceph.conf <<CONFIGURATION
[global]
fsid = $id
mon host = v1:127.0.0.1:$monitor
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
ms bind port min = $((port + 2))
ms bind port max = $((port + 40))
auth cluster required = none
auth service required = none
auth client required = none
keyring = /dev/null
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 1073741824
osd class dir = /usr/lib/$(uname -m)-linux-gnu/rados-classes
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail crit = 1
mon data avail warn = 2
mon data = $directory/mon
osd data = $directory/osd
rgw data = $directory/rgw
run dir = $directory
admin socket =
log file =
rgw frontends = beast endpoint=127.0.0.1:$port
rgw thread pool size = 32
[osd]
crush location = host=localhost root=default
CONFIGURATION

# A daemon ends when this script does, however that ends.
start() { setpriv --pdeathsig KILL "$@" >>daemons.log 2>&1 & }
admin() { ceph -c ceph.conf --connect-timeout 20 "$@" 2>>daemons.log; }
until_true() {
    for _ in $(seq 1 300); do
        "$@" && return
        sleep 0.1
    done
    echo "did not start: $*" >&2
    exit 1
}
monmaptool --create --fsid "$id" --addv a "[v1:127.0.0.1:$monitor]" mon.map >>daemons.log 2>&1
ceph-mon -c ceph.conf -i a --mkfs --monmap mon.map >>daemons.log 2>&1
start ceph-mon -c ceph.conf -i a -f
quorate() { admin quorum_status >/dev/null; }
until_true quorate
store=$(cat /proc/sys/kernel/random/uuid)
admin osd new "$store" >/dev/null
ceph-osd -c ceph.conf -i 0 --mkfs --osd-uuid "$store" >>daemons.log 2>&1
# It gives up ("wrong fsid") where it asks the monitor for something before it has heard who that is.
store_runs() { kill -0 "${osd:-}" 2>/dev/null || { start ceph-osd -c ceph.conf -i 0 -f && osd=$!; }; }
stored() { store_runs && admin osd stat | grep -q '1 up'; }
until_true stored
start radosgw -c ceph.conf -n client.admin -f
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }
until_true answers
radosgw-admin -c ceph.conf user create --uid=tests --display-name=tests --access-key="$access" --secret-key="$secret" \
    >/dev/null 2>>daemons.log
echo ready
wait
