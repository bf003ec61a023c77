"""Makes reference.json: what SciPy, OpenCV and MedPy say of small masks, so that the tests need none of them.

pip install numpy scipy opencv-python-headless medpy; python make.py > reference.json

distance   scipy.ndimage.distance_transform_edt, 1 px padding, squared and rounded: exact
components cv2.connectedComponents, 8-connected
noc        RITM's protocol written down with cv2.distanceTransform(DIST_L2, DIST_MASK_PRECISE), 1 px padding
hd95       medpy.metric.binary.hd95 (percentile of both directions together), connectivity 1
assd       mean of both directions' medpy __surface_distances together
nsd        share of the same distances within 1.5 px
kmeans     least inertia of scipy.cluster.vq.kmeans2 over 30 starts
bootstrap  95 % interval of the mean, groups drawn with replacement, 40000 resamples of numpy's PCG64
"""
import json
import cv2
import numpy as np
from medpy.metric import binary
from scipy import ndimage
from scipy.cluster.vq import kmeans2

rng = np.random.default_rng(20261126)
surface = binary.__dict__["__surface_distances"]


def blob(h, w, level):
    noise = ndimage.gaussian_filter(rng.standard_normal((h, w)), rng.uniform(1.5, 4))
    return noise > np.quantile(noise, level)


def rows(mask):
    return ["".join("1" if v else "0" for v in r) for r in mask]


def padded_edt(mask):
    return ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]


def noc_click(truth, prediction, clicked):
    def depth(error):
        d = cv2.distanceTransform(np.pad(error, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
        for x, y in clicked:
            d[y, x] = 0
        return np.round(d * d)
    missed, added = depth(truth & ~prediction), depth(prediction & ~truth)
    positive = missed.max() > added.max()
    d = missed if positive else added
    y, x = np.unravel_index(int(d.argmax()), d.shape)
    return int(x), int(y), bool(positive)


cases = []
for i in range(10):
    h, w = int(rng.integers(16, 34)), int(rng.integers(16, 40))
    truth, prediction = blob(h, w, 0.7), blob(h, w, 0.75)
    if i % 2:
        prediction = ndimage.binary_dilation(np.roll(truth, (2, -1), (0, 1)), iterations=1)
    clicks, clicked = [], []
    for _ in range(4):
        x, y, positive = noc_click(truth, prediction, clicked)
        clicks.append([x, y, positive])
        clicked.append((x, y))
    both = np.hstack([surface(truth, prediction, None, 1), surface(prediction, truth, None, 1)])
    pixels = np.argwhere(truth)[:, ::-1].astype(float)
    k = 3
    inertia = min(
        ((pixels - c[l]) ** 2).sum()
        for c, l in (kmeans2(pixels, k, minit="++", seed=s, iter=60) for s in range(30))
    )
    cases.append({
        "truth": rows(truth), "prediction": rows(prediction),
        "squared": [int(round(v)) for v in (padded_edt(truth) ** 2).ravel()],
        "components": int(cv2.connectedComponents(truth.astype(np.uint8), connectivity=8)[0] - 1),
        "noc": clicks,
        "hd95": float(binary.hd95(truth, prediction, connectivity=1)),
        "assd": float(both.mean()), "nsd": float((both <= 1.5).mean()),
        "dice": float(binary.dc(truth, prediction)), "iou": float(binary.jc(truth, prediction)),
        "kmeans_inertia": float(inertia),
    })
sizes = rng.integers(1, 9, 14)
values, groups = [], []
for g, n in enumerate(sizes):
    centre = rng.uniform(0.4, 0.9)
    for _ in range(n):
        values.append(round(float(np.clip(rng.normal(centre, 0.08), 0, 1)), 4))
        groups.append(f"g{g}")
v, owner = np.array(values), np.array(groups)
sums = [(v[owner == f"g{g}"].sum(), (owner == f"g{g}").sum()) for g in range(len(sizes))]
sums = np.array(sums)
draws = rng.integers(0, len(sizes), (40000, len(sizes)))
means = sums[draws, 0].sum(1) / sums[draws, 1].sum(1)
low, high = np.quantile(means, [0.025, 0.975])
print(json.dumps({"cases": cases, "bootstrap": {"values": values, "groups": groups, "low": low, "high": high}}))
