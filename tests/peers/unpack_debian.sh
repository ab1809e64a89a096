#!/bin/sh
# Downloads Debian packages with everything they need that this machine lacks, and unpacks them.
# Usage: unpack_debian.sh FOLDER PACKAGE...
#
# Nothing is installed, and the machine's own lists of packages stay as they are: FOLDER has its own.
set -eu

folder=$1
shift
rm -rf "$folder"
mkdir -p "$folder/lists/partial" "$folder/archives/partial"
apt() {
  apt-get --quiet --quiet -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=true \
    -o Acquire::Retries=3 -o Dir::State::lists="$folder/lists" -o Dir::Cache="$folder" "$@"
}
apt update
apt --yes --no-install-recommends --download-only install "$@"
for package in "$folder"/archives/*.deb; do
  [ ! -e "$package" ] || dpkg-deb --extract "$package" "$folder"  # there may be none
done
rm -rf "$folder/lists" "$folder/archives" "$folder"/*.bin
