# Whether the text console comes back when a program that shows on it is gone, however it went. Text is drawn in text mode only.
# write LINES: of about 95 px each, on an empty console.
write() { printf '\033[2J\033[H' > /dev/tty0; seq 100 $((99 + $1)) > /dev/tty0; }
few="any>500 any<1500" many="any>2000 any<4000"
mkfifo /tmp/go
write 26
host await 5 console-before $many

for kind in fbdev drm; do
    echo "== $kind: a panic"
    : > /tmp/said
    screen_panics $kind < /tmp/go > /tmp/said 2> /tmp/log &
    pid=$!
    exec 3> /tmp/go
    is "ms until the screen is taken" "$(until_ms 20000 grep -q drawn /tmp/said)" ge 0
    write 26
    sleep 1
    host shot "$kind-taken" "live=384000"
    exec 3>&-
    wait $pid
    is "exit status of a panic" $? eq 101
    write 10
    host await 5 "$kind-panicked" $few
    write 26
    host await 5 "$kind-panicked-on" $many
done

for kind in fbdev drm; do
    echo "== $kind: killed, and run again"
    start --config /etc/sonotap/sonotap.toml --display $kind --deadline-ms "${DEADLINE_MS:-400}"
    is "ms to the first picture" "$(until_ms 120000 heard 'pictures come')" ge 0
    host await 20 "$kind-live" "live>20" "alarm=0"
    kill -KILL $pid
    wait $pid
    write 10
    sleep 1
    # Who is killed gives nothing back: on the framebuffer its last picture stays, on DRM the text from before, and no other is drawn.
    host shot "$kind-killed" "any>2000"
    is "exit status of blank" "$(sonotap blank --config /etc/sonotap/sonotap.toml --display $kind > /dev/null 2>&1; echo $?)" eq 0
    write 10
    host await 5 "$kind-blank" "live=0" $few
    start --config /etc/sonotap/sonotap.toml --display $kind --deadline-ms "${DEADLINE_MS:-400}"
    is "ms to the first picture" "$(until_ms 120000 heard 'pictures come')" ge 0
    host await 20 "$kind-live-again" "live>20" "alarm=0"
    stop
    write 10
    host await 5 "$kind-stopped" $few
    write 26
    host await 5 "$kind-stopped-on" $many
done
