"""Uploads a file with tuspy as it comes from PyPI, with one interruption at half of it.

    python tus_py.py ENDPOINT FILE METADATA-JSON abort|kill

Says "HALF url" and waits for a line, then resumes from the URL with a new uploader, which sends a checksum with each
piece, and says "DONE url". With "kill" the server has been killed by then and may still be starting: the first look at the offset is repeated.
"""

import faulthandler
import json
import os
import sys
import time

from requests.exceptions import ConnectionError
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError

CHUNK = 1024 * 1024


def resumed(client, path, url, patience):
    """A new uploader for an upload that was begun; it asks for the offset."""
    while True:
        try:
            return client.uploader(
                path, url=url, chunk_size=CHUNK, retries=10, retry_delay=1, upload_checksum=True
            )
        except (ConnectionError, TusCommunicationError):
            if patience == 0:
                raise
            patience -= 1
            time.sleep(0.2)


def main():
    endpoint, path, metadata, interruption = sys.argv[1:]
    # Ends a run that hangs: the test waits for the next line.
    faulthandler.dump_traceback_later(600, exit=True)
    client = TusClient(endpoint)
    first = client.uploader(path, chunk_size=CHUNK, metadata=json.loads(metadata))
    first.upload(stop_at=os.path.getsize(path) // 2)
    print(f"HALF {first.url}", flush=True)
    sys.stdin.readline()
    second = resumed(client, path, first.url, 300 if interruption == "kill" else 0)
    if not 0 < second.offset < os.path.getsize(path):
        sys.exit("the upload did not resume where it was left")
    second.upload()
    print(f"DONE {second.url}", flush=True)


main()
