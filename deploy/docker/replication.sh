#!/bin/sh
# Lets the replica connect: run once by the database's image when it makes its directory.
set -eu
echo "host replication tau all scram-sha-256" >>"$PGDATA/pg_hba.conf"
