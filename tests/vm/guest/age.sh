# How old a frame is when it is on the glass: a camera of 30 pictures a second, no outline, on both kinds of screen. The times are those
# of an emulator and say nothing of a device.
for kind in fbdev drm; do
    echo "== $kind"
    start --config /etc/sonotap/sonotap.toml --display "$kind" --deadline-ms "${DEADLINE_MS:-400}" --seconds "${SECONDS_PLAYED:-15}"
    wait $pid
    is "exit status" $? eq 0
    echo "frames $(figure frames) shown, $(figure delivered) captured, $(figure displaced) displaced"
    sed -n '/"deadline": {/,/^  }/p; /"draw": {/,/}/p; /"to_glass": {/,/}/p; /"drops"/,/}/p' /tmp/report
    # By the kernel's own stamps of its flips, on DRM. What was late has been said with the next picture.
    is "frames late under LIVE" "$(figure late_under_live)" le "${LATE_MAX:-2}"
    is "frames of which nobody said when they were shown" "$(figure unconfirmed)" eq 0
done
