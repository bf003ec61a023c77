"""Power cuts and failing disks under `exam_cuts`. What was acknowledged has to be there, whole; the broken variants have to lose it.

A cut is a copy of the disk's image while a program saves. The broken variants are the same program whose sync calls do nothing, or whose
syncs of folders do nothing (strace)."""
import os, random, re, shutil, subprocess, sys, tempfile, time
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


def power_cuts(name, kind, wrapper, wanted):
    """Cuts while programs write, each followed by a check of the copy; acknowledged, lost, torn."""
    sums = [0, 0, 0, 0]
    done = 0
    while done < wanted:
        image = work / "disk.img"
        make_image(image, kind, 64)
        shell("mount", "-o", "loop", image, mounted)
        acks = work / "acks"
        with open(acks, "wb") as file:
            writer = subprocess.Popen([*map(str, wrapper(mounted / "exams")), program, "write", mounted / "exams", "100"], stdout=file, stderr=subprocess.DEVNULL)
        snaps = []
        while writer.poll() is None and done + len(snaps) < wanted and len(snaps) < 25:
            time.sleep(random.uniform(0.02, 0.2))
            lines = acks.read_text().splitlines(True)
            snap = work / f"snap{len(snaps)}.img"
            shell("cp", "--sparse=always", image, snap)
            snaps.append((snap, [line for line in lines if line.endswith("\n")]))
        writer.kill(), writer.wait()
        shell("umount", mounted)
        for snap, acknowledged in snaps:
            if kind == "ext2":
                # Without a journal it is repaired first; 1 and 2 say that it was.
                subprocess.run(["e2fsck", "-fy", snap], capture_output=True)
            shell("mount", "-o", "loop", snap, mounted)
            *found, told = check(acknowledged, mounted / "exams") if acknowledged else (0, 0, 0, 0, "")
            shell("umount", mounted)
            snap.unlink()
            sums = [a + b for a, b in zip(sums, found)]
        done += len(snaps)
    print(f"power cuts, {kind}, {name}: {done} cuts, {sums[0]} acknowledged, {sums[1]} lost, {sums[2]} torn, {sums[3]} repairs", flush=True)
    return sums


def without_syncs(store):
    return ["strace", "-f", "-qqq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:retval=0"]


def without_folder_syncs(store):
    day = time.strftime("%Y-%m-%d", time.gmtime())
    folders = [store, *(store / f"{day}-{n:04}" for n in range(1, 30))]
    paths = [word for folder in folders for word in ("-P", folder)]
    return [*without_syncs(store), *paths]


def injected(what, when, store, count):
    """A run in which one call fails; what it said, and whether there was such a call."""
    shutil.rmtree(store, ignore_errors=True)
    trace = work / "trace"
    done = subprocess.run(
        ["strace", "-f", "-o", trace, "-e", f"trace={CALLS}", "-e", f"inject={CALLS}:{what}:when={when}", program, "write", store, str(count)],
        capture_output=True, text=True)
    hit = "INJECTED" in trace.read_text() or "killed by" in trace.read_text() or done.returncode == -9
    return done, hit


CALLS = "write,fsync,fdatasync,rename,mkdir,unlink"


def every_call(what, count=3, step=1):
    """The call fails at every place in turn, until a run has no such call."""
    store = work / "exams"
    acknowledged = lost = torn = 0
    when = 1
    while True:
        done, hit = injected(what, when, store, count)
        if not hit:
            break
        if done.returncode not in (0, 3, -9, 137):
            wrong.append(f"{what} at call {when}: status {done.returncode}: {done.stderr[-300:]}")
        lines = [line for line in done.stdout.splitlines(True) if line.startswith("ACK") and line.endswith("\n")]
        if (store / "store.json").exists():
            a, l, t, _, told = check(lines, store)
            acknowledged, lost, torn = acknowledged + a, lost + l, torn + t
            if l + t:
                wrong.append(f"{what} at call {when}: {l} lost, {t} torn: {told}")
        elif lines:
            wrong.append(f"{what} at call {when}: acknowledged without a store")
        when += step
    print(f"{what} at every {step}. of {when - 1} calls: {acknowledged} acknowledged, {lost} lost, {torn} torn", flush=True)


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
    for kind in ("ext4", "ext2"):
        _, lost, torn, _ = power_cuts("as it is", kind, lambda store: [], cuts // 2)
        if lost + torn:
            wrong.append(f"power cuts on {kind}: {lost} lost, {torn} torn")
    for name, kind, wrapper in [("without syncs", "ext4", without_syncs), ("without syncs of folders", "ext2", without_folder_syncs)]:
        _, lost, torn, _ = power_cuts(name, kind, wrapper, max(10, cuts // 10))
        if lost + torn == 0:
            wrong.append(f"{name} nothing was lost: the test does not bite")
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
