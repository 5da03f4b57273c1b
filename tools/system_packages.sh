#!/bin/sh
# What pip cannot install. Idempotent; asks apt only for what is missing.
#   system_packages.sh venv PYTHON   the venv module, and a Python new enough
#   system_packages.sh libraries     Qt's libraries and a virtual display
set -eu

LIBRARIES="xvfb xauth libgl1 libgl1-mesa-dri libegl1 libopengl0 libglib2.0-0
libfontconfig1 libdbus-1-3 libx11-xcb1 libxkbcommon0 libxkbcommon-x11-0 libxrender1
libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0
libxcb-render-util0 libxcb-xinerama0 libxcb-xfixes0 libxcb-shape0"

# Debian 13 and Ubuntu 24.04 renamed some libraries to …t64.
installed() {
    dpkg-query -W -f='${db:Status-Status}\n' "$1" "$1t64" 2>/dev/null |
        grep -qx installed
}

install() {
    command -v apt-get >/dev/null && command -v dpkg-query >/dev/null || return 0
    missing=""
    for package in "$@"; do
        installed "$package" || missing="$missing $package"
    done
    [ -z "$missing" ] && return 0
    if [ "$(id -u)" -ne 0 ]; then
        echo "system packages are missing; an administrator can add them with:" >&2
        echo "    sudo apt-get install$missing" >&2
        return 0
    fi
    echo "installing system packages:$missing" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >&2
    # shellcheck disable=SC2086 # a list of words
    apt-get install -qq -y --no-install-recommends $missing >/dev/null
}

case "${1:-}" in
venv)
    python=$2
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "Python 3.11 or newer is needed; name one: make … PYTHON=python3.12" >&2
        exit 1
    }
    "$python" -c 'import ensurepip, venv' 2>/dev/null || install python3-venv
    ;;
libraries)
    # shellcheck disable=SC2086 # a list of words
    install $LIBRARIES
    ;;
*)
    echo "usage: system_packages.sh venv PYTHON | libraries" >&2
    exit 2
    ;;
esac
