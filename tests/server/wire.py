"""HTTP/1.1 and WebSocket by hand, over a socket: what a client library would not let a test say."""
import base64
import hashlib
import json
import os
import socket
import struct
import time

TIMEOUT = 30


class Closed(Exception):
    """The server ended the connection before the answer did."""


class Answer:
    def __init__(self, status, fields, body=b""):
        self.status, self.fields, self.body = status, fields, body

    def header(self, name):
        found = [value for key, value in self.fields if key.lower() == name.lower()]
        assert len(found) < 2, f"{name} is there {len(found)} times"
        return found[0] if found else None

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.fields} {self.body[:300]!r}>"


class Wire:
    """One connection. Bytes are sent as they are given."""

    def __init__(self, address, tls=None, timeout=TIMEOUT):
        self.socket = socket.create_connection(address, timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.host = f"{address[0]}:{address[1]}"
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def request(self, method, target, body=None, headers=(), version="HTTP/1.1"):
        """Sends one as it should be; `headers` are (name, value) pairs or lines."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        lines = [f"{method} {target} {version}"]
        given = [line if isinstance(line, str) else f"{line[0]}: {line[1]}" for line in headers]
        if not any(line.lower().startswith("host:") for line in given):
            lines.append(f"Host: {self.host}")
        lines += given
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b""))

    def more(self):
        got = self.socket.recv(1 << 16)
        if not got:
            raise Closed(self.buffer)
        self.buffer += got

    def until(self, mark):
        """What comes up to the mark, without it."""
        while mark not in self.buffer:
            self.more()
        got, _, self.buffer = self.buffer.partition(mark)
        return got

    def exactly(self, size):
        while len(self.buffer) < size:
            self.more()
        got, self.buffer = self.buffer[:size], self.buffer[size:]
        return got

    def head(self):
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, _ = lines[0].split(" ", 2)
        assert version == "HTTP/1.1", lines[0]
        return Answer(int(status), [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])])

    def chunk(self):
        """The next chunk of a body; b"" is the last."""
        size = int(self.until(b"\r\n"), 16)
        data = self.exactly(size)
        assert self.exactly(2) == b"\r\n"
        return data

    def answer(self, to="GET"):
        answer = self.head()
        if to == "HEAD" or answer.status in (204, 304):
            return answer
        if answer.header("Transfer-Encoding") == "chunked":
            pieces = []
            while piece := self.chunk():
                pieces.append(piece)
            answer.body = b"".join(pieces)
        else:
            answer.body = self.exactly(int(answer.header("Content-Length")))
        return answer

    def ask(self, method, target, body=None, headers=()):
        self.request(method, target, body, headers)
        return self.answer(method)

    def is_closed(self):
        """Waits for the server to end the connection. Bytes that still come are an error."""
        try:
            got = self.buffer or self.socket.recv(1 << 16)
        except ConnectionResetError:
            return True
        assert got == b"", got
        return True

    def lines(self):
        """The lines of a chunked body as they come, each without its end."""
        rest = b""
        while piece := self.chunk():
            rest += piece
            *whole, rest = rest.split(b"\n")
            yield from whole
        assert rest == b"", rest


class Events:
    """Server-sent events of one connection, as a browser reads them."""

    def __init__(self, wire, target, headers=()):
        wire.request("GET", target, headers=headers)
        self.answer = wire.head()
        self.wire = wire
        if self.answer.status != 200:
            self.answer.body = wire.exactly(int(self.answer.header("Content-Length")))
            return
        self.lines = wire.lines()
        self.comments = []

    def __iter__(self):
        """(id, data) of each event."""
        id_ = data = None
        for line in self.lines:
            line = line.decode()
            if line.startswith(":"):
                self.comments.append(line[1:].strip())
            elif line.startswith("id: "):
                id_ = line[4:]
            elif line.startswith("data: "):
                data = json.loads(line[6:])
            elif line == "" and data is not None:
                yield id_, data
                id_ = data = None
            else:
                assert line == "", line

    def until(self, wanted):
        """All up to the one that is wanted, with it."""
        seen = []
        for event in self:
            seen.append(event)
            if wanted(event[1]):
                return seen
        raise Closed(seen)


class WebSocket:
    """A client's side of RFC 6455."""

    GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

    def __init__(self, wire, target, headers=()):
        self.wire = wire
        key = base64.b64encode(os.urandom(16)).decode()
        wire.request("GET", target, headers=["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", *headers])
        self.answer = wire.head()
        self.closed = None  # (code, reason)
        if self.answer.status != 101:
            self.answer.body = wire.exactly(int(self.answer.header("Content-Length")))
            return
        expected = base64.b64encode(hashlib.sha1((key + self.GUID).encode()).digest()).decode()
        assert self.answer.header("Sec-WebSocket-Accept") == expected, self.answer

    def send_frame(self, opcode, payload, final=True, masked=True):
        size = len(payload)
        head = bytes([opcode | (0x80 if final else 0)])
        bit = 0x80 if masked else 0
        head += bytes([bit | size]) if size < 126 else bytes([bit | 126]) + struct.pack(">H", size) if size < 65536 else bytes([bit | 127]) + struct.pack(">Q", size)
        if masked:
            mask = os.urandom(4)
            payload = bytes(a ^ b for a, b in zip(payload, (mask * (size // 4 + 1))[:size])) if size < 4096 else self.mask(payload, mask)
            head += mask
        self.wire.send(head + payload)

    @staticmethod
    def mask(payload, mask):
        size = len(payload)
        whole = (mask * (size // 4 + 1))[:size]
        return (int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")).to_bytes(size, "big")

    def say(self, **frame):
        self.send_frame(1, json.dumps(frame).encode())

    def text(self, text):
        self.send_frame(1, text if isinstance(text, bytes) else text.encode())

    def binary(self, data):
        self.send_frame(2, data)

    def close(self, code=1000):
        self.send_frame(8, struct.pack(">H", code))

    def frame(self):
        """(opcode, payload) of the next frame; pings are answered, a close is remembered and answered. None after that."""
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            first, second = self.wire.exactly(2)
            assert first & 0x70 == 0 and second & 0x80 == 0, (first, second)
            size = second & 0x7F
            if size == 126:
                size = struct.unpack(">H", self.wire.exactly(2))[0]
            elif size == 127:
                size = struct.unpack(">Q", self.wire.exactly(8))[0]
            payload = self.wire.exactly(size)
            opcode = first & 0x0F
            if opcode == 9:
                self.send_frame(10, payload)
            elif opcode == 8:
                self.closed = (struct.unpack(">H", payload[:2])[0], payload[2:].decode()) if payload else (1005, "")
                return None
            elif opcode != 10:
                assert first & 0x80, "a fragment"
                return opcode, payload
        raise TimeoutError("nothing but pings")

    def next(self):
        """The next message: an object of a text, bytes of a binary one; None after the close."""
        got = self.frame()
        if got is None:
            return None
        return json.loads(got[1]) if got[0] == 1 else got[1]

    def rest(self):
        """All messages until the server closes."""
        messages = []
        while (message := self.next()) is not None:
            messages.append(message)
        return messages

    def output_until(self, wanted, stream="stdout"):
        """The text of one stream up to where it has what is wanted. Other frames are an error."""
        text = ""
        while wanted not in text:
            message = self.next()
            assert message and message["type"] == stream, (message, text)
            text += message["data"]
        return text
