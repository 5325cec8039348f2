#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""The other end of the guest's wire: echoes on TCP and UDP ports 5000 to 7999 that it is told of.

One command a line on stdin, one answer in JSON each:
    serve PROTO PORT   "ok"; IPv4 and IPv6
    got PROTO PORT     bytes that came, in hexadecimal, of all peers one after the other
    connect PORT       sends a line to the guest's port; what comes back within a second, or null
"""

import json
import socket
import sys
import threading

GOT = {}


def serve_tcp(server, got):
    def one(peer):
        with peer:
            try:
                while data := peer.recv(1 << 16):
                    got.extend(data)
                    if data.endswith(b"?"):  # who asks is answered
                        peer.sendall(b"!")
            except OSError:
                pass
    while True:
        peer, _ = server.accept()
        threading.Thread(target=one, args=(peer,), daemon=True).start()


def serve_udp(server, got):
    while True:
        data, peer = server.recvfrom(1 << 16)
        got.extend(data)
        if data.endswith(b"?"):
            server.sendto(b"!", peer)


def answer(words):
    if words[0] == "serve":
        kind = socket.SOCK_STREAM if words[1] == "tcp" else socket.SOCK_DGRAM
        server = socket.socket(socket.AF_INET6, kind)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind(("::", int(words[2])))
        got = GOT[words[1], words[2]] = bytearray()
        if words[1] == "tcp":
            server.listen(64)
        threading.Thread(target=serve_tcp if words[1] == "tcp" else serve_udp,
                         args=(server, got), daemon=True).start()
        return "ok"
    if words[0] == "got":
        return bytes(GOT[words[1], words[2]]).hex()
    try:
        with socket.create_connection(("10.0.0.2", int(words[1])), timeout=5) as peer:
            peer.sendall(b"hello\n")
            return peer.recv(100).decode()
    except OSError:
        return None


def main():
    """Obeys until stdin ends."""
    print("null", flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(line.split())), flush=True)


main()
