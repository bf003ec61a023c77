# A camera that hands over its planes in buffers of their own, as many boards' receivers do: every format that vivid and sonotap share
# shows the same picture. vivid has no P010.
offered=$(v4l2-ctl -d /dev/video0 --list-formats)
echo "$offered" | sed -n "s/^\s*\[.*'\(....\)' (\(.*\))/offered \1 \2/p"
is "queues of several planes" "$(echo "$offered" | grep -c 'Video Capture Multiplanar')" eq 1
sonotap cameras
is "formats listed" "$(sonotap cameras | grep -c '^  [A-Z0-9]* .*640x360')" ge 10

show() {
    sed "s/^formats = .*/formats = [\"$1\"]\nink = \"colour\"/" /etc/sonotap/sonotap.toml > /tmp/profile.toml
    start --config /tmp/profile.toml --deadline-ms "${DEADLINE_MS:-400}"
    is "$1: ms to the first picture" "$(until_ms 120000 heard 'pictures come')" ge 0
}
# The first of two buffers alone would be grey; half a stride would slant.
show YUYV
host await 20 planes-YUYV "live>20" "alarm=0" "any>100000"
stop
for format in NM12 NV12 YU12 NV16 UYVY XR24 BX24 RGB3 BGR3; do
    show $format
    # Text with the time is drawn into the picture, and edges of colours are softer where chroma is halved.
    host await 20 "planes-$format" "live>20" "alarm=0" "like=planes-YUYV,16,4000"
    stop
    is "$format: damaged pictures" "$(figure damaged)" eq 0
done
# The comparison tells pictures apart.
v4l2-ctl -d /dev/video0 --set-ctrl test_pattern=3
show NM12
host await 20 planes-other "live>20" "alarm=0" "unlike=planes-YUYV,16,60000"
stop
