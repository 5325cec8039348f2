#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""A host beside the guest: serves HTTP, counts what reaches it from the guest, and fetches pages.

One command a line on stdin, one answer in JSON each:
    count       frames from the guest so far: {"syn": [ports], "udp": N, "served": N}
    fetch N     N pages of the guest's web server: {"ok": N, "failed": N, "ms": median}
"""

import http.server
import json
import socket
import statistics
import sys
import threading
import time
import urllib.request

GUEST = "10.0.0.2"
SEEN = {"syn": [], "udp": 0, "served": 0}


class Hello(http.server.BaseHTTPRequestHandler):
    """A page for whoever asks."""

    def do_GET(self):  # pylint: disable=invalid-name
        SEEN["served"] += 1
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello\n")

    def log_message(self, *_):
        pass


def count():
    """Every IPv4 frame that the wire brings from the guest."""
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    wire.bind(("eth0", 0))
    while True:
        frame, address = wire.recvfrom(2048)
        if address[2] == socket.PACKET_OUTGOING or frame[26:30] != socket.inet_aton(GUEST):
            continue
        transport = frame[14 + (frame[14] & 15) * 4:]
        if frame[23] == 6 and transport[13] & 0x12 == 2:
            SEEN["syn"].append(int.from_bytes(transport[2:4], "big"))
        elif frame[23] == 17:
            SEEN["udp"] += 1


def fetch(pages):
    """Pages of the guest's server, one after the other."""
    took, failed = [], 0
    for _ in range(pages):
        start = time.monotonic()
        try:
            urllib.request.urlopen(f"http://{GUEST}/", timeout=20).read()
            took.append((time.monotonic() - start) * 1000)
        except OSError:
            failed += 1
    return {"ok": len(took), "failed": failed, "ms": statistics.median(took) if took else None}


def main():
    """Obeys until stdin ends."""
    server = http.server.ThreadingHTTPServer(("", 80), Hello)
    for work in (server.serve_forever, count):
        threading.Thread(target=work, daemon=True).start()
    print("ready", flush=True)
    for line in sys.stdin:
        words = line.split()
        print(json.dumps(SEEN if words[0] == "count" else fetch(int(words[1]))), flush=True)


main()
