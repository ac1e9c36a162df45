"""A receiver that is never the limit: `python -m bench.fast_receiver PORT`.

One thread over epoll, the least of HTTP that our senders speak. By the path's first part: `/fast/…` is answered 200 at
once, `/timed/…` too and its arrival is kept by delivery, `/hang/…` is never answered. `GET /` gives the arrivals and
forgets them.
"""

import json
import select
import socket
import sys
import time

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
arrivals: dict[str, float] = {}


class Connection:
    """One client's socket, and the bytes of a request that has not come whole."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.pending = b""

    def serve(self) -> bool:
        """Reads what there is and answers; whether the client is still there."""
        try:
            data = self.sock.recv(262144)
        except ConnectionError:
            return False
        if not data:
            return False
        self.pending += data
        answers = bytearray()
        while (head := self.pending.find(b"\r\n\r\n")) >= 0:
            headers = self.pending[: head + 2]
            whole = head + 4 + _length(headers)
            if len(self.pending) < whole:
                break
            self.pending = self.pending[whole:]
            answers += _answer(headers)
        if answers:
            self.sock.sendall(answers)
        return True


def _length(headers: bytes) -> int:
    at = headers.lower().find(b"content-length:")
    return 0 if at < 0 else int(headers[at + 15 : headers.index(b"\r", at)])


def _answer(headers: bytes) -> bytes:
    if headers.startswith(b"POST /fast"):
        return ANSWER
    if headers.startswith(b"POST /timed"):
        at = headers.index(b"X-Calliyo-Delivery: ") + 20
        arrivals.setdefault(headers[at : headers.index(b"\r", at)].decode(), time.time())
        return ANSWER
    if headers.startswith(b"POST /hang"):
        return b""
    body = json.dumps(arrivals).encode()
    arrivals.clear()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def serve(port: int) -> None:
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    connections: dict[int, Connection] = {}
    while True:
        for number, _ in poll.poll():
            if number == listener.fileno():
                sock, _address = listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections[sock.fileno()] = Connection(sock)
                poll.register(sock, select.EPOLLIN)
            elif not connections[number].serve():
                poll.unregister(number)
                connections.pop(number).sock.close()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
