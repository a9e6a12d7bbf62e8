#!/bin/sh
# Uploads a file with curl, in chunks, and goes on where an earlier run was cut off.
#
#   ./upload.sh GATEWAY FILE
#
# The URL of the upload is kept in FILE.upload until it is complete. An access token is read from TOKEN.
set -eu

gateway=${1%/} file=$2
memory=$file.upload
chunk=$((8 * 1024 * 1024))
length=$(wc -c <"$file" | tr -d ' ')

# All requests speak tus 1.0.0; with a token, they also say who we are.
request() { curl --silent --show-error --header 'Tus-Resumable: 1.0.0' ${TOKEN:+--header "Authorization: Bearer $TOKEN"} "$@"; }
# One header field of an answer.
field() { tr -d '\r' | awk -v name="$1" 'tolower($1) == tolower(name) ":" { print $2; exit }'; }

# The manifest: keys, and values in base64.
pair() { printf '%s %s' "$1" "$(printf '%s' "$2" | base64 | tr -d '\n')"; }
manifest="$(pair data_stream_id cdex),$(pair data_stream_route attachment),$(pair sender_id example-sender)"
manifest="$manifest,$(pair data_producer_id example-producer),$(pair jurisdiction null)"
manifest="$manifest,$(pair received_filename "$(basename "$file")")"

create() {
    answer=$(request --include --request POST --header "Upload-Length: $length" \
        --header "Upload-Metadata: $manifest" --header 'Content-Length: 0' "$gateway/upload/files")
    location=$(printf '%s\n' "$answer" | field Location)
    [ -n "$location" ] || { printf '%s\n' "$answer" >&2; exit 1; }
    # A Location may be relative to the gateway.
    case $location in /*) location=$gateway$location ;; esac
    printf '%s\n' "$location" >"$memory"
}

# HEAD: how much does the gateway have? Nothing if it does not know the upload.
offset() { request --head "$upload" | field Upload-Offset; }

[ -s "$memory" ] || create
upload=$(cat "$memory")
at=$(offset)
if [ -z "$at" ]; then
    create
    upload=$(cat "$memory")
    at=$(offset)
fi

failures=0
while [ "$at" -lt "$length" ]; do
    echo "$at of $length bytes" >&2
    tail -c "+$((at + 1))" "$file" | head -c "$chunk" |
        request --output /dev/null --request PATCH --header "Upload-Offset: $at" \
            --header 'Content-Type: application/offset+octet-stream' --data-binary @- "$upload" || true
    # Whatever happened: the gateway knows best what arrived.
    now=$(offset)
    if [ "${now:-$at}" -gt "$at" ]; then
        at=$now failures=0
    else
        failures=$((failures + 1))
        [ "$failures" -lt 10 ] || { echo 'the gateway does not take it; run this again later' >&2; exit 75; }
        sleep 1
    fi
done
rm -f "$memory"

# What became of it: its bytes, its status, its deliveries.
echo "$upload"
curl --silent --show-error --fail ${TOKEN:+--header "Authorization: Bearer $TOKEN"} "$gateway/upload/info/${upload##*/}"
