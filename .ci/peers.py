"""Compares decoded pixels with those of pydicom, dcmtk and gdcm, and prints a table. Fails where two of them read a file that is refused
here, or where all that read it agree with each other and not with us."""
import glob
import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pydicom
from PIL import Image
from pydicom.pixels import apply_color_lut, convert_color_space, pixel_array

warnings.simplefilter("ignore")
program, out = sys.argv[1:3]
SYNTAXES = {"j2k": ["gdcmconv", "--j2k"], "jls": ["gdcmconv", "--jpegls"], "ll-gdcm": ["gdcmconv", "--jpeg"],
            "rle": ["gdcmconv", "--rle"], "ll-dcmtk": ["dcmcjpeg", "+e1"], "jls-dcmtk": ["dcmcjpls"], "deflated": ["dcmconv", "+td"],
            "implicit": ["gdcmconv", "-I"], "big": ["dcmconv", "+tb"]}
CONVERTED = ["US1_UNCR.dcm", "examples_rgb_color.dcm", "examples_palette.dcm", "color-pl.dcm", "mlut_18.dcm", "OT-PAL-8-face.dcm"]


# Lossy JPEG 2000, which our decoder rebuilds otherwise (docs/decisions/0020).
KNOWN = {"US1_J2KI.dcm"}


def is_ours(path):
    """Ultrasound by class, or a Secondary Capture of no other modality."""
    try:
        d = pydicom.dcmread(path, stop_before_pixels=True, force=True)
    except Exception:
        return False
    uid, modality = str(d.get("SOPClassUID", "")), str(d.get("Modality", ""))
    is_us = uid in ("1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.3.1", "1.2.840.10008.5.1.4.1.1.6", "1.2.840.10008.5.1.4.1.1.3")
    is_sc = uid.startswith("1.2.840.10008.5.1.4.1.1.7") and modality in ("US", "IVUS", "OT", "")
    return (is_us or is_sc) and "Rows" in d


def files():
    root = os.path.dirname(os.path.dirname(pydicom.__file__))
    found = {}
    for folder in ("pydicom", "pydicom_data", "data_store"):
        for path in glob.glob(f"{root}/{folder}/**/*", recursive=True):
            if os.path.isfile(path) and not path.endswith((".py", ".json", ".txt", ".gz")) and is_ours(path):
                found.setdefault(os.path.basename(path), path)
    made = os.path.join(out, "made")
    os.makedirs(made, exist_ok=True)
    for name in CONVERTED:
        if name not in found:
            continue
        for key, command in SYNTAXES.items():
            target = os.path.join(made, f"{name[:-4]}.{key}.dcm")
            if subprocess.run([*command, found[name], target], capture_output=True).returncode == 0 and os.path.exists(target):
                found[os.path.basename(target)] = target
    return dict(sorted(found.items()))


def frames_of(array, samples, count):
    """[frames, rows, columns, 1 or 3]"""
    array = np.asarray(array)
    shape = array.shape
    if samples == 3:
        return array.reshape((-1, *shape[-3:]))
    return array.reshape((-1, *shape[-2:], 1))


def by_pydicom(path):
    try:
        d = pydicom.dcmread(path, force=True)
        if "TransferSyntaxUID" not in d.file_meta:
            d.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian if d.is_implicit_VR else pydicom.uid.ExplicitVRLittleEndian
        array = pixel_array(d)
        photometric = d.get("PhotometricInterpretation", "MONOCHROME2")
        if photometric == "PALETTE COLOR":
            array = apply_color_lut(array, d)
            bits = d.RedPaletteColorLookupTableDescriptor[2]
            array = (array >> (array.dtype.itemsize * 8 - 8)) if bits == 16 and array.max() > 255 else array
            return frames_of(array, 3, 0).astype(np.int32)
        samples = int(d.get("SamplesPerPixel", 1))
        stored = int(d.BitsStored)
        if samples == 3 and stored > 8:
            array = array >> (stored - 8)
        if samples == 1 and (stored != 8 or d.get("PixelRepresentation", 0)):
            low = -(2 ** (stored - 1)) if d.get("PixelRepresentation", 0) else 0
            array = array.astype(np.float64)
            window = (d.get("WindowCenter"), d.get("WindowWidth"))
            first = lambda v: float(v[0]) if isinstance(v, (list, pydicom.multival.MultiValue)) else float(v)
            if stored > 8 and window[0] is not None and window[1] is not None:
                array = array * float(d.get("RescaleSlope", 1)) + float(d.get("RescaleIntercept", 0))
                c, w = first(window[0]), first(window[1])
                share = (array - (c - 0.5)) / max(w - 1, 1e-9) + 0.5
            else:
                share = (array - low) / (2 ** stored - 1)
            array = np.clip(np.round(255 * share), 0, 255)
        array = frames_of(array, samples, 0).astype(np.int32)
        return 255 - array if photometric == "MONOCHROME1" else array
    except Exception:
        return None


def by_program(command, path, target):
    """A PNM picture of the first frame."""
    for old in glob.glob(target + "*"):
        os.remove(old)
    if subprocess.run([*command, path, target], capture_output=True).returncode != 0 or not os.path.exists(target):
        return None
    try:
        with Image.open(target) as picture:
            array = np.asarray(picture.convert("RGB" if picture.mode != "L" else "L"), dtype=np.int32)
    except Exception:
        return None
    return array.reshape((1, *array.shape[:2], -1))


def by_gdcm(path, target):
    """Made native by gdcm, then read by pydicom: gdcm decodes."""
    if os.path.exists(target):
        os.remove(target)
    if subprocess.run(["gdcmconv", "--raw", path, target], capture_output=True).returncode != 0 or not os.path.exists(target):
        return None
    return by_pydicom(target)


def difference(ours, theirs):
    n = min(len(ours), len(theirs))
    a, b = ours[:n], theirs[:n]
    if a.shape[1:3] != b.shape[1:3]:
        return None
    if a.shape[3] != b.shape[3]:
        a, b = (np.repeat(x, 3, axis=3) if x.shape[3] == 1 else x for x in (a, b))
    return int(np.abs(a - b).max())


def word(ours, theirs):
    if theirs is None:
        return "refused"
    if ours is None:
        return "read"
    gap = difference(ours, theirs)
    return "other size" if gap is None else "same" if gap <= 1 else f"differs {gap}"


def main():
    found = files()
    raws = os.path.join(out, "raw")
    os.makedirs(raws, exist_ok=True)
    lines = subprocess.run([program, raws, *found.values()], capture_output=True, text=True, check=True).stdout.splitlines()
    wrong, counts = [], {"read": 0, "refused": 0}
    print(f"{'file':<48} {'here':<9} {'pydicom':<13} {'dcmtk':<13} gdcm")
    for n, ((name, path), line) in enumerate(zip(found.items(), lines)):
        told, ours = json.loads(line), None
        if "error" not in told:
            shape = told["shape"]
            ours = np.fromfile(os.path.join(raws, f"{n}.raw"), dtype=np.uint8).reshape((-1, *shape)).astype(np.int32)
        theirs = [by_pydicom(path), by_program(["dcmj2pnm", "+op"], path, os.path.join(out, "d.pnm")),
                  by_gdcm(path, os.path.join(out, "g.dcm"))]
        words = [word(ours, t) for t in theirs]
        here = "refused" if ours is None else "read"
        counts[here] += 1
        print(f"{name:<48} {here:<9} {words[0]:<13} {words[1]:<13} {words[2]}" + (f"   {told['error'][-110:]}" if ours is None else ""))
        if ours is None and sum(w == "read" for w in words) >= 2:
            wrong.append(f"{name}: refused here, read by two")
        others = [t for t in theirs if t is not None]
        if ours is not None and len(others) >= 2 and all(w.startswith(("differs", "other")) for w in words if w != "refused"):
            if all(difference(others[0], o) is not None and difference(others[0], o) <= 1 for o in others[1:]):
                (print if name in KNOWN else wrong.append)(f"{name}: all others agree, not with us")
    print(f"{counts['read']} read, {counts['refused']} refused of {len(found)}")
    for line in wrong:
        print("WRONG", line)
    sys.exit(1 if wrong else 0)


main()
