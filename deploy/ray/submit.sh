#!/usr/bin/env bash
# Label an archive as a job of a Ray cluster; the address of its dashboard is in RAY_ADDRESS (http://HOST:8265).
#
#     RAY_ADDRESS=http://127.0.0.1:8265 deploy/ray/submit.sh INPUT OUTPUT [further options of `pansight predict`]
#
# The driver runs on the head, so this machine may go away. A job that died, head and all, is submitted again: it does
# what is missing. WORKERS: at most so many (64); a cluster that scales itself grows up to that. Needs `pip install 'ray[default]'` here. Unverified on a cluster of several machines.
set -euo pipefail
: "${RAY_ADDRESS:?the address of the dashboard, such as http://127.0.0.1:8265}"
input=${1:?INPUT: a folder, a pattern of tars, a manifest, s3://...}
output=${2:?OUTPUT: s3://..., or a folder that all machines share}
shift 2
exec ray job submit --no-wait --metadata-json '{"job": "pansight"}' -- \
    pansight predict "$input" --engine ray --output "$output" --shards --shard-size 1024 --workers "${WORKERS:-64}" "$@"
