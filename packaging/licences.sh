#!/usr/bin/env bash
# Licences of every crate that libsonotap is linked from, with their texts, on standard output.
set -euo pipefail
cd "$(dirname "$0")/.."
echo 'libsonotap is Apache-2.0 OR MIT. It contains these crates, each under its own licence:'
echo
list=$(cargo metadata --locked --offline --format-version 1 --filter-platform x86_64-unknown-linux-gnu |
    python3 -c '
import json, sys
meta = json.load(sys.stdin)
packages = {p["id"]: p for p in meta["packages"]}
nodes = {n["id"]: n for n in meta["resolve"]["nodes"]}
todo, seen = [i for i, p in packages.items() if p["name"] == "sonotap-capi"], set()
while todo:
    node = todo.pop()
    if node not in seen:
        seen.add(node)
        todo += [d["pkg"] for d in nodes[node]["deps"] if any(k["kind"] is None for k in d["dep_kinds"])]
for p in sorted((packages[i] for i in seen), key=lambda p: p["name"]):
    if p["source"]:
        print(p["name"], p["version"], (p["license"] or "see the file").replace(" ", "_"), p["manifest_path"].rsplit("/", 1)[0])
')
echo "$list" | while read -r name version licence _; do echo "$name $version: ${licence//_/ }"; done
echo "$list" | while read -r name version _ folder; do
    find "$folder" -maxdepth 1 -type f \( -iname 'licen[cs]e*' -o -iname 'copying*' -o -iname 'notice*' \) | sort | while read -r file; do
        printf '\n======== %s %s: %s\n\n' "$name" "$version" "$(basename "$file")"
        cat "$file"
    done
done
