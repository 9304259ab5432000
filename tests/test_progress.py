"""How far long work has come, on a terminal and in a log."""

import pytest

from fer import progress


@pytest.fixture
def seconds(monkeypatch):
    """A clock that stands still: a list whose last entry is the time."""
    times = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: times[-1])
    return times


def test_a_log_gets_a_line_every_ten_seconds(seconds, capsys):
    work = progress.Progress("climbing", 200)
    for step in range(20):
        seconds.append(102.0 + 2 * step)
        work.advance(10)
    assert capsys.readouterr().out.splitlines() == [
        "climbing: 25%, 30 s left",
        "climbing: 50%, 20 s left",
        "climbing: 75%, 10 s left",
        "climbing: 100%, 0 s left",
    ]


def test_short_work_leaves_no_line_in_a_log(seconds, capsys):
    work = progress.Progress("climbing", 2)
    seconds.append(104.0)
    work.advance(2)
    assert capsys.readouterr().out == ""


def test_a_terminal_has_one_line_that_ends_with_the_work(seconds, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    work = progress.Progress("climbing", 4)
    for now in (100.1, 101.0, 101.1, 101.15):
        seconds.append(now)
        work.advance(1)
    # The first and the third step come too soon after the line before.
    assert capsys.readouterr().out == (
        f"\r{'climbing: 50%, 1 s left':79}\r{'climbing: 100%, 0 s left':79}\n"
    )
