"""Outlines a structure on a frame of a DICOM file that pydicom (3 or newer) reads, by a box or a tap. Not for diagnostic use.

    python outline_dicom.py MODEL image.dcm --box 152,58,208,126 --out outlined.ppm
    python outline_dicom.py MODEL image.dcm --tap 180,90
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import pydicom
from pydicom.pixels import pixel_array

import sonotap


def pixels_of(data: pydicom.Dataset, number: int) -> np.ndarray:
    """A frame as uint8 of [H, W] or [H, W, 3]. pydicom converts YBR itself; doing it twice turns the picture green."""
    array = pixel_array(data, index=number)
    if array.dtype != np.uint8:
        low, high = float(array.min()), float(array.max())
        array = ((array - low) * (255.0 / max(high - low, 1.0))).astype(np.uint8)
    return np.ascontiguousarray(array)


def scale_of(data: pydicom.Dataset) -> tuple[float, float] | None:
    """mm a pixel of the only region, if there is one, in cm, and it is of this size."""
    regions = data.get("SequenceOfUltrasoundRegions", [])
    if len(regions) != 1 or regions[0].get("PhysicalUnitsXDirection") != 3:
        return None
    region = regions[0]
    if region.RegionLocationMaxX1 >= data.Columns or region.RegionLocationMaxY1 >= data.Rows:
        return None
    return abs(region.PhysicalDeltaX) * 10, abs(region.PhysicalDeltaY) * 10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("dicom")
    parser.add_argument("--frame", type=int, default=0)
    parser.add_argument("--box", help="x0,y0,x1,y1, image px")
    parser.add_argument("--tap", help="x,y, image px")
    parser.add_argument("--out", help="a PPM of the outlined frame")
    arguments = parser.parse_args()
    data = pydicom.dcmread(arguments.dicom)
    image = pixels_of(data, arguments.frame)
    with sonotap.Model(arguments.model).open(stepped=True, host_clock=True) as session:
        session.set_now_ns(1_000_000)
        session.push(image, content=sonotap.Content.BMODE, mm_per_px=scale_of(data), scale_source=sonotap.ScaleSource.DICOM)
        scene = session.poll()
        assert scene is not None
        session.presented(scene)
        session.command(sonotap.Command.FREEZE)
        if arguments.box:
            session.box(*map(float, arguments.box.split(",")))
        elif arguments.tap:
            session.tap(*map(float, arguments.tap.split(",")))
        else:
            parser.error("expected --box or --tap")
        latest = session.poll()
        while session.step():
            latest = session.poll() or latest
        if latest is None or latest.objects == 0:
            print("no outline", file=sys.stderr)
            return 1
        outlined = session.object(0)
        if outlined is None or not outlined.rings:
            print(f"no outline: {outlined}", file=sys.stderr)
            return 1
        mask = session.mask(0, latest)
        assert mask is not None
        print(f"{len(outlined.rings)} ring(s), {int(mask.sum())} px inside, score {outlined.score:.2f}, overlay {outlined.overlay.name}")
        for unit, values in (("px", outlined.px), ("mm", outlined.mm)):
            print(f"  {unit}: " + (", ".join(f"{n} {v:.1f}" for n, v in values.items()) if values else "not known"))
        if arguments.out:
            picture = image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)
            picture = np.kron(picture, np.ones((2, 2, 1), np.uint8))
            session.draw_overlay(picture)
            with open(arguments.out, "wb") as file:
                file.write(b"P6\n%d %d\n255\n" % (picture.shape[1], picture.shape[0]) + picture.tobytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
