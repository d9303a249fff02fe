#!/usr/bin/env bash
# How fast generators learn and write on one GPU: at most 8 minutes, nothing from outside, one JSON.
#
#   bash bench/gpu/run.sh          writes $OUT/gpu.json, or gpu.json here
#   bash bench/gpu/run.sh --cpu    the rehearsal with a tiny model: a minute without a GPU
#
# It needs python3 with torch, transformers, accelerate, numpy and pyarrow. TRL is measured where it is.
set -euo pipefail
cd "$(dirname "$0")/../.."
export HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1
exec timeout 480 "${PYTHON:-python3}" -m bench.gpu.speed --out "${OUT:-.}/gpu.json" "$@"
