# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# lib.sh - what setup, quickstart and check share: where the tree is, and how they speak.

# The root of the source tree, wherever the caller stands.
# shellcheck disable=SC2034 # used by those that read this file
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# say TEXT... - a progress line with the seconds since the start.
say() {
    printf '[%4ds] %s\n' "$SECONDS" "$*"
}

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# as_root COMMAND... - run it as root: straight, or through sudo, which may ask where there is a
# terminal to ask on.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif ! command -v sudo >/dev/null 2>&1; then
        die "needs root or sudo for: $*"
    elif [ -t 0 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}
