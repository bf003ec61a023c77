"""Makes reference.json: what NumPy and SciPy say of means, pairs and calibration, so that the tests need neither.

pip install numpy scipy; python make.py > reference.json

quantiles   numpy.quantile, linear
paired      mean of b - a; 95 % interval of 20000 draws of whole groups with numpy's PCG64
singletons  the same pairs, each a group of its own: scipy.stats.bootstrap, percentile, 20000 resamples
calibration scipy.stats.binned_statistic in 10 bins of 0..1 (null: empty), scipy.stats.pearsonr
"""
import json
import numpy as np
from scipy import stats

RESAMPLES = 20000
rng = np.random.default_rng(20261126)

sizes = [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4]
groups = np.repeat([f"p{i:02}" for i in range(len(sizes))], sizes)
shift = np.repeat(rng.normal(0.03, 0.05, len(sizes)), sizes)
a = np.round(rng.uniform(0.5, 0.9, len(groups)), 4)
b = np.round(np.clip(a + shift + rng.normal(0, 0.03, len(groups)), 0, 1), 4)
differences = b - a

rows = [differences[groups == n] for n in np.unique(groups)]
drawn = rng.integers(0, len(rows), (RESAMPLES, len(rows)))
means = [np.concatenate([rows[i] for i in draw]).mean() for draw in drawn]
low, high = np.quantile(means, [0.025, 0.975])
single = stats.bootstrap((differences,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=rng).confidence_interval


def binned(values, how):
    found = stats.binned_statistic(a, values, how, bins=10, range=(0, 1)).statistic
    return [None if np.isnan(v) else float(v) for v in found]


print(json.dumps({
    "a": a.tolist(), "b": b.tolist(), "groups": groups.tolist(),
    "quantiles": [[q, float(np.quantile(a, q))] for q in [0.0, 0.025, 0.1, 0.25, 0.5, 0.9, 0.975, 1.0]],
    "difference": float(differences.mean()),
    "paired": [float(low), float(high)],
    "singletons": [float(single.low), float(single.high)],
    "calibration": {
        "n": [int(n) for n in binned(a, "count")],
        "predicted": binned(a, "mean"), "actual": binned(b, "mean"),
        "mean_absolute_error": float(np.abs(a - b).mean()), "bias": float((a - b).mean()),
        "correlation": float(stats.pearsonr(a, b).statistic),
    },
}))
