#!/bin/sh
# Makes a base image for the Dockerfile without a registry: Debian with its own Python 3.13, laid
# out as the official python images are (python and python3 on the PATH, users can be added).
#
#   base_image.sh WORK_FOLDER IMAGE_NAME
#
# CONTAINERS_CONF and CONTAINERS_STORAGE_CONF say where podman keeps it.
set -eu
work=$1
name=$2
suite=trixie
root="$work/root-$suite"

mirror=$(apt-get indextargets --format '$(REPO_URI)' "Identifier: Packages" | grep '/debian/*$' | head -n 1)
[ -n "$mirror" ] || { echo "apt knows no Debian mirror" >&2; exit 1; }

if [ ! -e "$root.done" ]; then
    rm -rf "$root"
    debootstrap --variant=minbase --include=ca-certificates,python3-minimal,python3,python3-venv \
        "$suite" "$root" "$mirror"
    ln -s python3 "$root/usr/bin/python"
    # The builder's network may trust authorities that Debian does not.
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
    touch "$root.done"
fi

tar -C "$root" -c . | podman import \
    -c 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    -c 'ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt' \
    - "$name"
