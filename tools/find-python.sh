#!/bin/sh
# Prints a Python that the locks are made for. Without one, or without git, says in one sentence what to install.
# usage: find-python.sh [--with-venv]
set -eu

command -v git >/dev/null || { echo "git is missing; on Debian: apt-get install git" >&2; exit 1; }

for name in ${PYTHON:-python3 python3.12 python3.11}; do
    # Version managers leave commands on the PATH that answer only for the version they have switched on: so ask each.
    path=$("$name" -c 'import sys; assert (3, 11) <= sys.version_info[:2] <= (3, 12); print(sys.executable)' 2>/dev/null) ||
        continue
    if [ "${1-}" = --with-venv ] && ! "$path" -c 'import ensurepip, venv' 2>/dev/null; then
        echo "$path has no venv module; on Debian: apt-get install python3-venv (or install uv)" >&2
        exit 1
    fi
    echo "$path"
    exit
done

echo "Python 3.11 or 3.12 is missing; on Debian 12: apt-get install python3 python3-venv (or name one: make PYTHON=...)" >&2
exit 1
