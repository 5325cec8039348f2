#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""capture.py DEVICE [unmarked]: frames of the guest that DEVICE receives, with their offloads.

`unmarked` leaves out what the filter sent on: on the guest's tap, what remains is what the guest
sent. One command a line on stdin, one answer in JSON each:
    clear            forgets all
    list FIRST LAST  a digest of each frame to these ports, in order (fragments: of the datagram)
    ports            {destination port: frames}; 0 is what has no ports
    lost             frames that the capture itself lost
"""

import collections
import hashlib
import json
import socket
import struct
import sys
import threading

SOL_PACKET, PACKET_STATISTICS, PACKET_VNET_HDR = 263, 6, 15
SO_ATTACH_FILTER, SO_RCVBUFFORCE = 26, 33
LD_W_ABS, JEQ, RET = 0x20, 0x15, 0x06
SKF_AD_MARK = 0xFFFFF000 + 20
NEEDS_CSUM = 1
GUEST_MAC = bytes.fromhex("525400000002")


def unmarked(wire):
    """A classic BPF program: load the mark, take the frame if it is 0."""
    code = [(LD_W_ABS, 0, 0, SKF_AD_MARK), (JEQ, 0, 1, 0), (RET, 0, 0, 0xFFFFFFFF), (RET, 0, 0, 0)]
    program = b"".join(struct.pack("HBBI", *word) for word in code)
    wire.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(code), id_of(program)))


def id_of(data):
    """The address of bytes that live until the end."""
    import ctypes  # pylint: disable=import-outside-toplevel
    buffer = ctypes.create_string_buffer(data, len(data))
    KEEP.append(buffer)
    return ctypes.addressof(buffer)


KEEP = []


class Capture(threading.Thread):
    """Keeps (port, digest) of each frame."""

    def __init__(self, device, only_unmarked):
        super().__init__(daemon=True)
        self.wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self.wire.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        if only_unmarked:
            unmarked(self.wire)
        self.wire.bind((device, 0))
        self.frames = []
        self.fragments = {}
        self.lost = 0

    def port(self, frame):
        """The destination port; that of its first fragment for the others, 0 without."""
        kind = struct.unpack_from(">H", frame, 12)[0]
        if kind == 0x0800:
            proto, at = frame[23], 14 + (frame[14] & 15) * 4
            piece = struct.unpack_from(">H", frame, 20)[0] & 0x1FFF
            name = frame[18:20] + frame[26:34]
        elif kind == 0x86DD:
            proto, at, piece, name = frame[20], 54, 0, b""
            if proto == 44:
                proto, at = frame[54], 62
                piece, name = struct.unpack_from(">H", frame, 56)[0] >> 3, frame[58:62]
        else:
            return -1
        if piece:
            return self.fragments.get(name, 0)
        port = struct.unpack_from(">H", frame, at + 2)[0] if proto in (6, 17) else 0
        self.fragments[name] = port
        return port

    def run(self):
        while True:
            data, address = self.wire.recvfrom(1 << 17)
            header, frame = data[:10], data[10:]
            if address[2] == socket.PACKET_OUTGOING or frame[6:12] != GUEST_MAC:
                continue
            flags, kind, _, size, start, offset = struct.unpack("<BBHHHH", header)
            offload = kind, kind and size, flags & NEEDS_CSUM and (start, offset)
            digest = hashlib.sha1(repr(offload).encode() + frame).hexdigest()[:16]
            self.frames.append((self.port(frame), digest))

    def answer(self, words):
        """To one command."""
        if words[0] == "clear":
            self.frames = []
            return None
        if words[0] == "list":
            first, last = map(int, words[1:])
            return [digest for port, digest in self.frames if first <= port <= last]
        if words[0] == "ports":
            return collections.Counter(port for port, _ in self.frames)
        self.lost += struct.unpack("II", self.wire.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
        return self.lost


def main():
    """Obeys until stdin ends."""
    capture = Capture(sys.argv[1], "unmarked" in sys.argv)
    capture.start()
    print("null", flush=True)
    for line in sys.stdin:
        print(json.dumps(capture.answer(line.split())), flush=True)


main()
