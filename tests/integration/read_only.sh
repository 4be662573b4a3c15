#!/bin/sh
# Runs a program where nothing can be written, except below the folders that are named:
# unshare --mount read_only.sh [FOLDER]... -- PROGRAM [ARGUMENT]...
set -eu
mount --make-rprivate /
keep=' '
while [ "$1" != -- ]; do
    keep="$keep$1 "
    shift
done
shift
for folder in / /tmp /var/tmp /run /dev/shm; do
    case $keep in *" $folder "*) continue ;; esac
    mountpoint -q "$folder" || [ "$folder" = / ] || continue
    mount -o remount,bind,ro "$folder"
done
exec "$@"
