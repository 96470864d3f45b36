#!/bin/sh
# Fetches the suites from PyPI and gives them an environment of their own, once.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=${INTEROP_TOOLS:-$root/.interop}/suites
stamp=$work/.ready
[ "$stamp" -nt "$here/requirements.txt" ] && [ "$stamp" -nt "$root/requirements.txt" ] && exit 0
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_USER=0
rm -rf "$work"
mkdir -p "$work"
"${1:-python3}" -m venv "$work/venv"
pip() { "$work/venv/bin/python" -m pip --no-input "$@" -qq; }
pip install --require-hashes -r "$root/requirements.txt"
pip install -r "$here/requirements.txt"
for suite in aiosmtpd-1.4.6 aiosmtplib-5.1.3; do # as SUITES in run.py
    package=${suite%-*}
    pip download --no-deps --no-binary "$package" --dest "$work" "$package==${suite#*-}"
    tar -xzf "$work/$suite.tar.gz" -C "$work"
done
touch "$stamp"
