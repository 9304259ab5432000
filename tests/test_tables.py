"""Tables in Markdown."""

from fer import tables


def test_columns_without_letters_stand_to_the_right():
    rows = [["conv", "1x2", "7"], ["dense", "3", "—"], ["", "4", "1,234 ± 5"]]
    assert tables.format_table(["layer", "shape", "count"], rows) == [
        "| layer | shape |     count |",
        "| ----- | ----- | --------: |",
        "| conv  | 1x2   |         7 |",
        "| dense | 3     |         — |",
        "|       | 4     | 1,234 ± 5 |",
    ]
