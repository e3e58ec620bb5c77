"""A misbehaving proxy between a gateway and a store: it forwards HTTP/1.1 requests byte for byte, but for the
faults that a test orders. Hosts stay as the client named them, so signatures hold."""

import http.client
import http.server
import random
import re
import socket
import threading
import time

PIECE = 256 * 1024
SLOW_DOWN = (b"<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>SlowDown</Code>"
             b"<Message>Please reduce your request rate.</Message></Error>")


class Faults:
    """Probabilities, per request; a seed makes a run repeatable."""

    def __init__(self, seed=1, drop=0, cut=0, delay=0, storm=0, slow_down=0, twice=0, lose_answer=0,
                 wrong_checksum=0, stale_listing=0, matches=lambda method, path: True):
        self.dice = random.Random(seed)
        self.lock = threading.Lock()
        self.odds = dict(drop=drop, cut=cut, delay=delay, storm=storm, slow_down=slow_down, twice=twice,
                         lose_answer=lose_answer, wrong_checksum=wrong_checksum,
                         stale_listing=stale_listing)
        self.matches = matches
        self.done = {name: 0 for name in self.odds}
        self.drawn = 0

    def draw(self, method, path):
        """The fault of this request, if any."""
        with self.lock:
            if not self.matches(method, path):
                return None
            self.drawn += 1
            for name, odds in self.odds.items():
                if odds and self.dice.random() < odds:
                    self.done[name] += 1
                    return name
        return None

    def missing(self):
        """Faults that were ordered, and so likely by now that something is wrong when none of them happened."""
        return [name for name, odds in self.odds.items() if odds * self.drawn > 10 and not self.done[name]]


class Proxy:
    def __init__(self, upstream_port, faults=None, guard=None):
        self.upstream_port = upstream_port
        self.faults = faults or Faults()
        self.guard = guard  # (method, path, headers) → None, or (status, body) in the store's place
        self.calls = []     # (method, path, target header)
        self.received_bytes = 0
        self.cuts = []      # byte counts: each cuts the next upload that gets so far, once
        self.listings = {}
        self.lock = threading.Lock()
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle_one_request(self):
                try:
                    super().handle_one_request()
                except (ConnectionError, socket.timeout, TimeoutError):
                    self.close_connection = True

            def serve(self):
                proxy.serve(self)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = serve

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def count(self, method, part):
        with self.lock:
            return sum(1 for m, path, _ in self.calls if m == method and part in path)

    # --- one request
    def answer(self, handler, status, body=b"", **headers):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    def drop(self, handler):
        handler.close_connection = True
        handler.connection.shutdown(socket.SHUT_RDWR)

    def read_body(self, handler, cut_after=None):
        """The body, or None when the connection is to be cut within it."""
        length = int(handler.headers.get("Content-Length") or 0)
        body = bytearray()
        while len(body) < length:
            piece = handler.rfile.read1(min(PIECE, length - len(body)))
            if not piece:
                raise ConnectionError
            body += piece
            with self.lock:
                self.received_bytes += len(piece)
                ordered = bool(self.cuts) and self.received_bytes >= self.cuts[0]
                if ordered:
                    self.cuts.pop(0)
            if ordered or (cut_after is not None and len(body) >= cut_after):
                return None
        return bytes(body)

    def serve(self, handler):
        method, path = handler.command, handler.path
        with self.lock:
            self.calls.append((method, path, handler.headers.get("Authorization", "")[:60]))
        fault = self.faults.draw(method, path)
        if fault == "drop":
            return self.drop(handler)
        length = int(handler.headers.get("Content-Length") or 0)
        body = self.read_body(handler, length // 2 if fault == "cut" and length else None)
        if body is None:
            return self.drop(handler)
        if fault == "delay":
            time.sleep(0.3)
        if fault == "storm":
            return self.answer(handler, self.faults.dice.choice([500, 503, 429]))
        if fault == "slow_down":
            return self.answer(handler, 503, SLOW_DOWN, Content_Type="application/xml")
        if self.guard:
            refused = self.guard(method, path, handler.headers)
            if refused:
                return self.answer(handler, *refused)
        return self.forward(handler, method, path, body, fault)

    def ask(self, handler, method, path, body):
        upstream = http.client.HTTPConnection("127.0.0.1", self.upstream_port, timeout=120)
        upstream.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in handler.headers.items():
            if name.lower() not in ("connection", "expect"):
                upstream.putheader(name, value)
        upstream.endheaders(body or None)
        response = upstream.getresponse()
        answer = response.status, response.getheaders(), response.read()
        upstream.close()
        return answer

    def forward(self, handler, method, path, body, fault):
        status, headers, answer = self.ask(handler, method, path, body)
        if fault == "twice":
            status, headers, answer = self.ask(handler, method, path, body)
        if fault == "lose_answer":
            return self.drop(handler)
        if fault == "wrong_checksum":  # what Cloud Storage says of an object, and S3
            answer = re.sub(rb'("crc32c": ?)"[^"]*"', rb'\1"AAAAAA=="', answer)
            headers = [(name, "A" * 43 + "=" if name.lower() == "x-amz-checksum-sha256" else value)
                       for name, value in headers]
        if method == "GET" and ("list-type=2" in path or "/o?prefix=" in path):
            with self.lock:
                if fault == "stale_listing" and path in self.listings:
                    status, headers, answer = self.listings[path]
                self.listings[path] = (status, headers, answer)
        handler.send_response_only(status)
        for name, value in headers:
            if name.lower() in ("connection", "transfer-encoding", "content-length"):
                continue
            if fault == "wrong_checksum" and name.lower() == "x-amz-checksum-sha256":
                value = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
            if fault == "wrong_checksum" and name.lower() == "x-goog-hash":
                value = "crc32c=AAAAAA=="
            handler.send_header(name, value)
        told = dict((name.lower(), value) for name, value in headers).get("content-length")
        size = told if method == "HEAD" and told else str(len(answer))
        if status != 204:
            handler.send_header("Content-Length", size)
        handler.end_headers()
        if method != "HEAD":
            handler.wfile.write(answer)
        return None
