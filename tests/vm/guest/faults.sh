# What a camera, a touch panel and a service manager do to it, and how long it takes to be back.
camera=/dev/video0
inject() { v4l2-ctl -d $camera --set-ctrl "$1" > /dev/null 2>&1; }
# fault NAME: what was injected has ended the stream; after $clear, how long until pictures come again.
recovers() {
    is "$1: ms until it is noticed" "$(until_ms 4000 more 'opening it again' "$ends")" ge 0
    [ -z "$clear" ] || { host await 5 "fault-$1" "alarm>1000" "live=0" "object=0"; $clear; }
    back=$(until_ms 6000 more 'pictures come' "$comes")
    is "$1: ms from the device's return to pictures" "$back" ge 0
    is "$1: ms from the device's return to pictures" "$back" lt "${BACK_MS:-1000}"
    host await 5 "after-$1" "live>20" "alarm=0"
}
note() { comes=$(count 'pictures come'); ends=$(count 'opening it again'); clear=""; }

start --config /etc/sonotap/sonotap.toml --display "${SCREEN:-fbdev}" --deadline-ms "${DEADLINE_MS:-400}"
is "ms to the first picture" "$(until_ms 120000 heard 'pictures come')" ge 0
host await 20 faults-live "live>20" "alarm=0"
# Until the ring of frames is full, memory grows as it is meant to.
sleep "${RING_S:-9}"
rss_before=$(rss_kb)

note; inject percentage_of_dropped_buffers=100
clear="inject percentage_of_dropped_buffers=0"; recovers stopped
for round in 1 2 3; do inject inject_v4l2_buf_flag_error=1; sleep 0.3; done
host shot error-flag "live>20" "alarm=0"
note; inject inject_fatal_streaming_error=1; recovers fatal
note; inject inject_vidioc_qbuf_error=1; recovers qbuf
note; inject disconnect=1; recovers disconnect
replug() { echo vivid.0 > /sys/bus/platform/drivers/vivid/bind; }
note; echo vivid.0 > /sys/bus/platform/drivers/vivid/unbind
clear=replug; recovers unplugged
inject percentage_of_dropped_buffers=40; sleep 2; inject percentage_of_dropped_buffers=0
host await 5 after-dropped "live>20" "alarm=0"

panels=$(count 'touch panel: .* at ')
host unplug
is "ms until the panel is missed" "$(until_ms 8000 heard 'looking for it')" ge 0
host plug
is "ms until the panel is found" "$(until_ms 8000 more 'touch panel: .* at ' "$panels")" ge 0
sleep 1
host tap 736 406
host await 10 touched-again "frozen>2000"
host tap 736 406
host await 10 live-again "live>20" "frozen<2000"

rss_after=$(rss_kb)
echo "memory ${rss_before} kB before, ${rss_after} kB after"
is "kB more than before" $((rss_after - rss_before)) lt 16384
stop
sed -n '/"camera"/,/}/p' /tmp/report
is "damaged pictures" "$(figure damaged)" ge 1
grep -v INFO /tmp/log | sort | uniq -c | sort -rn | head -20
