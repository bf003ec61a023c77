# How old a frame is when it is on the glass: a camera of 30 pictures a second, no outline, on both kinds of screen. The times are those
# of an emulator and say nothing of a device.
for kind in fbdev drm; do
    echo "== $kind"
    start --config /etc/sonotap/sonotap.toml --display "$kind" --deadline-ms "${DEADLINE_MS:-400}" --seconds "${SECONDS_PLAYED:-15}"
    wait $pid
    is "exit status" $? eq 0
    echo "frames $(figure frames) shown, $(figure delivered) captured, $(figure displaced) displaced"
    sed -n '/"frame_age"/,/}/p; /"draw": {/,/}/p; /"drops"/,/}/p' /tmp/report
done
