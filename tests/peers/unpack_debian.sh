#!/bin/sh
# Downloads Debian packages with everything they need that this machine lacks, and unpacks them.
# Usage: unpack_debian.sh FOLDER PACKAGE...
#
# Nothing is installed, and the machine's own lists of packages stay as they are: FOLDER has its own.
# A package that this distribution does not have is left out, in a line that says so.
set -eu

folder=$1
shift
rm -rf "$folder"
mkdir -p "$folder/lists/partial" "$folder/archives/partial"
apt() {
  program=$1
  shift
  "apt-$program" --quiet --quiet -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=true \
    -o Acquire::Retries=3 -o Dir::State::lists="$folder/lists" -o Dir::Cache="$folder" "$@"
}
apt get update
for package in "$@"; do
  shift
  if apt cache show "$package" >/dev/null; then
    set -- "$@" "$package"
  else
    echo "This distribution has no $package" >&2
  fi
done
apt get --yes --no-install-recommends --download-only install "$@"
for package in "$folder"/archives/*.deb; do
  [ ! -e "$package" ] || dpkg-deb --extract "$package" "$folder"  # there may be none
done
rm -rf "$folder/lists" "$folder/archives" "$folder"/*.bin
