"""What the scripts share: where the server is, saying what is done, and comparing."""

import os
import sys

HOST = os.environ["PVE_HOST"]
PORT = int(os.environ["PVE_PORT"])
SECRET = os.environ["PVE_SECRET"]
PASSWORD = "truth-root"
CACHE = os.environ["CLIENTS_CACHE"]


def check(what, found, wanted=True):
    """Says what was done and ends the run unless it came out as wanted."""
    if found == wanted:
        print(f"  ok   {what}")
        return
    print(f"  DIFF {what}: {found!r}, and not {wanted!r}")
    sys.exit(1)
