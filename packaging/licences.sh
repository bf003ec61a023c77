#!/usr/bin/env bash
# Licences of every crate that libsonotap or another package is linked from, with their texts, on standard output:
# packaging/licences.sh [TARGET [FEATURES [PACKAGE]]]
set -euo pipefail
target=${1:-x86_64-unknown-linux-gnu} features=${2:-} package=${3:-sonotap-capi}
cd "$(dirname "$0")/.."
echo 'sonotap is Apache-2.0 OR MIT. It contains these crates, each under its own licence:'
echo
linked=$(cargo tree --package "$package" --no-default-features ${features:+--features "$features"} --edges normal --target "$target" \
    --prefix none --locked --offline --format '{p}' |
    sed 's/ (\*)$//; s/ (proc-macro)$//; s/ v/ /' | grep -v ' (/' | sort -u)
list=$(cargo metadata ${features:+--features device} --locked --offline --format-version 1 | LINKED=$linked python3 -c '
import json, os, sys
linked = set(os.environ["LINKED"].splitlines())
for p in sorted(json.load(sys.stdin)["packages"], key=lambda p: p["name"]):
    if p["name"] + " " + p["version"] in linked:
        print(p["name"], p["version"], (p["license"] or "see_the_file").replace(" ", "_"), p["manifest_path"].rsplit("/", 1)[0])
')
if [ "$(echo "$linked" | wc -l)" != "$(echo "$list" | wc -l)" ]; then
    echo "licences of $(echo "$list" | wc -l) crates found, $(echo "$linked" | wc -l) are linked" >&2
    exit 1
fi
echo "$list" | while read -r name version licence _; do echo "$name $version: ${licence//_/ }"; done
echo "$list" | while read -r name version _ folder; do
    find "$folder" -maxdepth 1 -type f \( -iname 'licen[cs]e*' -o -iname 'copying*' -o -iname 'notice*' \) | sort | while read -r file; do
        printf '\n======== %s %s: %s\n\n' "$name" "$version" "$(basename "$file")"
        cat "$file"
    done
done
