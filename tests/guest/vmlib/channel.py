# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Commands in a guest, over a virtio-serial port or a console: see inside/guest-agent.c."""

import fcntl
import os
import random
import select
import socket
import struct
import threading
import time

from . import store

PORTS = 16


def _free_port(home):
    """Locks a port that nobody uses; the lock lives as long as the returned file is open."""
    while True:
        for number in random.sample(range(PORTS), PORTS):
            lock = open(home / f"port{number}.lock", "w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return number, lock
            except BlockingIOError:
                lock.close()
        time.sleep(0.05)


class _Frames:
    def __init__(self, connection):
        self._connection = connection
        self._sending = threading.Lock()
        self._bytes = b""
        self._over = False

    def send(self, kind, data=b""):
        """Sends a frame; none is sent after a bye."""
        with self._sending:
            if not self._over:
                self._connection.sendall(kind + struct.pack("<I", len(data)) + data)
            self._over = kind == b"B"

    def receive(self, timeout):
        """Yields the frames that one read completes."""
        if not select.select([self._connection], [], [], timeout)[0]:
            raise TimeoutError
        data = self._connection.recv(1 << 16)
        if not data:
            raise store.Failure("the guest went away")
        self._bytes += data
        while len(self._bytes) >= 5:
            length, = struct.unpack_from("<I", self._bytes, 1)
            if len(self._bytes) < 5 + length:
                return
            frame = self._bytes[:1], self._bytes[5:5 + length]
            self._bytes = self._bytes[5 + length:]
            yield frame


def _pump(frames, stdin):
    """Sends stdin; a thread of its own, as the command may talk before it has heard all."""
    try:
        while True:
            data = os.read(stdin, 1 << 14)
            frames.send(b"I", data)
            if not data:
                return
    except OSError:
        pass


def execute(home, words, out, err, stdin=None, timeout=None):
    """Runs words in the guest of the state folder home; returns the exit status.

    out, err: called with bytes. stdin: a file descriptor whose bytes the command gets, or None.
    TimeoutError when the guest is silent for timeout seconds.
    """
    number, lock = _free_port(home)
    with lock, socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(home / f"port{number}.sock"))
        return converse(connection, words, out, err, stdin, timeout)


def converse(connection, words, out, err, stdin=None, timeout=None):
    """execute() on a connection (fileno, recv, sendall) that nobody else uses."""
    request = b"".join(os.fsencode(word) + b"\0" for word in words)
    if len(request) > 1 << 16:
        raise store.Failure("the command is longer than 64 KiB: send a script with -i")
    frames = _Frames(connection)
    frames.send(b"R", (b"0" if stdin is None else b"1") + request)
    if stdin is not None:
        threading.Thread(target=_pump, args=(frames, stdin), daemon=True).start()
    while True:
        for kind, data in frames.receive(timeout):
            if kind == b"X":
                frames.send(b"B")
                return data[0]
            (out if kind == b"O" else err)(data)
