"""Uploads a file with tuspy, in chunks, and goes on where an earlier run was cut off.

    python3 upload.py GATEWAY FILE

The URL of the upload is kept in FILE.upload until it is complete. An access token is read from TOKEN.
"""

import json
import os
import pathlib
import sys

import requests
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError

CHUNK = 8 * 1024 * 1024


def begun(client, file, memory):
    """An uploader for an upload that an earlier run began, if the gateway still knows it."""
    if not memory.exists():
        return None
    try:
        # tuspy asks for the offset.
        return client.uploader(str(file), url=memory.read_text().strip(), chunk_size=CHUNK, retries=10, retry_delay=1)
    except TusCommunicationError as error:
        if error.status_code in (404, 410):
            return None
        raise


def main():
    gateway, file = sys.argv[1].rstrip("/"), pathlib.Path(sys.argv[2])
    memory = file.with_name(file.name + ".upload")
    token = os.environ.get("TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    client = TusClient(f"{gateway}/upload/files", headers=headers)
    manifest = {
        "data_stream_id": "cdex",
        "data_stream_route": "attachment",
        "sender_id": "example-sender",
        "data_producer_id": "example-producer",
        "jurisdiction": "null",
        "received_filename": file.name,
    }

    uploader = begun(client, file, memory)
    if uploader is None:
        uploader = client.uploader(str(file), metadata=manifest, chunk_size=CHUNK, retries=10, retry_delay=1)
        uploader.set_url(uploader.create_url())
        memory.write_text(uploader.url)
    length = uploader.get_file_size()
    while uploader.offset < length:
        print(f"{uploader.offset} of {length} bytes", file=sys.stderr)
        uploader.upload_chunk()
    memory.unlink(missing_ok=True)

    # What became of it: its bytes, its status, its deliveries.
    print(uploader.url)
    answer = requests.get(f"{gateway}/upload/info/{uploader.url.rsplit('/', 1)[-1]}", headers=headers, timeout=60)
    answer.raise_for_status()
    print(json.dumps(answer.json()))


main()
