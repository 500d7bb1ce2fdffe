#!/usr/bin/env bash
# A real disk that is full, a folder that may only be read, a lost permission, and too few open files. Takes about a minute:
#
#     tests/power/full.sh            # as root, or wherever `unshare -rm` may mount a tmpfs
#
# The children are those of tests/crash; each checks what it is told and fails if it is not so.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ "${1:-}" != --inside ]; then
    program=$(cargo test --test crash --no-run --message-format=json |
        sed -n 's/.*"name":"crash".*"executable":"\([^"]*\)".*/\1/p')
    exec unshare -rm "$0" --inside "$program"
fi

program=$2
export RUST_BACKTRACE=0
at=$(mktemp -d)
trap 'umount "$at" 2>/dev/null || true; rmdir "$at"' EXIT

for megabytes in 30 40 50; do
    for ballast in 12 16; do
        mount -t tmpfs -o size=${megabytes}m tmpfs "$at"
        head -c ${ballast}M /dev/zero >"$at/ballast"
        echo "$megabytes MB, $ballast of them to be freed:"
        "$program" --fill "$at/store" "$at/ballast"
        umount "$at"
    done
done

mount -t tmpfs -o size=100m tmpfs "$at"
"$program" --refused "$at/store" good
mount -o remount,ro "$at"
"$program" --refused "$at/store" "read only"
"$program" --refused "$at/new" "read only"
mount -o remount,rw "$at"
for files in 8 10 12 14 16 18 20; do
    # Some of these are enough to open a store, and not to seal.
    (ulimit -n $files && "$program" --refused "$at/store" "$files files") || exit 1
done
"$program" --refused "$at/store" good
umount "$at"
