# Words of the tests in the virtual device. The host hears lines that begin with @@ and answers each with a line.
failures=0
uptime_s() { cut -d' ' -f1 /proc/uptime; }
ms() { read -r up _ < /proc/uptime; echo "${up%.*}${up#*.}0"; }
host() { echo "@@ $*"; read -r -t 200 said < /dev/console; [ "$said" = ok ] || failed "host: $* ($said)"; }
failed() { echo "FAILED $*"; failures=$((failures + 1)); }
is() { if [ "$2" -"$3" "$4" ]; then echo "ok $1: $2"; else failed "$1: expected -$3 $4, got $2"; fi; }
# Waits until a command holds, at most so many ms; prints how long it took.
until_ms() {
    began=$(ms); limit=$1; shift
    while ! "$@"; do
        [ $(($(ms) - began)) -lt "$limit" ] || { echo -1; return; }
        sleep 0.02
    done
    echo $(($(ms) - began))
}
# Runs sonotap in the background; its log goes to /tmp/log, its report to /tmp/report.
start() {
    : > /tmp/log
    RUST_LOG=${LOG:-info} SONOTAP_HOME=/usr/share/sonotap /bin/sonotap run "$@" --json > /tmp/report 2> /tmp/log &
    pid=$!
}
stop() {
    began=$(ms); kill -TERM $pid; wait $pid; status=$?
    echo "stopped after $(($(ms) - began)) ms with status $status"
    is "exit status" $status eq 0
    is "ms from SIGTERM to the end" $(($(ms) - began)) lt "${STOP_MS:-1000}"
    if grep -q panicked /tmp/log; then failed "it panicked"; cat /tmp/log; fi
}
count() { grep -c "$1" /tmp/log; }
more() { [ "$(count "$1")" -gt "$2" ]; }
heard() { grep -q "$1" /tmp/log; }
rss_kb() { awk '/^VmRSS/ {print $2}' /proc/$pid/status; }
# A number of the report, by its name; the last of several.
figure() { sed -n "s/^ *\"$1\": \([0-9.]*\),*$/\1/p" /tmp/report | tail -n1; }
# A known picture through vivid's HDMI loop: sets camera, where it comes in at 60 a second, and scanner, the process that plays it.
play_cyst() {
    camera=/dev/video2
    output=/dev/video3
    for device in $camera $output; do v4l2-ctl -d $device --set-dv-bt-timings index=0 > /dev/null; done
    v4l2-ctl -d $output --set-fmt-video-out=width=640,height=480,pixelformat=YUYV
    v4l2-ctl -d $camera --set-ctrl loop_video=1,osd_text_mode=2
    v4l2-ctl -d $output --stream-out-mmap --stream-from=/cyst.yuyv --stream-loop > /tmp/scanner 2>&1 &
    scanner=$!
}
