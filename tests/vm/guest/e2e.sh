# From a camera to an outline on the glass: a known picture through vivid's HDMI loop, a tap from outside, on both kinds of screen.
play_cyst
sleep 1
sonotap cameras

for kind in fbdev drm; do
    echo "== $kind"
    sed -e 's/^driver = .*/bus = "platform:vivid-001"/; s/^size = .*/size = [640, 480]/' \
        -e "s/^kind = .*/kind = \"$kind\"/" /etc/sonotap/sonotap.toml > /tmp/profile.toml
    sonotap run --config /tmp/profile.toml --check-config
    start --config /tmp/profile.toml --deadline-ms "${DEADLINE_MS:-400}"
    is "ms to the first picture" "$(until_ms 120000 heard 'pictures come')" ge 0
    host await 20 "$kind-live" "live>20" "alarm=0" "object=0"
    host tap 244 184
    host await 20 "$kind-tapped" "object>100"
    # A look takes seconds here, and an outline that old is not shown on a live picture: it is asked for on a still one. live.sh has the other.
    host tap 736 406
    host await 180 "$kind-frozen" "frozen>2000" "object>300" around=244,184,95
    host tap 736 406
    host await 20 "$kind-again" "live>20" "frozen<2000"
    # With a look in hand, which an emulator needs seconds for; faults.sh holds the second.
    STOP_MS=4000
    stop
    echo "frames $(figure frames), taps $(sed -n '/"tap_to_mask"/,/}/s/^ *"count": \([0-9]*\).*/\1/p' /tmp/report)"
    sed -n '/"deadline": {/,/^  }/p; /"camera"/,/}/p; /"drops"/,/}/p' /tmp/report
    is "taps answered" "$(sed -n '/"tap_to_mask"/,/}/s/^ *"count": \([0-9]*\).*/\1/p' /tmp/report)" ge 1
    # Nothing but the console's cursor.
    host shot "$kind-after" "any<300"
done
kill $scanner
