"""The page of results: every number against its file, and words that follow them."""

import argparse
import csv
import functools
import html.parser
import json
import math
import re
import shutil
import unicodedata
from collections import Counter

import keras
import numpy as np
import pandas as pd
import pytest
from chromium import open_chromium
from conftest import ROOT, run_script
from keras import layers
from sklearn import metrics
from tiny_network import build_tiny

import write_report
from fer import checkpoints, command, complexity, data, prediction, saliency
from fer.faces import EMOTIONS, compute_fingerprint
from networks.blocks import emotion_output, face_input
from report import measure, results, table
from report.faces import LabelledFaces, load_test
from report.page import Missing

# Where digits are no measures: names, commands, literature, formulas, messages.
EXEMPT = {"code", "cite", "var", "time", "svg", "script", "style", "title"}
EXEMPT_CLASSES = {"name", "missing"}
VOID = {"meta", "link", "img", "br"}


class Page(html.parser.HTMLParser):
    """What a test looks for in a page.

    Attributes:
        measures: list of (attributes, text) of the <data> elements.
        loose: the text outside of them and of what is exempt.
        text: all text that is seen.
        pictures: attributes of the <img> elements.
        links: values of all src and href.
    """

    def __init__(self, path):
        super().__init__()
        self.measures, self.pictures, self.links = [], [], []
        self.loose = self.text = ""
        self.stack = []
        self.feed(path.read_text(encoding="utf-8"))
        assert not self.stack

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.links += [attributes[key] for key in ("src", "href") if key in attributes]
        if tag in ("td", "th"):
            self.text += " "
        if tag == "img":
            self.pictures.append(attributes)
        if tag == "data":
            self.measures.append((attributes, ""))
        if tag not in VOID and not self.is_inside("svg"):
            self.stack.append((tag, attributes.get("class", "").split()))
        elif tag == "svg":
            self.stack.append((tag, []))

    def handle_endtag(self, tag):
        if self.stack and self.stack[-1][0] == tag:
            self.stack.pop()

    def handle_data(self, text):
        if self.is_inside("script") or self.is_inside("style"):
            return
        self.text += text
        if self.is_inside("data"):
            attributes, before = self.measures[-1]
            self.measures[-1] = attributes, before + text
        elif not any(
            tag in EXEMPT or EXEMPT_CLASSES.intersection(classes)
            for tag, classes in self.stack
        ):
            self.loose += text

    def is_inside(self, tag):
        return any(tag == other for other, _ in self.stack)

    @property
    def words(self):
        """The text with single spaces."""
        return " ".join(self.text.split())


def build_tiny_dnn():
    """Two dense layers; (48, 48, 1) to 7."""
    pixels, x = face_input()
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(16, activation="relu", name="hidden")(x)
    return keras.Model(pixels, emotion_output(x), name="tiny_dnn")


def write_run(folder, name, model, faces, **record):
    """Write checkpoint, record and log of a run that held out every tenth face."""
    keras.utils.set_random_seed(1)
    images, labels = data.load_training_faces(faces)
    path = folder / f"checkpoints/{name}.keras"
    path.parent.mkdir(exist_ok=True)
    checkpoints.save(model, path)
    content = {
        "command": f"train.py --name {name}",
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "changed": False,
        "threads": 2,
        "train": str(faces),
        "parameters": model.count_params(),
        "trainable_parameters": model.count_params(),
        "multiply_adds": complexity.count_multiply_adds(model),
        "training_operations": 1.5e12,
        "epochs_trained": 3,
        "best_epoch": 2,
        "val_accuracy": 0.25,
        "kept": "best validation accuracy",
        "minutes": 1.26,
        "images_per_second": 345.6,
        "settings": {
            "network": "tiny",
            "faces": compute_fingerprint(images, labels),
            "epochs": 3,
            "optimizer": "sgd",
            "patience": None,
        },
        "versions": {
            "python": "3.12",
            "backend": "tensorflow",
            "keras": keras.__version__,
            "numpy": "2",
        },
        "validation_rows": list(range(0, len(images), 10)),
        **record,
    }
    path.with_suffix(".json").write_text(json.dumps(content))
    path.with_suffix(".csv").write_text(
        "epoch,accuracy,loss,val_accuracy,val_loss,learning_rate,seconds\n"
        "1,0.2,1.9,0.21,1.8,0.1,9\n2,0.3,1.7,0.27,1.5,0.1,9\n3,0.4,1.6,0.26,1.6,0,9\n"
    )
    return path


@pytest.fixture(scope="module")
def made(drawn, tmp_path_factory):
    """A folder with two runs, the repository's studies and the page about them."""
    folder = tmp_path_factory.mktemp("report")
    shutil.copytree(drawn, folder / "data")
    faces = folder / "data/train.csv"
    keras.utils.set_random_seed(0)
    write_run(folder, "cnn", build_tiny(), faces, train="data/train.csv")
    write_run(folder, "dnn", build_tiny_dnn(), faces, train="data/train.csv")
    (folder / "plots").mkdir()
    for study in ("ablations", "semi_supervised"):
        for suffix in (".csv", ".png"):
            shutil.copy(ROOT / f"plots/{study}{suffix}", folder / "plots")
    arguments = ["--labels", "data/test_labels.csv", "--test", "data/test.csv"]
    process = run_script("write_report.py", *arguments, cwd=folder)
    assert "wrote report.html" in process.stdout
    return folder


@pytest.fixture(scope="module")
def page(made):
    return Page(made / "report.html")


class Sources:
    """Looks a source up again, by other means than those of the page."""

    def __init__(self, folder):
        self.folder = folder
        # Each takes a while, and is asked for by many measures.
        for method in ("load_model", "load_faces", "ask", "explain_all", "analyze_all"):
            setattr(self, method, functools.cache(getattr(self, method)))

    def load_model(self, path):
        return keras.models.load_model(self.folder / path)

    def load_faces(self):
        return data.load_training_faces(self.folder / "data/train.csv")

    def find(self, source):
        file, key = source.split(": ", 1)
        if file.endswith(".json"):
            return self.find_recorded(file, key)
        if file.endswith(".py"):
            module = file.removesuffix(".py").replace("/", ".")
            return getattr(__import__(module, fromlist=[key]), key)
        if " on " in file:
            return self.count(file, key)
        if file.endswith(".csv") and key.split()[0] in ("components", "share", "faces"):
            return self.analyze(key)
        if file.endswith(".csv") and key.startswith("pixels"):
            return 48 * 48
        if file.endswith(".csv"):
            return self.find_row(file, key)
        return self.find_layer(file, key)

    def find_recorded(self, file, key):
        value = json.loads((self.folder / file).read_text())
        if key.startswith("length of "):
            return len(value[key.removeprefix("length of ")])
        for word in key.split("."):
            value = value[word]
        return value

    def find_row(self, file, key):
        with open(self.folder / file, newline="") as lines:
            rows = list(csv.DictReader(lines))
        column, where = key.split(" where ")
        if where.endswith(" is lowest"):
            lowest = where.removesuffix(" is lowest")
            return float(min(rows, key=lambda row: float(row[lowest]))[column])
        pairs = [pair.partition("=")[::2] for pair in where.split(", ")]
        (row,) = [row for row in rows if all(row[k] == value for k, value in pairs)]
        return float(row[column])

    def find_layer(self, file, key):
        model = self.load_model(file)
        if "." not in key:
            return {
                "parameters": model.count_params,
                "trainable_parameters": lambda: sum(
                    math.prod(weight.shape) for weight in model.trainable_weights
                ),
                "multiply_adds": lambda: complexity.count_multiply_adds(model),
                "multiplications": lambda: self.add_up(model, 0),
                "additions": lambda: self.add_up(model, 1),
                "layers with a kernel": lambda: sum(
                    hasattr(layer, "kernel") for layer in model.layers
                ),
            }[key]()
        name, quantity = key.rsplit(".", 1)
        layer = model.get_layer(name)
        return {
            "output": lambda: "×".join(map(str, layer.output.shape[1:])),
            "parameters": layer.count_params,
            "multiplications": lambda: complexity.count_operations(layer)[0],
            "additions": lambda: complexity.count_operations(layer)[1],
            "kernel": lambda: "×".join(map(str, layer.kernel_size)),
            "stride": lambda: layer.strides[0],
            "channels": lambda: layer.kernel.shape[2],
            "filters": lambda: layer.kernel.shape[3],
            "side": lambda: layer.output.shape[1],
        }[quantity]()

    @staticmethod
    def add_up(model, which):
        return sum(complexity.count_operations(layer)[which] for layer in model.layers)

    def ask(self, model, faces):
        """Labels, probabilities and images of held-out or of test faces."""
        if faces.endswith("train.csv"):
            images, labels = (array[::10] for array in self.load_faces())
        else:
            images = data.load_test_faces(self.folder / "data/test.csv").images
            labels = pd.read_csv(self.folder / faces)["label"].to_numpy()
        loaded = self.load_model(model)
        probabilities = loaded.predict(images.astype("float32"), verbose=0)
        return labels, probabilities, images

    def count(self, file, key):
        if " and " in file:
            return self.compare(file, key)
        model, faces = file.split(" on ")
        labels, probabilities, images = self.ask(model, faces)
        given, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
        right = given == labels
        if key.startswith("saliency"):
            return self.explain_all(model, faces)[key.removeprefix("saliency, ")]
        if key.startswith(("faces of", "recall of", "precision of")):
            measured, emotion = key.split(" of ")
            emotion = EMOTIONS.index(emotion)
            if measured == "faces":
                return (labels == emotion).sum()
            return right[(labels if measured == "recall" else given) == emotion].mean()
        if " taken for " in key:
            true, other = map(EMOTIONS.index, key.split(" taken for "))
            return (given[labels == true] == other).mean()
        bins = np.minimum((sure.astype(float) * 15).astype(int), 14)
        error = sum(
            abs(sure[bins == b].mean(dtype=float) - right[bins == b].mean())
            * (bins == b).mean()
            for b in np.unique(bins)
        )
        return {
            "accuracy": right.mean(),
            "faces": len(right),
            "mean confidence": sure.mean(),
            "calibration error": error,
            "confidence above accuracy": (sure - right).mean(),
            "standard error of confidence above accuracy": (
                np.std(sure - right, ddof=1) / len(right) ** 0.5
            ),
        }[re.sub("^(validation|known labels( without copies)?) ", "", key)]

    def compare(self, file, key):
        first, second = (self.ask(*one.split(" on ")) for one in file.split(" and "))
        gains = np.subtract(
            *(
                (probabilities.argmax(axis=1) == labels).astype(int)
                for labels, probabilities, _ in (first, second)
            )
        )
        if key == "difference of accuracies":
            return gains.mean()
        assert key == "paired standard error of the difference"
        return gains.std(ddof=1) / len(gains) ** 0.5

    def explain_all(self, model, faces):
        _, _, images = self.ask(model, faces)
        model = self.load_model(model)
        order = np.random.default_rng(0).permutation(len(images))
        images = images[order]
        found = saliency.explain(model, images)
        classes = found.probabilities.argmax(axis=1)
        scores = saliency.compute_score(model, images, classes, found.saliency)
        salient, random = scores["most salient"], scores["random"]
        gains = np.subtract(salient, random)
        return {
            "faces": len(images),
            "all pixels": found.probabilities.max(axis=1).mean(),
            "kept, most salient": salient[0].mean(),
            "removed, most salient": salient[1].mean(),
            "kept, random": random[0].mean(),
            "removed, random": random[1].mean(),
            "kept, salient above random": gains[0].mean(),
            "removed, salient above random": gains[1].mean(),
            "kept, standard error": gains[0].std(ddof=1) / len(images) ** 0.5,
            "removed, standard error": gains[1].std(ddof=1) / len(images) ** 0.5,
        }

    def analyze(self, key):
        images, labels = self.load_faces()
        if key == "faces":
            return len(images)
        points, singular, axes = self.analyze_all()
        explained = np.cumsum(singular**2) / np.sum(singular**2)
        if key.startswith("components that explain "):
            return 1 + int((explained < float(key.split()[-1])).sum())
        along = points @ axes[int(key.split()[-1]) - 1]
        between = sum(
            (labels == label).sum() * along[labels == label].mean() ** 2
            for label in np.unique(labels)
        )
        return between / (along**2).sum()

    def analyze_all(self):
        images, _ = self.load_faces()
        points = images.reshape(len(images), -1).astype(float)
        points -= points.mean(axis=0)
        return points, *np.linalg.svd(points, full_matrices=False)[1:]


FORMULAS = {
    "difference": lambda a, b: a - b,
    "ratio": lambda a, b: a / b,
    "standard error": lambda p, n: (p * (1 - p) / n) ** 0.5,
    "standard error of the difference of two means": lambda a, n, b, m: (
        (a * a / n + b * b / m) ** 0.5
    ),
    "standard error of the mean": lambda deviation, n: deviation / n**0.5,
}


def compute(text):
    """The value of a formula with numbers, such as 24² · 5² · 1 · 64."""
    text = text.replace("²", "**2").replace("·", "*")
    assert re.fullmatch(r"[\d*+() ]+", text)
    return eval(text)


def read_number(text):
    """The number that a text shows, and the unit of its last digit."""
    found = re.search(r"[+−]?[\d,]+(\.(\d+))?", text)
    digits = found[0].replace("−", "-").replace(",", "")
    scale = 0.01 if "%" in text else 1
    if power := re.search("× 10([⁰¹²³⁴⁵⁶⁷⁸⁹]+)", text):
        scale = 10.0 ** int(unicodedata.normalize("NFKC", power[1]))
    return scale * float(digits), scale * 10.0 ** -len(found[2] or "")


@pytest.mark.slow
def test_every_measure_agrees_with_its_source(made, page):
    sources, seen = Sources(made), Counter()
    for attributes, text in page.measures:
        keys = attributes["data-source"].split("; ")
        found = [sources.find(key) for key in keys]
        if "data-formula" in attributes:
            found = [FORMULAS[attributes["data-formula"]](*found)]
        (found,) = found
        seen[keys[0].split(": ")[0]] += 1
        if isinstance(found, tuple):
            assert float(attributes["value"]) in found
        elif isinstance(found, bool):
            assert attributes["value"] == str(found)
            assert text == ("yes" if found else "no")
        elif isinstance(found, str):
            assert attributes["value"] == found
            assert text == (found[:10] if keys[0].endswith(": commit") else found)
        elif keys[0].endswith(".side"):
            assert text.startswith(f"{found} = ")
        elif "·" in text:
            assert compute(text) == found
        else:
            assert float(attributes["value"]) == pytest.approx(found, abs=2e-5), keys
            shown, last = read_number(text)
            # Points are hundredths, and some are given by their size alone.
            candidates = {found, abs(found), 100 * found, 100 * abs(found)}
            assert min(abs(shown - one) for one in candidates) <= 0.51 * last, (
                text,
                keys,
            )
    for file in (
        "checkpoints/cnn.json",
        "checkpoints/dnn.csv",
        "checkpoints/cnn.keras",
        "checkpoints/dnn.keras on data/train.csv",
        "checkpoints/cnn.keras on data/test_labels.csv",
        "plots/ablations.csv",
        "plots/semi_supervised.csv",
        "data/train.csv",
    ):
        assert seen[file] > 1, file


def test_sentences_hold_the_number_that_they_speak_of(made, page):
    sources = Sources(made)
    words = page.words.replace("\N{NO-BREAK SPACE}", " ")
    error, right, sure = (
        sources.find(f"checkpoints/cnn.keras on data/train.csv: {key}")
        for key in ("calibration error", "validation accuracy", "mean confidence")
    )
    assert f"Its expected calibration error is {error:.3f}." in words
    assert f"{100 * sure:.1f} % on average, and {100 * right:.1f} % are right" in words
    parameters = sources.find("checkpoints/dnn.keras: parameters")
    assert f"{parameters:,} parameters, of which" in words
    assert "flip 58.6 % ± 0.3 3 +2.6 ± 0.4" in words


def test_no_number_stands_without_its_source(page):
    assert re.findall(r"\S*\d\S*", page.loose) == []


def test_the_page_needs_nothing_from_anywhere(page):
    assert len(page.pictures) == 14
    for picture in page.pictures:
        assert picture["src"].startswith("data:image/")
        assert len(picture["alt"]) > 20
    assert all(link.startswith(("data:", "#")) for link in page.links)


def test_every_part_stands_on_the_page_in_order(page):
    parts = [link[1:] for link in page.links if link.startswith("#")]
    assert parts[0] == "network" and parts[-1] == "ensemble" and len(parts) == 13
    assert "There are no networks to average." in page.words
    assert "python train_ensemble.py" in page.words


def list_troubles(browser):
    """The messages of a page on the console, and the addresses that it asked for."""
    messages, asked = [], set()
    for event in browser.events:
        kind, content = event.get("method"), event.get("params", {})
        if kind in (
            "Log.entryAdded",
            "Runtime.consoleAPICalled",
            "Runtime.exceptionThrown",
        ):
            messages.append(content)
        if kind == "Network.requestWillBeSent":
            asked.add(content["request"]["url"].partition(":")[0])
    return messages, asked


def test_a_browser_finds_no_error_and_asks_nobody(made, tmp_path):
    with open_chromium(tmp_path / "profile") as browser:
        browser.open((made / "report.html").as_uri())
        assert list_troubles(browser) == ([], {"file", "data"})
        for width, scheme in ((390, "light"), (390, "dark"), (1200, "dark")):
            browser.look(width, scheme)
            # Wide tables scroll by themselves, the page does not.
            root = "document.documentElement"
            assert browser.run(f"{root}.scrollWidth === {root}.clientWidth")
            widths = browser.run("[...document.images].map(one => one.naturalWidth)")
            assert min(widths) > 100
            paper = browser.run("getComputedStyle(document.body).backgroundColor")
            is_dark = int(re.search(r"\d+", paper)[0]) < 128
            assert is_dark == (scheme == "dark")
        check_tables(browser)
        browser.run("document.querySelector('main data').click()")
        shown = browser.run("document.getElementById('source').textContent")
        assert shown.startswith("checkpoints/cnn.keras on data/train.csv: ")

        # Both troubles would have been seen.
        bad = "<img src='http://127.0.0.1:9/'><script>console.error(1)</script>"
        browser.open(f"data:text/html,{bad}")
        messages, asked = list_troubles(browser)
        assert messages and "http" in asked


def check_tables(browser):
    """A click on the heading of a column sorts by its numbers, another turns it."""
    table = "document.querySelector('table')"
    column = f"[...{table}.tBodies[0].rows].map(row => +row.cells[3].innerText"
    column += ".replace(',', ''))"
    before = browser.run(column)
    for turned in (False, True):
        browser.run(f"{table}.tHead.rows[0].cells[3].firstChild.click()")
        assert browser.run(column) == sorted(before, reverse=turned) != before
    # A number that is not known stands below, whichever way.
    browser.run(f"{table}.tBodies[0].rows[0].cells[3].textContent = 'not known'")
    for _ in range(2):
        browser.run(f"{table}.tHead.rows[0].cells[3].firstChild.click()")
        assert browser.run(f"{table}.tBodies[0].lastChild.cells[3].innerText") == (
            "not known"
        )


def make_up(model, images):
    """Answers by which the dense network is right and the other half of the time.

    About fear both are always right.
    """
    labels = make_up.labels
    is_wrong = (np.arange(len(labels)) % 2 == 0) & (labels != 2)
    given = np.where(is_wrong & (model.name == "tiny"), (labels + 1) % 7, labels)
    return np.eye(7, dtype="float32")[given] * 0.93 + 0.01


@pytest.fixture
def dense_wins(drawn, tmp_path, monkeypatch):
    """The page from made-up records and answers, without its studies; its text."""
    monkeypatch.chdir(tmp_path)
    faces = drawn / "train.csv"
    write_run(tmp_path, "cnn", build_tiny(), faces, val_accuracy=0.5)
    write_run(tmp_path, "dnn", build_tiny_dnn(), faces, val_accuracy=0.95)
    make_up.labels = data.load_training_faces(faces)[1][::10]
    monkeypatch.setattr(prediction, "predict", make_up)
    monkeypatch.setattr(write_report.inside, "describe_looks", leave_out)
    monkeypatch.setattr(write_report.inside, "describe_filters", leave_out)
    write_report.main(["--faces", "none"])
    return Page(tmp_path / "report.html").words


def leave_out(*_):
    return Missing("Left out.")


@pytest.mark.slow
def test_the_words_follow_numbers_that_are_the_other_way_round(dense_wins):
    wins = r"dnn stands [\d.]+ ± [\d.]+ points of the validation faces above cnn\."
    assert re.search(wins, dense_wins)
    assert not re.search(r"cnn stands .* above dnn", dense_wins)
    assert "fear is taken for" not in dense_wins
    assert "fear: never taken for another emotion" in dense_wins
    assert "dnn takes no emotion for another in more than 10 % of its faces" in (
        dense_wins.replace("\N{NO-BREAK SPACE}", " ")
    )
    assert "python -m experiments.ablations" in dense_wins
    assert "python -m experiments.semi_supervised" in dense_wins


def test_without_the_faces_the_page_says_so(made, tmp_path, monkeypatch):
    shutil.copytree(made / "checkpoints", tmp_path / "checkpoints")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(write_report.inside, "describe_filters", leave_out)
    write_report.main(["--faces", "none", "checkpoints/dnn.keras"])
    page = Page(tmp_path / "report.html")
    assert "dnn got 25.0" in page.words.replace("\N{NO-BREAK SPACE}", " ")
    assert page.words.count("data/train.csv: expected a CSV file or a folder") > 3
    assert "No convolutional network is among the checkpoints." in page.words
    assert "python train_cnn.py" in page.words
    # The curves alone.
    assert len(page.pictures) == 1


def edit_record(path, **changes):
    record = json.loads(path.read_text()) | changes
    path.write_text(
        json.dumps({key: value for key, value in record.items() if value != "gone"})
    )


@pytest.fixture
def lone(made, tmp_path, monkeypatch):
    """A folder with the dense network, its record and its log."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    for suffix in (".keras", ".json", ".csv"):
        shutil.copy(made / f"checkpoints/dnn{suffix}", tmp_path / "checkpoints")
    return tmp_path / "checkpoints/dnn.keras"


def test_what_is_not_recorded_is_said(lone, tmp_path):
    versions = {"python": "3.11", "backend": "jax", "keras": "3.8.0", "numpy": "1"}
    edit_record(
        lone.with_suffix(".json"), commit="gone", minutes="gone", versions=versions
    )
    write_report.main(["--faces", "none", str(lone)])
    words = Page(tmp_path / "report.html").words
    assert "dnn.json: minutes, commit are not recorded there" in words
    assert "dnn was trained with Keras 3.8.0" in words
    assert words.count("not recorded") >= 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"validation_rows": [*range(30)]}, "validation faces 30 "),
        ({"validation_rows": []}, "validation faces none "),
        (
            {"validation_rows": [], "validation_faces": {"path": "own/"}},
            "validation faces own/ ",
        ),
        ({"validation_rows": "gone"}, "validation faces not recorded "),
    ],
)
def test_the_page_says_which_faces_a_run_held_out(lone, tmp_path, changes, words):
    edit_record(lone.with_suffix(".json"), **changes)
    write_report.main(["--faces", "none", str(lone)])
    assert words in Page(tmp_path / "report.html").words


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"minutes": "long"}, "expected minutes to be a number"),
        ({"val_accuracy": 69.1}, "expected val_accuracy to be a number"),
        ({"parameters": 7}, "expected the record of"),
    ],
)
def test_a_record_that_cannot_be_is_refused(lone, tmp_path, changes, message):
    (tmp_path / "report.html").write_text("old")
    edit_record(lone.with_suffix(".json"), **changes)
    with pytest.raises(command.InputError, match=message):
        write_report.main(["--faces", "none", str(lone)])
    assert (tmp_path / "report.html").read_text() == "old"


def test_other_bad_input_is_refused(lone, made, tmp_path):
    with pytest.raises(command.InputError, match="named .html"):
        write_report.main(["--output", "checkpoints/dnn.keras", str(lone)])
    with pytest.raises(command.InputError, match="csv: expected labelled faces"):
        write_report.main(["--test", f"{made}/data/test.csv", str(lone)])
    with pytest.raises(command.InputError, match="--faces own: expected the faces"):
        write_report.main(["--faces", "own", str(lone)])
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots/ablations.csv").write_text("augmentation,seeds\nflip,3\n")
    with pytest.raises(command.InputError, match="expected a table"):
        write_report.main(["--faces", "none", str(lone)])


def test_test_faces_may_bring_their_labels(drawn, tmp_path):
    images, labels = data.load_training_faces(drawn / "train.csv")
    usages = np.array(["PublicTest", "PrivateTest"])[np.arange(len(labels)) % 2]
    rows = pd.read_csv(drawn / "train.csv").assign(Usage=usages)
    rows.to_csv(tmp_path / "test.csv", index_label="id")
    options = argparse.Namespace(test=tmp_path / "test.csv", labels=None, ignore=())
    test = load_test(options, LabelledFaces("some", images[:9], labels[:9]))
    assert test.path == options.test and test.labels.tolist() == labels.tolist()
    assert list(test.kinds) == ["PrivateTest", "PublicTest"]
    assert test.is_copy[:9].all()


def test_differences_below_the_noise_are_called_that():
    def compare(size, error, degrees=math.inf):
        taken = [
            measure.take("a.csv", key, x)
            for key, x in zip("xy", (size, error), strict=True)
        ]
        return measure.compare("one", "other", *taken, degrees).verdict

    assert compare(0.02, 0.009) == "first"
    assert compare(-0.02, 0.009) == "second"
    assert compare(0.017, 0.009) == "noise"
    # Two degrees of freedom ask for 4.3 standard errors.
    assert compare(0.038, 0.009, degrees=2) == "noise"
    assert compare(0.04, 0.009, degrees=2) == "first"
    assert compare(0.04, math.nan) == "unknown"


def test_means_are_compared_by_their_spread(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(
        "cell,seeds,score,score_deviation\na,3,0.62,0.005\nb,3,0.60,0.004\nc,1,0.5,\n"
    )
    read = table.Table(path, ("cell",), ("score",))
    found = read.compare("a", "b", (("a",), ("b",)), "score")
    assert found.size.value == pytest.approx(0.02)
    assert found.error.value == pytest.approx(math.hypot(0.005, 0.004) / 3**0.5)
    assert found.verdict == "first"
    alone = read.compare("a", "c", (("a",), ("c",)), "score")
    assert alone.verdict == "unknown"
    assert read.compare("a", "d", (("a",), ("d",)), "score") is None


def test_confusions_agree_with_sklearn(made):
    run = write_report.load_runs([made / "checkpoints/cnn.keras"])[0]
    images, labels = data.load_training_faces(made / "data/train.csv")
    answers = write_report.ask_validation(run, LabelledFaces("faces", images, labels))
    counts = results.asked.describe_emotions(answers)["counts"]
    given = answers.probabilities.argmax(axis=1)
    expected = metrics.confusion_matrix(labels[::10], given, labels=range(7))
    np.testing.assert_array_equal(counts, expected)
