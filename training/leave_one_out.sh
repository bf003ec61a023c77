#!/usr/bin/env bash
# What a change is worth on organs that were never trained on: one organ after the other is left out of training, with and without
# the change, and looked at on its val split. Short runs from ImageNet's weights, because all later ones have seen every set.
#
#   training/leave_one_out.sh SONOTAP OUT NAME CHANGE [STEPS] [OBJECTS] [SEED]
#
#   from the root of the repository, a binary with feature `train`; CHANGE: what sed does to training/student-10.toml, e. g.
#     near      's/^near = .*/near = 0.0/'
#     silent    '/^normalize_from = /d; /^inputs_at_rate = /d'
#     kinds     '/^folder = .*other_/d'   (a `[[data]]` block without a folder goes)
#   The runs without a change are kept in OUT/base-SEED and shared by all changes.
set -euo pipefail
sonotap=$1 out=$2 name=$3 change=$4 steps=${5:-1500} objects=${6:-60} seed=${7:-1}
mkdir -p "$out"
# Organ, and the sets that show it.
organs=(
    "breast busbra busuclm"
    "fetal hc18 psfhs"
    "nerve usgra"
    "carotid ccaui"
    "muscle muscle_dl"
    "bone ultrabones ultrabones_cine"
)

# Blocks of the config, those of the named sets left out.
without() {
    awk -v RS= -v ORS='\n\n' -v sets="$*" '
        BEGIN { n = split(sets, left, " ") }
        /^\[\[data\]\]/ { for (i = 1; i <= n; i++) if ($0 ~ "/" left[i] "\"") next; if ($0 !~ /folder/) next }
        { print }'
}

run() { # folder, change, organ, sets
    local at=$1 change=$2 organ=$3
    shift 3
    [ ! -f "$at/$organ/report.json" ] || return 0
    mkdir -p "$at"
    sed -e "$change" training/student-10.toml | without "$@" \
        | sed -e "s/^seed = .*/seed = $seed/; s/^steps = .*/steps = $steps/; s/^warmup = .*/warmup = 50/" \
            -e "s/^rate = .*/rate = 1e-3/; s/^decay_from = .*/decay_from = 0.2/; s/^average = .*/average = 0.99/" \
            -e "s/^validate_every = .*/validate_every = 0/; s/^normalize_from = .*/normalize_from = 4/" \
            -e 's|^checkpoint = .*|imagenet = "checkpoints/efficientnet-lite0-57934424.pth"|' > "$at/$organ.toml"
    "$sonotap" train "$at/$organ.toml" --out "$at/$organ-run"
    "$sonotap" export "$at/$organ-run/weights.safetensors" "$at/$organ-model"
    local data=()
    for set in "$@"; do
        ! grep -q ',val' "../shared/data/$set/manifest.csv" || data+=(--data "../shared/data/$set")
    done
    "$sonotap" eval --model "$at/$organ-model" "${data[@]}" --split val --protocol noc,box --look full --max-clicks 5 --jobs 2 \
        --limit "$objects" --report "$at/$organ"
}

for organ in "${organs[@]}"; do
    read -r organ sets <<< "$organ"
    # shellcheck disable=SC2086
    run "$out/base-$seed" '' "$organ" $sets
    # shellcheck disable=SC2086
    run "$out/$name-$seed" "$change" "$organ" $sets
    "$sonotap" eval --compare "$out/base-$seed/$organ/report.json" "$out/$name-$seed/$organ/report.json" \
        | tee "$out/$name-$seed/$organ.txt"
done
