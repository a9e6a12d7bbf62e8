#!/bin/sh
# Uploads a file with curl alone: the length is told with the last of three pieces, each piece has a checksum.
#
#   sh tus_curl.sh ORIGIN DOOR FILE UPLOAD-METADATA
#
# Says "DONE url". Needs curl, dd, openssl.
set -eu
origin=$1 door=$2 file=$3 metadata=$4
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
tus() { curl --silent --show-error --fail-with-body --max-time 600 --header 'Tus-Resumable: 1.0.0' "$@"; }
field() { tr -d '\r' <"$work/head" | sed -n "s/^$1: //Ip"; }

tus --request POST --dump-header "$work/head" --output "$work/answer" \
    --header 'Upload-Defer-Length: 1' --header "Upload-Metadata: $metadata" "$origin$door"
location=$(field location)
case $location in
http*) url=$location ;;
*) url=$origin$location ;;
esac

length=$(wc -c <"$file" | tr -d ' ')
piece=$((length / 3 + 1))
offset=0
while [ "$offset" -lt "$length" ]; do
    dd if="$file" of="$work/piece" bs="$piece" skip=$((offset / piece)) count=1 2>/dev/null
    sha1=$(openssl dgst -sha1 -binary "$work/piece" | openssl base64 -A)
    set -- --header "Upload-Checksum: sha1 $sha1"
    if [ $((offset + piece)) -ge "$length" ]; then
        set -- "$@" --header "Upload-Length: $length"
    fi
    tus --request PATCH --dump-header "$work/head" --output "$work/answer" "$@" \
        --header "Upload-Offset: $offset" --header 'Content-Type: application/offset+octet-stream' \
        --data-binary "@$work/piece" "$url"
    offset=$(field upload-offset)
done

tus --head --output "$work/head" "$url"
[ "$(field upload-offset)" = "$length" ]
echo "DONE $url"
