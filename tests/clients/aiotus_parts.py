"""Uploads a file with aiotus as it comes from PyPI: whole, and in parts that the server joins.

    python aiotus_parts.py ENDPOINT FILE METADATA-JSON

Says "DONE url" for each, and fails if the metadata that the server tells are not those that were sent.
"""

import asyncio
import faulthandler
import io
import json
import sys
from urllib.parse import urljoin

import aiotus

CHUNK = 256 * 1024


async def main():
    endpoint, path, metadata = sys.argv[1:]
    # Ends a run that hangs: the test waits for the next line.
    faulthandler.dump_traceback_later(600, exit=True)
    sent = {key: value.encode() for key, value in json.loads(metadata).items()}
    with open(path, "rb") as file:
        content = file.read()
    third = len(content) // 3 + 1
    parts = [io.BytesIO(content[at : at + third]) for at in range(0, len(content), third)]
    whole = await aiotus.upload(endpoint, io.BytesIO(content), sent, chunksize=CHUNK)
    joined = await aiotus.upload_multiple(endpoint, parts, sent, chunksize=CHUNK)
    for location in (whole, joined):
        if location is None:
            sys.exit("the upload failed")
        url = urljoin(endpoint, str(location))
        told = await aiotus.metadata(url)
        if any(told.get(key) != value for key, value in sent.items()):
            sys.exit("the metadata changed on their way")
        print(f"DONE {url}", flush=True)


asyncio.run(main())
