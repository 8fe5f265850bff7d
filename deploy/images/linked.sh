#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The Debian packages of the libraries that a program links, one a line; fails when one of them is in no package.
set -eu
if ldd "$1" | grep 'not found' >&2; then exit 1; fi
ldd "$1" | awk '/=> \// { print $3 }' | while read -r library; do
  file="$(readlink -f "$library")"
  # Some packages own their files under the path from before /lib became a link.
  found="$(dpkg-query -S "$file" 2>/dev/null || dpkg-query -S "${file#/usr}" 2>/dev/null)" || {
    echo "$library is in no package" >&2
    exit 1
  }
  echo "$found" | cut -d: -f1
done >/tmp/linked
sort -u /tmp/linked
rm /tmp/linked
