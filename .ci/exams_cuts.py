"""Power cuts and failing disks under `exam_cuts`. What was acknowledged has to be there, whole; the broken variants have to lose it.

The disk logs its writes and flushes. A cut is everything up to the last flush before a random place, and a random part of what was written
from there to that place, in no order. The broken variants are the same program whose sync calls do nothing, or whose syncs of folders
do nothing (strace)."""
import random, re, shutil, struct, subprocess, sys, tempfile, time
from pathlib import Path

program, out, cuts = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
work = Path(tempfile.mkdtemp(prefix="cuts", dir="/dev/shm"))
mounted = work / "mounted"
mounted.mkdir()
random.seed(1)
wrong = []


def shell(*command, **more):
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True, **more).stdout


def make_image(path, kind, megabytes):
    with open(path, "wb") as file:
        file.truncate(megabytes << 20)
    shell(f"mkfs.{kind}", "-q", "-F", path)


def check(acknowledged, store):
    done = subprocess.run([program, "check", store], input="".join(acknowledged), capture_output=True, text=True)
    found = re.match(r"acknowledged (\d+) lost (\d+) torn (\d+) repairs (\d+)", done.stdout)
    if not found:
        return len(acknowledged), len(acknowledged), 1, 0, done.stderr
    return *map(int, found.groups()), done.stderr


class LoggedDisk:
    """A disk whose writes and flushes are logged in their order, by qemu-storage-daemon."""

    def __init__(self, kind):
        self.kind, self.image, self.log, self.export = kind, work / "disk.img", work / "log", work / "exported"
        make_image(self.image, kind, 64)
        self.base = self.image.read_bytes()
        self.log.write_bytes(b"")
        self.export.touch()
        self.daemon = subprocess.Popen([
            "qemu-storage-daemon", "--blockdev", f"driver=file,filename={self.image},node-name=disk",
            "--blockdev", f"driver=file,filename={self.log},node-name=log",
            "--blockdev", "driver=blklogwrites,file=disk,log=log,node-name=logged,log-sector-size=512",
            "--export", f"type=fuse,id=export,node-name=logged,mountpoint={self.export},writable=on"])
        until(lambda: f" {self.export} fuse" in Path("/proc/mounts").read_text())
        shell("mount", "-o", "loop", self.export, mounted)

    def close(self):
        shell("umount", mounted)
        self.daemon.terminate(), self.daemon.wait()

    def entries(self):
        """(end in the log, whether it is a flush, place on the disk, bytes)."""
        log = self.log.read_bytes()
        count = struct.unpack_from("<Q", log, 16)[0]
        at, found = 512, []
        for _ in range(count):
            sector, sectors, flags, _ = struct.unpack_from("<QQQQ", log, at)
            size = 0 if flags & 4 else sectors * 512
            found.append((at + 512 + size, bool(flags & 1), sector * 512, log[at + 512:at + 512 + size]))
            at += 512 + size
        return found


def until(is_so):
    for _ in range(400):
        if is_so():
            return
        time.sleep(0.05)
    raise SystemExit("waited in vain")


def power_cuts(name, kind, wrapper, wanted):
    """Cuts at random places of the log; of what was written after the last flush any part may be missing.

    On ext4 the disk gets full. On ext2 it does not: there blocks of a deleted file may be written anew before its deletion is.
    """
    disk = LoggedDisk(kind)
    acks = []
    store = mounted / "exams"
    command = [*map(str, wrapper(store)), program, "write", str(store), "40" if kind == "ext4" else "20"]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for line in writer.stdout:
        # Not too early: what was written meanwhile counts as written before.
        acks.append((disk.log.stat().st_size, line))
    writer.wait()
    disk.close()
    entries = disk.entries()
    first = next(i for i, entry in enumerate(entries) if entry[0] >= acks[0][0])
    places = sorted(random.choices(range(first, len(entries)), k=wanted))
    now, applied, sums = bytearray(disk.base), 0, [0, 0, 0, 0]
    for place in places:
        flushed = max((i for i in range(applied, place + 1) if entries[i][1]), default=applied)
        while applied < flushed:
            end, _, at, data = entries[applied]
            now[at:at + len(data)] = data
            applied += 1
        cut, keeps_all = bytearray(now), random.random() < 0.3
        for _, _, at, data in entries[applied:place + 1]:
            if keeps_all or random.random() < 0.5:
                cut[at:at + len(data)] = data
        snap = work / "snap.img"
        snap.write_bytes(cut)
        acknowledged = [line for position, line in acks if position <= entries[place][0]]
        sums = [a + b for a, b in zip(sums, after_cut(kind, snap, acknowledged))]
    print(f"power cuts, {kind}, {name}: {wanted} cuts, {sums[0]} acknowledged, {sums[1]} lost, {sums[2]} torn, {sums[3]} repairs", flush=True)
    return sums


def after_cut(kind, snap, acknowledged):
    if kind == "ext2":
        # Without a journal it is repaired first; the status says that it was.
        subprocess.run(["e2fsck", "-fy", snap], capture_output=True)
    try:
        shell("mount", "-o", "loop", snap, mounted)
    except subprocess.CalledProcessError as e:
        wrong.append(f"a cut cannot be mounted: {e.stderr}")
        return len(acknowledged), len(acknowledged), 0, 0
    try:
        return check(acknowledged, mounted / "exams")[:4]
    finally:
        shell("umount", mounted)


def without_syncs(store):
    return ["strace", "-f", "-qqq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:retval=0"]


def without_folder_syncs(store):
    day = time.strftime("%Y-%m-%d", time.gmtime())
    folders = [store, *(store / f"{day}-{n:04}" for n in range(1, 30))]
    paths = [word for folder in folders for word in ("-P", folder)]
    return [*without_syncs(store), *paths]


def injected(call, what, when, store, count):
    """A run in which one call fails; what it said, and whether there was such a call."""
    shutil.rmtree(store, ignore_errors=True)
    trace = work / "trace"
    done = subprocess.run(
        ["strace", "-f", "-o", trace, "-e", f"trace={call}", "-e", f"inject={call}:{what}:when={when}", program, "write", store, str(count)],
        capture_output=True, text=True)
    hit = "INJECTED" in trace.read_text() or "killed by" in trace.read_text() or done.returncode == -9
    return done, hit


CALLS = ["write", "fsync", "fdatasync", "rename", "mkdir", "unlink"]


def every_call(what, count=3):
    """Each call that writes fails at every place in turn, until a run has no such call."""
    store = work / "exams"
    acknowledged = lost = torn = calls = 0
    for call in CALLS:
        when = 1
        while True:
            done, hit = injected(call, what, when, store, count)
            if not hit:
                break
            place = f"{what} at {call} {when}"
            if done.returncode not in (0, 3, -9, 137):
                wrong.append(f"{place}: status {done.returncode}: {done.stderr[-300:]}")
            lines = [line for line in done.stdout.splitlines(True) if line.startswith("ACK") and line.endswith("\n")]
            if (store / "store.json").exists():
                a, l, t, _, told = check(lines, store)
                acknowledged, lost, torn = acknowledged + a, lost + l, torn + t
                if l + t:
                    wrong.append(f"{place}: {l} lost, {t} torn: {told}")
            elif lines:
                wrong.append(f"{place}: acknowledged without a store")
            when, calls = when + 1, calls + 1
        if when == 1:
            wrong.append(f"{what}: no {call} was met")
    print(f"{what} at each of {calls} calls: {acknowledged} acknowledged, {lost} lost, {torn} torn", flush=True)


def lasting(what, calls, from_call):
    """From one call on all fail: nothing may be acknowledged that is not there."""
    store = work / "exams"
    shutil.rmtree(store, ignore_errors=True)
    done = subprocess.run(
        ["strace", "-f", "-o", "/dev/null", "-e", f"trace={calls}", "-e", f"inject={calls}:error={what}:when={from_call}+", program, "write", store, "12"],
        capture_output=True, text=True)
    lines = done.stdout.splitlines(True)
    a, l, t, _, told = check(lines, store)
    print(f"{what} of {calls} from call {from_call} on: {a} acknowledged, {l} lost, {t} torn; status {done.returncode}", flush=True)
    if l + t or done.returncode != 3 or a >= 12:
        wrong.append(f"{what} from {from_call}: {done.stderr} {told}")


def full_disk():
    """A small disk: what began is finished with the reserve, then new items are refused; with space it goes on."""
    shell("mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", mounted)
    try:
        store = mounted / "exams"
        done = subprocess.run([program, "write", store, "40"], capture_output=True, text=True)
        lines = done.stdout.splitlines(True)
        a, l, t, _, told = check(lines, store)
        print(f"full disk: {a} of 40 acknowledged, {l} lost, {t} torn; {done.stderr.strip()}", flush=True)
        if not 0 < a < 40 or l + t or done.returncode != 3 or "disk full" not in done.stderr:
            wrong.append(f"full disk: {done.stderr} {told}")
        shell("mount", "-o", "remount,size=40m", mounted)
        done = subprocess.run([program, "write", store, "5"], capture_output=True, text=True)
        if done.returncode != 0 or len(done.stdout.splitlines()) != 5:
            wrong.append(f"with space again: {done.stderr}")
    finally:
        shell("umount", mounted)


def read_only():
    shell("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", mounted)
    try:
        store = mounted / "exams"
        lines = shell(program, "write", store, "3").splitlines(True)
        shell("mount", "-o", "remount,ro", mounted)
        done = subprocess.run([program, "write", store, "3"], capture_output=True, text=True)
        if done.returncode != 3 or done.stdout or "Read-only" not in done.stderr:
            wrong.append(f"read-only: {done.returncode} {done.stdout} {done.stderr}")
        print(f"read-only disk: refused, {done.stderr.strip()}", flush=True)
        shell("mount", "-o", "remount,rw", mounted)
        if check(lines, store)[1:3] != (0, 0):
            wrong.append("read-only: something is lost")
    finally:
        shell("umount", mounted)


try:
    few = max(20, cuts // 10)
    _, lost, torn, _ = power_cuts("as it is", "ext4", lambda store: [], cuts)
    if lost + torn:
        wrong.append(f"power cuts on ext4: {lost} lost, {torn} torn")
    # Nothing is promised on ext2, which has no journal. There syncs of folders make a difference that ext4 hides.
    acknowledged, lost, torn, _ = power_cuts("as it is", "ext2", lambda store: [], few)
    share = (lost + torn) / acknowledged
    for name, kind, wrapper, least in [
        ("without syncs", "ext4", without_syncs, 0.1), ("without syncs of folders", "ext2", without_folder_syncs, max(0.1, 10 * share))]:
        acknowledged, lost, torn, _ = power_cuts(name, kind, wrapper, few // 2)
        if lost + torn < least * acknowledged:
            wrong.append(f"{name} {lost} of {acknowledged} were lost, {torn} torn: the test does not bite")
    for what in ("error=EIO", "error=ENOSPC", "signal=SIGKILL"):
        every_call(what)
    lasting("EIO", "fsync,fdatasync", 25)
    lasting("ENOSPC", "write", 30)
    full_disk()
    read_only()
finally:
    subprocess.run(["umount", mounted], capture_output=True)
    shutil.rmtree(work, ignore_errors=True)
print("\n".join(wrong) or "nothing acknowledged was lost")
sys.exit(bool(wrong))
