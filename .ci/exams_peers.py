"""What other readers make of saved exams: dciodvfy, pydicom, highdicom, storescp, Orthanc, wlmscpfs. Fails when one of them does."""
import io, json, os, re, shutil, socket, subprocess, sys, time, urllib.request
import numpy as np, pydicom, highdicom
from pathlib import Path
from PIL import Image

samples, sonotap, out = sys.argv[1], sys.argv[2], Path(sys.argv[3])
bin_of_python = Path(sys.executable).parent
wrong, counts = [], {}
DATA = ["ID-4711", "QUARK", "ALICE", "19700131", "ACC-0815"]


def expect(is_so, what):
    counts["checks"] = counts.get("checks", 0) + 1
    if not is_so:
        wrong.append(what)


def run(*arguments, text=None, fails=False):
    done = subprocess.run([sonotap, "exams", *map(str, arguments)], input=text, capture_output=True, text=True)
    expect((done.returncode != 0) == fails, f"exams {arguments}: {done.returncode} {done.stderr}")
    for datum in DATA:
        expect(datum not in done.stdout + done.stderr, f"exams {arguments[0]} says {datum}")
    return done.stdout


def validate(path):
    done = subprocess.run([bin_of_python / "dciodvfy", path], capture_output=True, text=True)
    told = done.stdout + done.stderr
    errors = [line for line in told.splitlines() if "Error" in line]
    expect(not errors and done.returncode == 0, f"{path.name}: dciodvfy {done.returncode}: {errors[:5]}")
    counts["objects"] = counts.get("objects", 0) + 1
    for line in told.splitlines():
        if line.startswith("Warning"):
            warnings[line] = warnings.get(line, 0) + 1


def fill(rings, width, height):
    """Pixels whose centre is inside by the even-odd rule: the definition, apart from the program's."""
    y, x = np.mgrid[:height, :width] + 0.5
    inside = np.zeros((height, width), bool)
    for ring in rings:
        ring = np.asarray(ring, np.float64)
        for (ax, ay), (bx, by) in zip(np.roll(ring, 1, 0), ring):
            if ay == by:
                continue
            crosses = (ay <= y) != (by <= y)
            inside ^= crosses & (ax + (y - ay) / (by - ay) * (bx - ax) <= x)
    return inside


def numbers(group):
    return {
        item.ConceptNameCodeSequence[0].CodeValue: (
            float(item.MeasuredValueSequence[0].NumericValue),
            item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue,
        )
        for item in group.ContentSequence
        if item.ValueType == "NUM"
    }


def check_item(folder, number):
    notes = json.loads((folder / f"{number}.prompts.json").read_text())
    image = pydicom.dcmread(folder / f"{number}.dcm")
    picture = np.asarray(Image.open(folder / f"{number}.png"))
    frames = image.pixel_array
    is_cine = "NumberOfFrames" in image
    if is_cine:
        vector = [float(v) for v in image.FrameTimeVector]
        expect(np.allclose(np.cumsum(vector)[1:], notes["frame_times_ms"], atol=1e-3), f"{number}: times {vector}")
        expect(int(image.NumberOfFrames) == len(vector) == len(frames), f"{number}: {len(vector)} times, {len(frames)} frames")
        lossy = np.abs(frames[notes["frame"] - 1].astype(int) - picture).mean()
        expect(lossy < 14, f"{number}: JPEG differs by {lossy:.1f} in the mean")
    else:
        expect(np.array_equal(frames, picture), f"{number}: pixels differ from the PNG's")
    scales = [r["mm_per_px"] for r in notes["regions"] if r["mm_per_px"]]
    regions = getattr(image, "SequenceOfUltrasoundRegions", [])
    expect(len(scales) == len(regions), f"{number}: {len(regions)} regions for {len(scales)} scales")
    for scale, region, told in zip(scales, regions, notes["regions"]):
        expect(np.allclose([region.PhysicalDeltaX * 10, region.PhysicalDeltaY * 10], scale, atol=1e-7), f"{number}: scale")
        box = [region.RegionLocationMinX0, region.RegionLocationMinY0, region.RegionLocationMaxX1 + 1, region.RegionLocationMaxY1 + 1]
        expect(box == told["bounds_px"], f"{number}: region {box}")
    derived_from(folder, number, notes, image)
    if notes.get("derived_from"):
        first = pydicom.dcmread(folder / f"{notes['derived_from']:04}.dcm")
        source = image.SourceImageSequence[0]
        expect(source.ReferencedSOPInstanceUID == first.SOPInstanceUID, f"{number}: source")
        expect(source.ReferencedSOPClassUID == first.SOPClassUID and image.ImageType[0] == "DERIVED", f"{number}: derived")
        expect(("ReferencedFrameNumber" in source) == ("NumberOfFrames" in first), f"{number}: frame of the source")
        if "NumberOfFrames" in first:
            expect(source.ReferencedFrameNumber == notes["derived_from_frame"], f"{number}: which frame of the source")
            of_first = json.loads((folder / f"{notes['derived_from']:04}.prompts.json").read_text())
            is_lossy = notes["derived_from_frame"] != of_first["frame"]
            expect(image.LossyImageCompression == ("01" if is_lossy else "00"), f"{number}: {image.LossyImageCompression}")
            # What leaves without names is compressed once more.
            if folder.parent == store:
                frame = first.pixel_array[notes["derived_from_frame"] - 1]
                off = np.abs(frame.astype(int) - image.pixel_array).max()
                expect(off <= 2 if is_lossy else off > 0, f"{number}: {off} grey levels from the frame that it names")
    is_square = any(r["scale_source"] == "by hand, if px square" for r in notes["regions"])
    expect(is_square == ("taken for square" in image.get("ImageComments", "")), f"{number}: what its scale takes pixels for")
    aspect = [int(v) for v in image.get("PixelAspectRatio", [1, 1])]
    expect(all(abs(aspect[1] / aspect[0] - s[0] / s[1]) < 1e-3 for s in scales), f"{number}: aspect {aspect}")
    if notes.get("calipers") or notes.get("figures"):
        check_by_hand(folder, number, notes, image)
    if not notes["objects"]:
        return
    outlines = [fill(o["outline_px"], notes["width_px"], notes["height_px"]) for o in notes["objects"]]
    seg = highdicom.seg.segread(folder / f"{number}-seg.dcm")
    if is_cine:
        bits = seg.get_pixels_by_source_frame(image.SOPInstanceUID, [notes["frame"]])
    else:
        bits = seg.get_pixels_by_source_instance([image.SOPInstanceUID])
    for i, outline in enumerate(outlines):
        expect(np.array_equal(bits[0, :, :, i].astype(bool), outline), f"{number}: bits of segment {i + 1}")
    raw = pydicom.dcmread(folder / f"{number}-seg.dcm").pixel_array.reshape(len(outlines), *outlines[0].shape)
    expect(np.array_equal(raw.astype(bool), np.array(outlines)), f"{number}: bits by pydicom")
    report = highdicom.sr.srread(folder / f"{number}-sr.dcm")
    groups = [g for g in report.content.get_planar_roi_measurement_groups() if str(g.tracking_identifier).startswith("object")]
    expect(len(groups) == len(notes["objects"]), f"{number}: {len(groups)} groups")
    raw = pydicom.dcmread(folder / f"{number}-sr.dcm")
    measured = next(c for c in raw.ContentSequence if c.ValueType == "CONTAINER").ContentSequence
    for object_, group, raw_group in zip(notes["objects"], groups, measured):
        expect(str(group.tracking_uid) == object_["tracking_uid"], f"{number}: tracking UID")
        check_group(number, object_, raw_group, notes)


def derived_from(folder, number, notes, image):
    """The picture that is drawn on is the PNG, and names the frames that it is of."""
    if not (notes["objects"] or notes.get("calipers") or notes.get("figures")):
        return
    derived = pydicom.dcmread(folder / f"{number}-outlined.dcm")
    expect(np.array_equal(derived.pixel_array, np.asarray(Image.open(folder / f"{number}-outlined.png"))), f"{number}: outlined")
    expect(derived.SourceImageSequence[0].ReferencedSOPInstanceUID == image.SOPInstanceUID, f"{number}: source of outlined")


CODES = {
    "area": "42798000", "circumference": "74551000", "mean diameter": "81827009", "longest diameter": "103339001",
    "perimeter": "131191004", "major axis": "131187009", "length": "410668003", "width": "103355008", "height": "121207",
    "volume": "121221", "end-diastolic volume": "18026-5", "end-systolic volume": "18148-7", "ejection fraction": "18043-0",
}
METHODS = {"20 discs, one plane": "125208", "20 discs, two planes": "125207", "0.52 L×W×H": "lwh-0.52"}
UNITS = {"mm": "mm", "mm²": "mm2", "ml": "ml", "%": "%"}


def parts(item, value_type):
    return [c for c in getattr(item, "ContentSequence", []) if c.ValueType == value_type]


def named(items, code):
    return next((c for c in items if c.ConceptNameCodeSequence[0].CodeValue == code), None)


def told_number(item):
    measured = item.MeasuredValueSequence[0]
    return float(measured.NumericValue), measured.MeasurementUnitsCodeSequence[0].CodeValue


def scale_of(item, source, error, what):
    text = named(parts(item, "TEXT"), "scale-source").TextValue
    told = f", within {100 * error:.1f} %" if error is not None else ""
    expect(text == source + told, f"{what}: scale {text} for {source} {error}")


def geometry(item, kind, image, what):
    expect(item.GraphicType == kind, f"{what}: {item.GraphicType}")
    of = item.ContentSequence[0].ReferencedSOPSequence[0]
    expect(of.ReferencedSOPInstanceUID == image.SOPInstanceUID, f"{what}: on another image")
    return np.array(item.GraphicData).reshape(-1, 2)


def check_by_hand(folder, number, notes, image):
    """Calipers and figures by pydicom, and by highdicom's parser: geometry, codes, values, spread, methods, scales."""
    content = highdicom.sr.srread(folder / f"{number}-sr.dcm").content
    regions = {str(g.tracking_uid): g for g in content.get_planar_roi_measurement_groups()}
    others = {str(g.tracking_uid): g for g in content.get_image_measurement_groups()}
    raw = pydicom.dcmread(folder / f"{number}-sr.dcm")
    measured = next(c for c in raw.ContentSequence if c.ValueType == "CONTAINER").ContentSequence
    groups = {named(parts(g, "UIDREF"), "112040").UID: g for g in measured}
    for c in notes.get("calipers", []):
        check_caliper(f"{number} {c['letter']}", c, groups.get(c["tracking_uid"]), image, regions, others)
    for figures in notes.get("figures", []):
        what, group = f"{number} {figures['kind']}", groups.get(figures["tracking_uid"])
        known = [f for f in figures["figures"] if f["unit"] in UNITS]
        if not known:
            expect(group is None, f"{what}: a report of pixels")
            continue
        expect(figures["tracking_uid"] in others, f"{what}: highdicom does not know it")
        numbers = others[figures["tracking_uid"]].get_measurements()
        expect(len(numbers) == len(known), f"{what}: {len(numbers)} numbers")
        for f in known:
            item = named(parts(group, "NUM"), CODES[f["quantity"]])
            value, unit = told_number(item)
            expect(abs(value - f["value"]) < 1e-4 and unit == UNITS[f["unit"]], f"{what}: {value} {unit} for {f}")
            method = named(parts(item, "CODE"), "370129005").ConceptCodeSequence[0].CodeValue
            expect(METHODS.get(f["method"], method) == method, f"{what}: {method} for {f['method']}")
            scale_of(item, figures["scale_source"] or "uncalibrated", figures["scale_error"], what)
            if f["median"]:
                derived = named(parts(item, "CODE"), "121401").ConceptCodeSequence[0].CodeValue
                spread = [told_number(named(parts(item, "NUM"), code))[0] for code in ("frames", "255605001", "56851009")]
                kept = [f["median"][key] for key in ("frames", "least", "most")]
                expect(derived == "373099004" and np.allclose(spread, kept, atol=1e-4), f"{what}: {derived} {spread} for {kept}")


def check_caliper(what, c, group, image, regions, others):
    places = np.float32(c["places_px"])
    is_metric = c["length_mm"] is not None or c["area_mm2"] is not None
    if c["kind"] == "distance":
        if not is_metric:
            return expect(group is None, f"{what}: a length in px in the report")
        item = named(parts(group, "NUM"), "121206")
        expect(np.array_equal(geometry(named(parts(item, "SCOORD"), "121112"), "POLYLINE", image, what), places), f"{what}: line")
        (by_highdicom,) = others[c["tracking_uid"]].get_measurements()
        expect(abs(by_highdicom.value - c["length_mm"]) < 1e-4, f"{what}: {by_highdicom.value} by highdicom")
        # A second way to it: the line of the report and the scale of the image.
        region = image.SequenceOfUltrasoundRegions[0]
        sides = (places[1] - places[0]).astype(float) * [region.PhysicalDeltaX * 10, region.PhysicalDeltaY * 10]
        expect(abs(np.hypot(*sides) - told_number(item)[0]) < 1e-3, f"{what}: {told_number(item)} for {np.hypot(*sides)}")
        return scale_of(item, c["scale_source"], c["scale_error"], what)
    line = parts(group, "SCOORD")[0]
    roi = regions[c["tracking_uid"]].roi
    if c["kind"] == "ellipse":
        points = geometry(line, "ELLIPSE", image, what).astype(float)
        major, minor = np.hypot(*(points[1] - points[0])), np.hypot(*(points[3] - points[2]))
        expect(major >= minor and abs(np.pi / 4 * major * minor - c["area_px2"]) < 1e-3 * c["area_px2"], f"{what}: {major} {minor}")
        expect(roi.graphic_type.value == "ELLIPSE", f"{what}: {roi.graphic_type} by highdicom")
    else:
        expect(np.array_equal(geometry(line, "POLYLINE", image, what)[:-1], places), f"{what}: trace")
    told = numbers(group)
    if not is_metric:
        return expect(not told, f"{what}: {told} without a scale")
    for code, key in (("42798000", "area_mm2"), ("74551000", "circumference_mm")):
        if c[key] is not None:
            expect(abs(told[code][0] - c[key]) < 1e-4, f"{what}: {told[code]} for {c[key]}")
    scale_of(named(parts(group, "NUM"), "42798000"), c["scale_source"], c["scale_error"], what)


def check_group(number, object_, group, notes):
    line = next((c for c in group.ContentSequence if c.ValueType == "SCOORD"), None)
    if len(object_["outline_px"]) == 1:
        points = np.array(line.GraphicData).reshape(-1, 2)
        expect(np.array_equal(points[:-1], np.float32(object_["outline_px"][0])), f"{number}: polyline")
        expect(np.array_equal(points[0], points[-1]), f"{number}: polyline is open")
    else:
        expect(line is None, f"{number}: several rings as one polyline")
        bits = next(c for c in group.ContentSequence if c.ValueType == "IMAGE" and c.ConceptNameCodeSequence[0].CodeValue == "121191")
        expect("ReferencedSegmentNumber" in bits.ReferencedSOPSequence[0], f"{number}: segment")
    mm = (object_["measurements"] or {}).get("mm")
    told = numbers(group)
    expected = {"iou-estimate": (object_["score"], "1")}
    if mm:
        expected |= {
            "42798000": (mm["area_mm2"], "mm2"), "131191004": (mm["perimeter_mm"], "mm"), "103339001": (mm["longest_mm"], "mm"),
            "103340004": (mm["perpendicular_mm"], "mm"), "131187009": (mm["ellipse_axes_mm"][0], "mm"),
            "131188004": (mm["ellipse_axes_mm"][1], "mm"),
        }
        if mm["circumference_mm"] is not None:
            expected["74551000"] = (mm["circumference_mm"], "mm")
    expect(told.keys() == expected.keys(), f"{number}: measured {told.keys()}")
    for code, (value, unit) in expected.items():
        expect(abs(told[code][0] - value) < 1e-4 and told[code][1] == unit, f"{number}: {code} {told[code]} for {value} {unit}")
    # A second way to the area: the pixels.
    scale = next((r["mm_per_px"] for r in notes["regions"] if r["mm_per_px"]), None)
    if mm and scale:
        pixels = fill(object_["outline_px"], notes["width_px"], notes["height_px"]).sum() * scale[0] * scale[1]
        expect(abs(pixels - mm["area_mm2"]) < 0.01 * pixels, f"{number}: area {mm['area_mm2']} for {pixels} by pixels")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until_open(port, process):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
    raise SystemExit(f"{process.args[0]} does not listen on {port}")


def to_storescp(exam, objects):
    taken = out / "storescp"
    shutil.rmtree(taken, ignore_errors=True)
    taken.mkdir()
    port = free_port()
    archive = subprocess.Popen(["storescp", "--prefer-uncompr", "-od", taken, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until_open(port, archive)
        run("send", exam, "--in", store, "--to", f"ANY@127.0.0.1:{port}")
    finally:
        archive.kill(), archive.wait()
    received = [pydicom.dcmread(p) for p in taken.iterdir()]
    expect(len(received) == objects, f"storescp has {len(received)} of {objects}")
    expect(all(d.PatientID == DATA[0] and str(d.PatientName) == "QUARK^ALICE" for d in received), "storescp: patient")
    expect(all(not d.file_meta.TransferSyntaxUID.is_compressed for d in received), "storescp: it asked for native frames")
    for d in received:
        if "PixelData" in d:
            d.pixel_array
    # Killed: what is left is for another time, and says so.
    gone = run("send", exam, "--in", store, "--to", f"GONE@127.0.0.1:{port}", "--tries", 1, fails=True)
    expect("0 objects sent" in gone, gone)


def certificates():
    """An authority of our own, and what it signed: NAME.pem and NAME.key."""
    folder = out / "tls"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    openssl = lambda *a: subprocess.run(["openssl", *map(str, a)], cwd=folder, check=True, capture_output=True)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", 2, "-subj", "/CN=clinic", "-keyout", "ca.key", "-out", "ca.pem")
    for name in ("archive", "device"):
        (folder / f"{name}.ext").write_text("subjectAltName=DNS:pacs.example,IP:127.0.0.1")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl("x509", "-req", "-days", 2, "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-extfile", f"{name}.ext", "-out", f"{name}.pem")
    return folder


def by_tls(exam, objects):
    """dcmtk's storescp with TLS, which wants our certificate; without one, or without TLS, nothing is sent."""
    keys = certificates()
    taken = out / "storescp-tls"
    shutil.rmtree(taken, ignore_errors=True)
    taken.mkdir()
    port = free_port()
    tls = ["+tls", keys / "archive.key", keys / "archive.pem", "+cf", keys / "ca.pem"]
    archive = subprocess.Popen(["storescp", *tls, "-od", taken, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    profile = out / "tls.toml"
    said = f'[dicom]\narchive = "ANY@127.0.0.1:{port}"\n[dicom.tls]\nauthorities = "{keys}/ca.pem"\n'
    own = f'certificate = "{keys}/device.pem"\nkey = "{keys}/device.key"\n'
    try:
        until_open(port, archive)
        for wrong_one in (said, said.replace(f"{keys}/ca.pem", f"{keys}/device.pem") + own):
            profile.write_text(wrong_one)
            gone = run("send", exam, "--in", store, "--config", profile, "--tries", 1, fails=True)
            expect("0 objects sent" in gone, gone)
        gone = run("send", exam, "--in", store, "--to", f"ANY@127.0.0.1:{port}", "--tries", 1, "--timeout", 5, fails=True)
        expect("0 objects sent" in gone, gone)
        profile.write_text(said + own)
        began = time.monotonic()
        told = json.loads(run("send", exam, "--in", store, "--config", profile, "--json"))
        took = time.monotonic() - began
        print(f"to storescp by TLS: {told['sent']} objects, {told['bytes'] / 1e6:.1f} MB in {took:.2f} s, process and all")
    finally:
        archive.kill(), archive.wait()
    received = [pydicom.dcmread(p) for p in taken.iterdir()]
    expect(len(received) == objects, f"storescp by TLS has {len(received)} of {objects}")
    expect(all(d.PatientID == DATA[0] for d in received), "storescp by TLS: patient")


ORDERS = [
    # number, name, character set, step, day from today, modality
    (DATA[0], f"{DATA[1]}^{DATA[2]}", None, "STEP-1", 0, "US"),
    ("ID-4712", "B\u00d6HM^J\u00c9R\u00d4ME", "ISO_IR 100", "STEP-2", 1, "US"),
    ("ID-4713", "\u0418\u0432\u0430\u043d\u043e\u0432^\u041f\u0451\u0442\u0440", "ISO_IR 192", "STEP-3", -1, "US"),
    ("ID-4714", "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce", ["", "ISO 2022 IR 87"], "STEP-4", 0, "US"),
    ("ID-4715", "ELSEWHERE^X", None, "STEP-5", 0, "CT"),
    ("ID-4716", "LATER^X", None, "STEP-6", 9, "US"),
]


def worklist_files(folder):
    """A worklist as wlmscpfs reads it."""
    from datetime import datetime, timedelta, timezone
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid
    place = folder / "RIS"
    place.mkdir(parents=True)
    (place / "lockfile").touch()
    now = datetime.now(timezone.utc)
    for number, name, charset, step_id, day, modality in ORDERS:
        order, step = Dataset(), Dataset()
        if charset:
            order.SpecificCharacterSet = charset
        order.AccessionNumber, order.PatientName, order.PatientID = DATA[4] if day == 0 else "ACC-1", name, number
        order.PatientBirthDate, order.PatientSex, order.StudyInstanceUID = DATA[3], "F", generate_uid()
        order.ReferringPhysicianName = order.RequestingPhysician = order.MedicalAlerts = order.Allergies = ""
        order.RequestedProcedureID, order.RequestedProcedureDescription = f"P-{step_id}", "Bladder volume"
        order.ReferencedStudySequence, order.ReferencedPatientSequence = [], []
        step.Modality, step.ScheduledStationAETitle, step.ScheduledProcedureStepID = modality, "SONOTAP", step_id
        step.ScheduledProcedureStepStartDate = (now + timedelta(days=day)).strftime("%Y%m%d")
        step.ScheduledProcedureStepStartTime, step.ScheduledPerformingPhysicianName = "101500", ""
        step.ScheduledProcedureStepDescription, step.ScheduledStationName = "Bladder", "ROOM1"
        step.ScheduledProcedureStepLocation = step.PreMedication = step.RequestedContrastAgent = ""
        order.ScheduledProcedureStepSequence = [step]
        order.file_meta = FileMetaDataset()
        order.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        order.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.31"
        order.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        order.save_as(place / f"{step_id}.wl", enforce_file_format=True)


def from_worklist(exam):
    """dcmtk's wlmscpfs: orders around today, names in their letters, and an exam that is bound without typing."""
    folder = out / "worklist"
    shutil.rmtree(folder, ignore_errors=True)
    worklist_files(folder)
    port = free_port()
    server = subprocess.Popen(["wlmscpfs", "-dfp", folder, "-csk", "-dfr", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peer = f"RIS@127.0.0.1:{port}"
    today = time.strftime("%Y-%m-%d", time.gmtime())
    try:
        until_open(port, server)
        told = run("worklist", "--from", peer, "--day", today)
        expect(all(f"STEP-{n}" in told for n in (1, 2, 3)) and "STEP-5" not in told and "STEP-6" not in told, told)
        expect("1 orders are left out" in told, f"ISO 2022 is not read, and has to be counted: {told}")
        expect("STEP-6" in run("worklist", "--from", peer, "--all-days"), "all days")
        # On standard output, where somebody asked for it.
        said = subprocess.run([sonotap, "exams", "worklist", "--from", peer, "--day", today, "--patients", "--json"], capture_output=True, text=True)
        names = {order["step"]: order["patient"]["name"] for order in json.loads(said.stdout)}
        expect(names == {step: name for _, name, _, step, day, m in ORDERS if abs(day) < 2 and m == "US" and step != "STEP-4"}, str(names))
        expect(not any(datum in said.stderr for datum in DATA), said.stderr)
        run("worklist", "--from", f"OTHER@127.0.0.1:{port}", "--all-days", fails=True)
        run("worklist", "--from", peer, "--all-days", "--bind", exam, "--in", store, text="STEP-9", fails=True)
        run("worklist", "--from", peer, "--all-days", "--bind", exam, "--in", store, text="STEP-1\n")
        bound = json.loads((store / exam / "exam.json").read_text())["patient"]
        expect([bound[key] for key in ("id", "name", "birth_date", "sex", "accession")]
               == [DATA[0], f"{DATA[1]}^{DATA[2]}", DATA[3], "F", DATA[4]], "bound to somebody else")
    finally:
        server.kill(), server.wait()
    run("worklist", "--from", peer, "--timeout", 5, fails=True)


def to_orthanc(exam, objects):
    folder = out / "orthanc"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    dicom, http = free_port(), free_port()
    (folder / "orthanc.json").write_text(json.dumps({
        "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"), "DicomPort": dicom, "HttpPort": http,
        "DicomAet": "ORTHANC", "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "DicomCheckCalledAet": False, "Plugins": [],
    }))
    archive = subprocess.Popen(["Orthanc", folder / "orthanc.json"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    get = lambda path: urllib.request.urlopen(f"http://127.0.0.1:{http}{path}", timeout=30).read()
    try:
        until_open(dicom, archive), until_open(http, archive)
        began = time.monotonic()
        told = json.loads(run("send", exam, "--in", store, "--to", f"ORTHANC@127.0.0.1:{dicom}", "--json"))
        took = time.monotonic() - began
        print(f"to Orthanc: {told['sent']} objects, {told['bytes'] / 1e6:.1f} MB in {took:.2f} s, process and all")
        instances = json.loads(get("/instances"))
        expect(len(instances) == told["sent"] == objects, f"Orthanc has {len(instances)} of {objects}")
        shown = 0
        for instance in instances:
            tags = json.loads(get(f"/instances/{instance}/simplified-tags"))
            expect(tags["PatientID"] == DATA[0], f"Orthanc: patient of {tags['Modality']}")
            if tags["Modality"] == "US":
                picture = np.asarray(Image.open(io.BytesIO(get(f"/instances/{instance}/preview"))))
                expect(picture.std() > 5, "Orthanc shows an empty picture")
                shown += 1
        expect(shown > 0, "Orthanc shows no picture")
        again = json.loads(run("send", exam, "--in", store, "--to", f"ORTHANC@127.0.0.1:{dicom}", "--json"))
        expect((again["sent"], again["before"]) == (0, objects), f"sent again: {again}")
        # As if the marker had been lost with the power: the archive knows the object.
        marker = next((store / exam / "sent").glob("ORTHANC*/2.25.*"))
        marker.unlink()
        again = json.loads(run("send", exam, "--in", store, "--to", f"ORTHANC@127.0.0.1:{dicom}", "--json"))
        expect(again["sent"] == 1 and len(json.loads(get("/instances"))) == objects, f"a second time: {again}")
    finally:
        archive.terminate(), archive.wait()


def by_itself():
    """A run that sends ended exams by itself; its archive comes later. What is unbound stays."""
    own, taken = out / "store-by-itself", out / "storescp-by-itself"
    for folder in (own, taken):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(store, own)
    taken.mkdir()
    bound = [e for e in exams if json.loads((own / e / "exam.json").read_text()).get("patient")]
    objects = sum(len(list((own / e).glob("*.dcm"))) for e in bound)
    port = free_port()
    profile = out / "by-itself.toml"
    profile.write_text(f'[exams]\nfolder = "{own}"\nsend = "when-ended"\n[dicom]\narchive = "ANY@127.0.0.1:{port}"\n')
    started = subprocess.Popen([sonotap, "run", "--config", profile, "--source", "phantom:cyst", "--display", "none", "--loop", "--seconds", "30", "--json"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, "SONOTAP_HOME": str(Path(__file__).resolve().parent.parent)})
    time.sleep(5)
    archive = subprocess.Popen(["storescp", "-od", taken, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until_open(port, archive)
        told, said = started.communicate(timeout=180)
    finally:
        started.kill(), archive.kill(), archive.wait()
    sending = json.loads(told)["exam"]["sending"]
    expect(sorted(sending["sent"]) == bound and not sending["refused"], f"sent by itself: {sending}")
    expect(len(list(taken.iterdir())) == objects, f"by itself: storescp has {len(list(taken.iterdir()))} of {objects}")
    expect("it is tried again" in said, f"the archive came later: {said}")
    expect(not any(datum in told + said for datum in DATA), "by itself: a datum of the patient")


warnings = {}
store = out / "store"
for old in (store, out / "stick"):
    shutil.rmtree(old, ignore_errors=True)
subprocess.run([samples, store], check=True, stdout=subprocess.DEVNULL)
exams = sorted(p.name for p in store.iterdir() if re.match(r"\d{4}-", p.name))
for exam in exams:
    for path in sorted((store / exam).glob("*.dcm")):
        validate(path)
    for notes in sorted((store / exam).glob("*.prompts.json")):
        check_item(store / exam, notes.name[:4])
run("list", "--in", store), run("verify", "--in", store)
(out / "stick").mkdir()
from_worklist(exams[0])
for exam in exams:
    run("bind", exam, "--in", store, text=f"id={DATA[0]}\nname={DATA[1]}^{DATA[2]}\nbirth-date={DATA[3]}\nsex=F\naccession={DATA[4]}\n")
    run("show", exam, "--in", store)
    run("confirm", exam, "--in", store), run("end", exam, "--in", store)
    folder = Path(run("export", exam, "--in", store, "--to", out / "stick").split(": ")[0])
    for path in folder.iterdir():
        if path.suffix == ".dcm":
            validate(path)
            expect(pydicom.dcmread(path).PatientIdentityRemoved == "YES", f"{path.name}: not said to be de-identified")
        for datum in DATA:
            expect(datum.encode() not in path.read_bytes(), f"{path.name}: {datum}")
    sums = subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=folder, capture_output=True, text=True)
    expect(sums.returncode == 0, sums.stdout)
    for notes in sorted(folder.glob("*.prompts.json")):
        if json.loads(notes.read_text())["origin"] == "simulated":
            check_item(folder, notes.name[:4])
    run("export", exam, "--in", store, "--to", out / "stick", "--with-patient")
    for path in (out / "stick" / exam).glob("*.dcm"):
        validate(path)
objects = len(list((store / exams[0]).glob("*.dcm")))
by_itself()
to_storescp(exams[0], objects)
to_orthanc(exams[1], objects)
by_tls(exams[0], objects)
# Others have it with its patient: no order changes that.
run("bind", exams[0], "--in", store, text="id=OTHER\n", fails=True)
run("verify", "--in", store)
run("forget", exams[2], "--in", store, fails=True), run("forget", exams[0], "--in", store)
for line, times in sorted(warnings.items()):
    print(f"{times} x {line}")
print(f"{counts['objects']} objects validated, {counts['checks']} checks, {len(wrong)} wrong")
print("\n".join(wrong[:30]))
sys.exit(bool(wrong))
