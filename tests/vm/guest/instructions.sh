# What a frame and a look cost, in millions of instructions: with --icount a guest millisecond is a million of them.
grep -m1 'CPU part' /proc/cpuinfo
export SONOTAP_HOME=/usr/share/sonotap
sonotap model verify /usr/share/sonotap/models/student --json > /tmp/model
for of in encode decode; do
    echo "instructions $of $(sed -n "s/^ *\"${of}_ms\": \([0-9.]*\),*/\1/p" /tmp/model)"
done
sonotap run --source phantom:cyst --seconds "${SECONDS_PLAYED:-4}" --deadline-ms 60000 --json > /tmp/report 2> /tmp/log
status=$?
is "exit status" $status eq 0
[ $status = 0 ] || cat /tmp/log
for of in motion draw; do
    echo "instructions $of $(sed -n "/\"$of\": {/,/}/s/^ *\"p50_ms\": \([0-9.]*\),*/\1/p" /tmp/report)"
done
