#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints an SPDX 2.3 document of the Debian packages of the file system that it runs in.
# usage: sbom.sh NAME VERSION CREATED INSIDE
# INSIDE: what else is in it, as lines of package, version and architecture, by tabs; of architecture "generic": no Debian package.
set -eu
name=$1 version=$2 created=$3 inside=$4
. /etc/os-release
packages="$(mktemp)"
dpkg-query -W -f '${Package}\t${Version}\t${Architecture}\t${Maintainer}\n' | sort >"$packages"
sum="$(cat "$packages" "$inside" | sha256sum | cut -c1-16)"
awk -F '\t' -v name="$name" -v version="$version" -v created="$created" -v sum="$sum" -v distribution="$ID-$VERSION_ID" \
  -v vendor="$ID" -v inside="$inside" -v architecture="$(dpkg --print-architecture)" '
  function text(value) {
    gsub(/\\/, "\\\\", value); gsub(/"/, "\\\"", value); gsub(/[\001-\037]/, " ", value)
    return "\"" value "\""
  }
  function escaped(value) { gsub(/%/, "%25", value); gsub(/\+/, "%2B", value); gsub(/:/, "%3A", value); return value }
  function id(value) { gsub(/[^A-Za-z0-9.-]/, "-", value); return "SPDXRef-" value }
  function item(ref, title, at, supplier, purl) {
    printf "    {\"SPDXID\": %s, \"name\": %s, \"versionInfo\": %s, \"supplier\": %s, \"downloadLocation\": \"NOASSERTION\", ", text(ref), text(title), text(at), text(supplier)
    printf "\"filesAnalyzed\": false, \"licenseConcluded\": \"NOASSERTION\", \"licenseDeclared\": %s, \"copyrightText\": \"NOASSERTION\"", text(ref == root ? "Apache-2.0" : "NOASSERTION")
    if (purl != "") printf ", \"externalRefs\": [{\"referenceCategory\": \"PACKAGE-MANAGER\", \"referenceType\": \"purl\", \"referenceLocator\": %s}]", text(purl)
    printf "}"
  }
  function debian(package, at, where) { return "pkg:deb/" vendor "/" escaped(package) "@" escaped(at) "?arch=" where "&distro=" distribution }
  BEGIN {
    root = id(name)
    printf "{\n  \"spdxVersion\": \"SPDX-2.3\",\n  \"dataLicense\": \"CC0-1.0\",\n  \"SPDXID\": \"SPDXRef-DOCUMENT\",\n"
    printf "  \"name\": %s,\n  \"documentNamespace\": %s,\n", text(name "-" version), text("https://cellwall.dev/spdx/" name "-" version "-" architecture "-" sum)
    printf "  \"creationInfo\": {\"created\": %s, \"creators\": [%s]},\n  \"packages\": [\n", text(created), text("Tool: cellwall-sbom-" version)
    item(root, name, version, "NOASSERTION", "")
    links = "    {\"spdxElementId\": \"SPDXRef-DOCUMENT\", \"relationshipType\": \"DESCRIBES\", \"relatedSpdxElement\": " text(root) "}"
    while ((getline line <inside) > 0) {
      split(line, part, "\t")
      ref = id("inside-" part[1])
      printf ",\n"
      item(ref, part[1], part[2], "NOASSERTION", part[3] == "generic" ? "pkg:generic/" part[1] "@" part[2] : debian(part[1], part[2], part[3]))
      links = links ",\n    {\"spdxElementId\": " text(root) ", \"relationshipType\": \"" (part[3] == "generic" ? "CONTAINS" : "STATIC_LINK") "\", \"relatedSpdxElement\": " text(ref) "}"
    }
  }
  {
    ref = id("deb-" $1 "-" $3)
    printf ",\n"
    item(ref, $1, $2, "Organization: " $4, debian($1, $2, $3))
    links = links ",\n    {\"spdxElementId\": " text(root) ", \"relationshipType\": \"CONTAINS\", \"relatedSpdxElement\": " text(ref) "}"
  }
  END { printf "\n  ],\n  \"relationships\": [\n%s\n  ]\n}\n", links }' "$packages"
rm "$packages"
