"""What the pool and its workers say to each other: typed messages, framed on a Unix socket.

Large data travel as file descriptors beside a message, so shipping them costs no copy.
"""

import array
import socket
import struct
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

_LENGTH = struct.Struct("<I")
_CHUNK_BYTES = 1 << 16
_MAXIMUM_DESCRIPTORS = 8


class Request(msgspec.Struct, frozen=True, tag="request"):
    """Run a job of the worker's table."""

    number: int
    job: str
    payload: bytes
    cpu_seconds: int


class Blob(msgspec.Struct, frozen=True, tag="blob"):
    """Data for later jobs; the descriptor of an anonymous file travels with it."""

    name: str
    size_bytes: int


class Go(msgspec.Struct, frozen=True, tag="go"):
    """The worker may enter the exclusive phase that it asked for."""

    number: int


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The worker has started."""

    pid: int


class Phase(msgspec.Struct, frozen=True, tag="phase"):
    """The job enters a phase, or asks to enter one that only one worker may be in."""

    number: int
    name: str
    exclusive: bool


class Reply(msgspec.Struct, frozen=True, tag="reply"):
    """The job's result, and the memory that the worker holds after it."""

    number: int
    payload: bytes
    resident_bytes: int


class Failure(msgspec.Struct, frozen=True, tag="failure"):
    """The job raised."""

    number: int
    kind: Literal["error", "out_of_memory"]
    message: str


ToWorker = Request | Blob | Go
FromWorker = Ready | Phase | Reply | Failure

_encoder = msgspec.msgpack.Encoder()
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


def frame(message: ToWorker | FromWorker) -> bytes:
    """Encode a message and its length."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


class ParentChannel:
    """The pool's end: never blocks, whatever the worker does."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._received = bytearray()
        self._outgoing: deque[tuple[memoryview, tuple[int, ...]]] = deque()
        self.at_end = False

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._socket.fileno()

    @property
    def has_outgoing(self) -> bool:
        """Whether bytes wait until the worker reads."""
        return bool(self._outgoing)

    def send(self, message: ToWorker, descriptors: Sequence[int] = ()) -> None:
        """Queue a message and write what the socket takes."""
        self._outgoing.append((memoryview(frame(message)), tuple(descriptors)))
        self.flush()

    def flush(self) -> None:
        """Write what the socket takes; a dead worker's end swallows the rest."""
        while self._outgoing:
            data, descriptors = self._outgoing[0]
            try:
                sent = self._socket.sendmsg([data], _rights(descriptors), socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return
            except OSError:
                self._outgoing.clear()
                return
            if sent == len(data):
                self._outgoing.popleft()
            else:
                self._outgoing[0] = (data[sent:], ())

    def receive(self) -> list[FromWorker]:
        """The messages that are complete; sets `at_end` when there will be no more."""
        while not self.at_end:
            try:
                chunk = self._socket.recv(_CHUNK_BYTES)
            except BlockingIOError:
                break
            except OSError:
                chunk = b""
            self.at_end = not chunk
            self._received += chunk
        return [_from_worker.decode(body) for body in _split(self._received)]

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class WorkerChannel:
    """The worker's end: blocks."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._received = bytearray()
        self._complete: deque[bytes] = deque()
        self._descriptors: deque[int] = deque()

    def send(self, message: FromWorker) -> None:
        """Write a whole message."""
        self._socket.sendall(frame(message))

    def receive(self) -> ToWorker:
        """Wait for the next message.

        Raises:
            EOFError: when the pool is gone.
        """
        while not self._complete:
            chunk, descriptors, _, _ = socket.recv_fds(self._socket, _CHUNK_BYTES, _MAXIMUM_DESCRIPTORS)
            if not chunk:
                raise EOFError("the pool closed the connection")
            self._descriptors.extend(descriptors)
            self._received += chunk
            self._complete.extend(_split(self._received))
        return _to_worker.decode(self._complete.popleft())

    def take_descriptor(self) -> int:
        """The oldest descriptor that came beside a message."""
        return self._descriptors.popleft()


def _split(buffer: bytearray) -> Iterable[bytes]:
    """Remove the complete frames from `buffer` and return their bodies."""
    bodies: list[bytes] = []
    start = 0
    while len(buffer) - start >= _LENGTH.size:
        (length,) = _LENGTH.unpack_from(buffer, start)
        end = start + _LENGTH.size + length
        if end > len(buffer):
            break
        bodies.append(bytes(buffer[start + _LENGTH.size : end]))
        start = end
    del buffer[:start]
    return bodies


def _rights(descriptors: Sequence[int]) -> list[tuple[int, int, bytes]]:
    if not descriptors:
        return []
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors).tobytes())]
