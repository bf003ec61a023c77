#!/usr/bin/env bash
# What each part of the training is worth: short runs from ImageNet's weights that differ from the first in one thing, compared on the
# val splits, object by object, with intervals over groups.
#
#   training/ablation.sh SONOTAP OUT TEACHER [STEPS] [OBJECTS]     from the root of the repository, a binary with feature `train`;
#                                                                  TEACHER: weights of a network of the same form
set -euo pipefail
sonotap=$1 out=$2 teacher=$3 steps=${4:-600} objects=${5:-60}
mkdir -p "$out"
sets=(busbra hc18 psfhs usgra ccaui muscle_dl busi)
data=()
for set in "${sets[@]}"; do data+=(--data "../shared/data/$set"); done

# Name, and what sed does to the config of the first run.
runs=(
    "all      "
    "one      s/^targets = .*/targets = 1/; s/^part = .*/part = 0.0/"
    "real     s/^targets = .*/targets = 1/; s/^\(part\|scene\|structure\|region\|phantom\) = .*/\1 = 0.0/"
    "centre   s/^operator = .*/operator = \"centre\"/"
    "voronoi  s/^operator = .*/operator = \"voronoi\"/"
    "still    s/^carried = .*/carried = 0.0/"
    "phantom  s/^phantom = .*/phantom = 0.1/"
    "embedded s/^clip = .*/&\\ndistill = { embedding = 1.0, answers = 0.0, disagreement = 0.0, truth = 1.0 }/"
    "taught   s/^clip = .*/&\\ndistill = { embedding = 1.0, answers = 1.0, disagreement = 0.3, truth = 1.0 }/"
)
for run in "${runs[@]}"; do
    name=${run%% *} change=${run#* }
    [ ! -f "$out/$name/report.json" ] || continue
    sed -e "s/^steps = .*/steps = $steps/; s/^warmup = .*/warmup = 50/; s/^decay_from = .*/decay_from = 0.2/" \
        -e "s/^rate = .*/rate = 1e-3/; s/^average = .*/average = 0.99/; s/^validate_every = .*/validate_every = $steps/" \
        -e "s/^scene = /phantom = 0.0\nscene = /" training/student.toml | sed -e "$change" > "$out/$name.toml"
    if grep -q '^distill' "$out/$name.toml"; then
        "$sonotap" distill --teacher "$teacher" --student "$out/$name.toml" --out "$out/$name-run"
    else
        "$sonotap" train "$out/$name.toml" --out "$out/$name-run"
    fi
    "$sonotap" export "$out/$name-run/weights.safetensors" "$out/$name-model"
    "$sonotap" eval --model "$out/$name-model" "${data[@]}" --split val --protocol noc,box --look full --max-clicks 5 --jobs 2 \
        --limit "$objects" --report "$out/$name"
    [ "$name" = all ] || "$sonotap" eval --compare "$out/all/report.json" "$out/$name/report.json" | tee "$out/$name.txt"
done
