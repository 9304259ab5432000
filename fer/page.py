"""A page for the browser of this machine: photos or the camera in, emotions out.

It listens on the loopback address alone, and answers only under an address with a
random token, because other users of a shared machine reach that address too. Nothing
is stored, and nothing is fetched from elsewhere.
"""

import base64
import collections
import hmac
import http.server
import io
import json
import os
import re
import secrets
import sys
import threading
import time
from pathlib import Path

import numpy as np

from fer import pictures
from fer.command import InputError
from fer.faces import EMOTIONS, IMAGE_SIZE, NUM_PIXELS

ADDRESS = "127.0.0.1"
# Any port: a tunnel has its own.
HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?")
PAGE = Path(__file__).with_suffix(".html")
MAX_BYTES = 32 * 2**20
MAX_PER_SECOND = 20
# One picture is worked on at a time, and so many may wait for it.
MAX_AT_ONCE = 4
# Seconds after which a connection that says nothing is closed.
SILENCE = 20
# What a browser that went away in the middle is seen by.
GONE = (ConnectionError, TimeoutError)
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
POLICY = (
    "default-src 'none'; script-src 'nonce-{0}'; style-src 'nonce-{0}'; "
    "connect-src 'self'; img-src blob: data:; media-src blob:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


class Refusal(Exception):
    """A request that is not answered: the status of HTTP and a line for the reader."""


class Page(http.server.ThreadingHTTPServer):
    """The server of the page.

    Args:
        recognizer: fer.recognition.Recognizer.
        port: 0 takes a free one.

    Attributes:
        url: where the page is.
    """

    daemon_threads = True
    # On Windows, two servers could share a port.
    allow_reuse_address = os.name != "nt"

    def __init__(self, recognizer, port):
        super().__init__((ADDRESS, port), Handler)
        self.recognizer = recognizer
        self.token = secrets.token_urlsafe(16)
        self.url = f"http://{ADDRESS}:{self.server_port}/{self.token}/"
        self.working = threading.Lock()
        self.places = threading.Semaphore(MAX_AT_ONCE)
        self.recent = collections.deque(maxlen=MAX_PER_SECOND)

    def handle_error(self, request, client_address):
        """Say nothing of a browser that went away in the middle."""
        if not isinstance(sys.exception(), GONE):
            super().handle_error(request, client_address)

    def take_place(self):
        """Let an upload in, unless there are too many; returns whether it is in."""
        now = time.monotonic()
        if len(self.recent) == MAX_PER_SECOND and now - self.recent[0] < 1:
            return False
        self.recent.append(now)
        return self.places.acquire(blocking=False)

    def find_faces(self, body):
        """The faces of a picture's bytes, as the page wants them."""
        picture = pictures.read_color(io.BytesIO(body), "this picture")
        cuts, probabilities = self.recognizer.recognize(picture)
        height, width = picture.shape[:2]
        faces = [
            {
                "box": (box / [width, height, width, height]).tolist(),
                "pixels": base64.b64encode(image.tobytes()).decode(),
                "probabilities": shares.tolist() if np.isfinite(shares[0]) else None,
            }
            for box, image, shares in zip(
                cuts.boxes, cuts.images, probabilities, strict=True
            )
        ]
        answer = {"emotions": EMOTIONS, "faces": faces}
        return "application/json", json.dumps(answer).encode()

    def find_saliency(self, body):
        """How its emotion depends on each of the 2,304 pixels of a face, as bytes."""
        from fer import gradients, saliency
        from fer.sheets import HEAT_PERCENTILE, scale_heat

        if len(body) != NUM_PIXELS:
            raise Refusal(400, f"expected {NUM_PIXELS} bytes, found {len(body)}")
        gradients.check_backend()
        face = np.frombuffer(body, np.uint8).reshape(1, IMAGE_SIZE, IMAGE_SIZE, 1)
        classes = self.recognizer.ask(face).argmax(axis=1)
        maps = [
            saliency.compute_saliency(model, face, classes)
            for model in self.recognizer.models
        ]
        heat = scale_heat(np.mean(maps, axis=0), HEAT_PERCENTILE)
        return "application/octet-stream", (255 * heat).astype(np.uint8).tobytes()


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection of a browser."""

    protocol_version = "HTTP/1.1"
    timeout = SILENCE

    def log_message(self, *_):
        """Keep the token out of logs."""

    def do_GET(self):
        self.answer({"": self.find_page})

    def do_POST(self):
        self.answer(
            {"faces": self.server.find_faces, "saliency": self.server.find_saliency}
        )

    def answer(self, works):
        """Answer a request by the work that its address names, or refuse it."""
        self.policy = "default-src 'none'"
        try:
            work = self.find_work(works)
            if self.command == "GET":
                kind, body = work()
            else:
                kind, body = self.work_on_upload(work)
            self.send(200, kind, body)
        except Refusal as refusal:
            self.refuse(*refusal.args)
        except GONE:
            raise
        except Exception:
            self.refuse(500, "the program made a mistake, which its terminal shows")
            raise

    def find_work(self, works):
        """The work of the address, for those who may ask for it."""
        host, origin = self.headers["Host"] or "", self.headers["Origin"]
        if not HOST.fullmatch(host):
            raise Refusal(403, "the page is for localhost only")
        if origin not in (None, f"http://{host}"):
            raise Refusal(403, "the page is not for other pages")
        _, token, name = (*self.path.split("/", 2), "", "")[:3]
        # In a time that says nothing of how much of it was right.
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            raise Refusal(404, "nothing here: copy the whole address, with its token")
        if name not in works:
            raise Refusal(404, "nothing here")
        return works[name]

    def find_page(self):
        """The page, whose own script and style alone are allowed."""
        nonce = secrets.token_urlsafe(16)
        self.policy = POLICY.format(nonce)
        page = PAGE.read_text(encoding="utf-8").replace("NONCE", nonce)
        return "text/html; charset=utf-8", page.encode()

    def work_on_upload(self, work):
        """Read the body and do some work on it, one at a time."""
        length = self.headers["Content-Length"] or ""
        if not re.fullmatch(r"\d{1,12}", length):
            raise Refusal(411, "expected the length of the picture")
        if int(length) > MAX_BYTES:
            raise Refusal(413, f"expected at most {MAX_BYTES // 2**20} MB")
        if not self.server.take_place():
            raise Refusal(429, "too many pictures at once; wait a moment")
        try:
            body = self.rfile.read(int(length))
            with self.server.working:
                return work(body)
        except InputError as error:
            raise Refusal(422, str(error)) from error
        finally:
            self.server.places.release()

    def refuse(self, status, text):
        """Send a line in the place of an answer, as the last one of the connection."""
        # What of its body was not read would be taken for the next request.
        self.close_connection = True
        self.send(status, "text/plain; charset=utf-8", text.encode())

    def send(self, status, kind, body):
        """Send an answer."""
        self.send_response_only(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), **HEADERS}
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Security-Policy", self.policy)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


def serve(recognizer, port):
    """Serve the page until Ctrl-C.

    Raises:
        InputError: the port is taken.
    """
    try:
        page = Page(recognizer, port)
    except OSError as error:
        raise InputError(
            f"--port {port}: expected a free port of this machine, found one that "
            f"cannot be had ({error.strerror}); choose another, or 0 for any"
        ) from error
    print(f"open {page.url} in a browser of this machine; Ctrl-C ends", flush=True)
    page.serve_forever()
