# The outline on the live picture: a known picture through vivid's HDMI loop, as in e2e.sh, and a tap. run.sh sets --icount: a look is then
# as old as its instructions make it, a nanosecond for each, however busy the machine is that emulates. Without, an outline is more than
# 2.5 s old before it is there, and not shown.
play_cyst
sed -e 's/^driver = .*/bus = "platform:vivid-001"/; s/^size = .*/size = [640, 480]/' /etc/sonotap/sonotap.toml > /tmp/profile.toml
start --config /tmp/profile.toml --deadline-ms "${DEADLINE_MS:-400}"
is "ms to the first picture" "$(until_ms 120000 heard 'pictures come')" ge 0
host await 60 live "live>20" "alarm=0" "object=0"
host tap 244 184
on_it="live>20 frozen<2000 alarm=0 around=244,184,95 truth=70,41,0.69375,4"
host await 120 live-outline $on_it
for n in 1 2 3 4 5 6 7 8; do sleep 0.3; host shot "live-outline-$n" $on_it; done
stop
echo "frames $(figure frames), carried $(figure carried), exact $(figure exact), hidden $(figure hidden), stale $(figure stale)"
is "frames with an outline" "$(($(figure carried) + $(figure exact)))" ge 10
for of in tap_to_mask look age_at_glass_ms; do echo "$of"; sed -n "/\"$of\": {/,/}/p" /tmp/report; done
kill $scanner
