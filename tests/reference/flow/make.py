"""Makes the stored reference flows of tests/motion.rs: python make.py, in this folder.

Needs numpy and opencv-python-headless (made with numpy 2.4.6, OpenCV 5.0.0). The pictures are synthetic speckle of 128 x 96 px,
64 grey levels so that they stay small; `earlier.png` is warped to `shift.png`, `turn.png`, `bend.png`. NAME.flow is the
backward flow from NAME.png to earlier.png by DISOpticalFlow, preset medium: for each cell of 4 x 4 px, row-major, the mean
(dx, dy) as two signed bytes in 1/16 px.
"""

import cv2
import numpy as np

WIDTH, HEIGHT, MARGIN, FINE = 128, 96, 16, 2

rng = np.random.default_rng(20)
size = (2, (HEIGHT + 2 * MARGIN) * FINE, (WIDTH + 2 * MARGIN) * FINE)
re, im = (cv2.GaussianBlur(part, (0, 0), sigmaX=1.8 * FINE, sigmaY=1.2 * FINE) for part in rng.normal(size=size))
power = re**2 + im**2
texture = np.clip(130 + 85 * np.log10(np.maximum(power / power.mean(), 1e-4)), 0, 255).astype(np.float32)

y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32) + 0.5


def picture(dx, dy):
    at = lambda v: ((v + MARGIN) * FINE - 0.5).astype(np.float32)
    grey = cv2.remap(texture, at(x + dx), at(y + dy), cv2.INTER_CUBIC)
    return (np.clip(grey, 0, 255) / 4).astype(np.uint8) * 4


def turn(degrees, scale):
    s, c = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    u, v = x - WIDTH / 2, y - HEIGHT / 2
    return (c * u + s * v) / scale - u, (-s * u + c * v) / scale - v


MOTIONS = {
    "shift": (np.full_like(x, 2.3), np.full_like(x, -1.6)),
    "turn": turn(2.0, 1.03),
    "bend": (2.0 * np.sin(y / 25) * np.cos(x / 40), 1.5 * np.sin(x / 30 + 1)),
}

earlier = picture(0, 0)
cv2.imwrite("earlier.png", earlier, [cv2.IMWRITE_PNG_COMPRESSION, 9])
search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
for name, (dx, dy) in MOTIONS.items():
    later = picture(dx, dy)
    cv2.imwrite(f"{name}.png", later, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    flow = search.calc(later, earlier, None)
    cells = flow.reshape(HEIGHT // 4, 4, WIDTH // 4, 4, 2).mean(axis=(1, 3))
    np.clip(np.round(cells * 16), -128, 127).astype(np.int8).tofile(f"{name}.flow")
    print(name, "OpenCV's mean error", np.hypot(flow[..., 0] - dx, flow[..., 1] - dy).mean().round(3), "px")
