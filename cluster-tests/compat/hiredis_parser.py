"""hiredis's own reader on a bare socket: hiredis_parser.py PORT."""

import socket
import sys

import hiredis

port = int(sys.argv[1])


class Connection:
    def __init__(self):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.reader = hiredis.Reader(encoding="utf-8", notEnoughData=Ellipsis)

    def ask(self, *commands):
        self.socket.sendall(b"".join(hiredis.pack_command(command) for command in commands))
        return [self.read() for _ in commands]

    def read(self):
        while (reply := self.reader.gets()) is Ellipsis:
            data = self.socket.recv(65536)
            if not data:
                sys.exit("closed by the server")
            self.reader.feed(data)
        return reply


def check(what, got, wanted):
    if got != wanted:
        sys.exit(f"{what}: got {got!r}, wanted {wanted!r}")


connection = Connection()
check("RESP2", connection.ask(("PING",), ("SET", "hiredis", "x"), ("GET", "hiredis"), ("GET", "hiredis:none")), ["PONG", "OK", "x", None])
(error,) = connection.ask(("GET",))
check("error", str(error), "ERR wrong number of arguments for 'get' command")
(hello,) = connection.ask(("HELLO", "3"))
check("HELLO 3", (type(hello), hello["proto"], hello["role"]), (dict, 3, "master"))
check("RESP3", connection.ask(("GET", "hiredis"), ("GET", "hiredis:none"), ("EXISTS", "hiredis")), ["x", None, 1])
(config,) = connection.ask(("CONFIG", "GET", "maxmemory"))
check("map", list(config), ["maxmemory"])
replies = connection.ask(*[("SET", f"hiredis:{i}", "v" * i) for i in range(1000)])
check("pipeline", replies, ["OK"] * 1000)
replies = connection.ask(*[("STRLEN", f"hiredis:{i}") for i in range(1000)])
check("lengths", replies, list(range(1000)))
(transaction,) = connection.ask(("MULTI",), ("SET", "{h}a", "1"), ("INCR", "{h}a"), ("EXEC",))[3:]
check("EXEC", transaction, ["OK", 2])
print("OK")
