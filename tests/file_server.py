"""A server of files on this machine, with the moods of those on the internet."""

import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CERTIFICATE = Path(__file__).with_name("localhost.pem")
"""Of 127.0.0.1, with its key; whoever trusts it, trusts itself."""


@dataclass
class FileServer:
    """Serves `files`; its moods can be changed between two requests.

    `cut` ends the connection after so many bytes of an answer, `hold` waits after them
    until it is set. `asked` keeps (path, Range header) of every request.
    """

    files: dict = field(default_factory=dict)
    redirects: dict = field(default_factory=dict)
    statuses: dict = field(default_factory=dict)
    ranges: bool = True
    etag: str | None = '"first"'
    length: bool = True
    kind: str = "application/octet-stream"
    cut: int | None = None
    hold: threading.Event | None = None
    https: bool = False
    asked: list = field(default_factory=list)
    headers: list = field(default_factory=list)

    def start(self):
        mood = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                mood.answer(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if self.https:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
            # the handshake belongs into the thread of its request
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(
            target=self.server.serve_forever, args=(0.02,), daemon=True
        ).start()
        return self

    def stop(self):
        if self.hold is not None:
            self.hold.set()
        self.server.shutdown()
        self.server.server_close()

    def url(self, name):
        scheme = "https" if self.https else "http"
        return f"{scheme}://127.0.0.1:{self.server.server_port}/{name}"

    def answer(self, request):
        name = request.path.lstrip("/")
        wanted = request.headers.get("Range")
        self.asked.append((name, wanted))
        self.headers.append(dict(request.headers))
        if name in self.redirects:
            request.send_response(302)
            request.send_header("Location", self.redirects[name])
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        if name in self.statuses or name not in self.files:
            request.send_error(self.statuses.get(name, 404))
            return
        content = self.files[name]
        same = request.headers.get("If-Range", self.etag) == self.etag
        start = 0
        if wanted and self.ranges and same:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                request.send_response(416)
                request.send_header("Content-Range", f"bytes */{len(content)}")
                request.end_headers()
                return
            request.send_response(206)
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            request.send_header("Content-Range", span)
        else:
            request.send_response(200)
        self.send(request, content[start:])

    def send(self, request, content):
        request.send_header("Content-Type", self.kind)
        if self.length:
            request.send_header("Content-Length", str(len(content)))
        if self.etag:
            request.send_header("ETag", self.etag)
        request.send_header("Content-Disposition", 'filename="../../evil"')
        request.end_headers()
        first = content if self.cut is None else content[: self.cut]
        try:
            request.wfile.write(first)
            request.wfile.flush()
            if self.hold is not None:
                self.hold.wait(60)
                request.wfile.write(content[len(first) :])
        except OSError:
            pass  # who asked has gone
