# A framebuffer of 16 bits a pixel: QEMU's Cirrus card, whose driver can have that.
# What a PC's firmware does to a VGA card, and its driver relies on: registers at the places of a colour screen. Then the mode is set again.
printf '\143' | dd of=/dev/port bs=1 seek=962 conv=notrunc 2> /dev/null
for blank in 4 0; do echo $blank > /sys/class/graphics/fb0/blank; done
is "bits a pixel" "$(cat /sys/class/graphics/fb0/bits_per_pixel)" eq 16
start --config /etc/sonotap/sonotap.toml --display fbdev --deadline-ms "${DEADLINE_MS:-400}"
is "ms to the first picture" "$(until_ms 120000 heard 'pictures come')" ge 0
host await 20 depth16-live "live>20" "alarm=0"
host tap 736 406
host await 20 depth16-frozen "frozen>2000" "alarm=0"
host tap 736 406
host await 20 depth16-again "live>20" "frozen<2000"
stop
host shot depth16-after "any<300"
