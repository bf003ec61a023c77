#!/usr/bin/env bash
# Licences of every crate that libsonotap is linked from, with their texts, on standard output.
set -euo pipefail
cd "$(dirname "$0")/.."
echo 'libsonotap is Apache-2.0 OR MIT. It contains these crates, each under its own licence:'
echo
linked=$(cargo tree --package sonotap-capi --edges normal --target x86_64-unknown-linux-gnu --prefix none --locked --offline --format '{p}' |
    sed 's/ (\*)$//; s/ (proc-macro)$//; s/ v/ /' | grep -v ' (/' | sort -u)
list=$(cargo metadata --locked --offline --format-version 1 | LINKED=$linked python3 -c '
import json, os, sys
linked = set(os.environ["LINKED"].splitlines())
for p in sorted(json.load(sys.stdin)["packages"], key=lambda p: p["name"]):
    if p["name"] + " " + p["version"] in linked:
        print(p["name"], p["version"], (p["license"] or "see_the_file").replace(" ", "_"), p["manifest_path"].rsplit("/", 1)[0])
')
echo "$list" | while read -r name version licence _; do echo "$name $version: ${licence//_/ }"; done
echo "$list" | while read -r name version _ folder; do
    find "$folder" -maxdepth 1 -type f \( -iname 'licen[cs]e*' -o -iname 'copying*' -o -iname 'notice*' \) | sort | while read -r file; do
        printf '\n======== %s %s: %s\n\n' "$name" "$version" "$(basename "$file")"
        cat "$file"
    done
done
