#!/usr/bin/env bash
# Writes start.txt: the functions that a start and a first call run, as valgrind sees them (needs valgrind and curl).
#
#   bash bins/gateway-server/record-start.sh target/release/gateway-server
#
# What the compiler adds to names to tell versions apart is left out, so that the list outlasts the next change.
set -euo pipefail
program=$(realpath "$1")
list=$(realpath "$(dirname "$0")")/start.txt
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$folder"' EXIT
cd "$folder"
upstream=$((20000 + RANDOM % 10000))
port=$((upstream + 1))

cat > gateway.yaml <<END
server: { host: 127.0.0.1, port: $port, workers: 1 }
logging: { format: json, access: on }
store: { url: "sqlite:gateway.db" }
retry: { max_retries: 2 }
providers:
  - { name: first, api_base: "http://127.0.0.1:$upstream/v1", api_key: sk-upstream-0123456789, model_mapping: { a: sim } }
  - { name: second, api_base: "http://127.0.0.1:$upstream/v1", api_key: sk-upstream-0123456789, model_mapping: { a: sim } }
master_keys:
  - { name: caller, key: sk-caller-0123456789, rate_limit: { requests_per_minute: 1000 } }
END

ask() {
    curl --silent --fail --output /dev/null --max-time 60 --retry 60 --retry-delay 1 --retry-connrefused \
        "http://127.0.0.1:$port/v1/chat/completions" -H 'authorization: Bearer sk-caller-0123456789' \
        -H 'content-type: application/json' -d "{\"model\": \"a\", $1 \"messages\": [{\"role\": \"user\", \"content\": \"One\\nTwo\"}]}"
}

"$program" simulate --port "$upstream" --workers 1 > simulator.txt &
# The first start makes the tables of the store, the second finds them.
for start in 1 2; do
    valgrind --quiet --tool=callgrind --demangle=no --compress-strings=no --compress-pos=no --callgrind-out-file="calls.$start" \
        "$program" --config gateway.yaml > "gateway.$start" 2>&1 &
    gateway=$!
    ask '' || { cat "gateway.$start"; exit 1; }
    ask '"stream":true,'
    kill "$gateway"
    wait "$gateway" || true
done

nm --defined-only "$program" | awk '$2 ~ /[tTwW]/ { print $3 }' | sort -u > functions
sed -n "s/^fn=//; T; s/'[0-9]*\$//; p" calls.* | sort -u > run
{
    echo '# What a start and a first call run; written by record-start.sh, read by build.rs.'
    # Hundreds of functions go by the name that is taken out, and next to none of them is run.
    comm -12 functions run | sed -E 's/17h[0-9a-f]{16}E.*$/17h*/; /^_R/ { s/Cs[0-9a-zA-Z]{8,13}_/Cs*_/g; s/\.[0-9]+$/*/ }' |
        grep -vF '$RF$T$u20$as$u20$core..fmt..Debug' | sort -u
} > "$list"
echo "$list: $(wc -l < "$list") lines"
