"""The table that a study of many runs left, its numbers with their sources.

The source of a number is "FILE: column where column=value, ...".
"""

import csv

from fer.command import InputError
from report.measure import compare, compare_means, derive, take


class Table:
    """The table that a study left in plots/<name>.csv.

    Args:
        path: of the file.
        keys: names of the columns that tell its rows apart.
        measures: names of columns with numbers, each beside <name>_deviation.

    Raises:
        InputError: it is no such table.
    """

    def __init__(self, path, keys, measures):
        self.path, self.keys = path, keys
        self.columns = ["seeds", *measures]
        self.columns += [f"{measure}_deviation" for measure in measures]
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        try:
            self.rows = {tuple(row[key] for key in keys): row for row in rows}
            for cell in self.rows:
                for column in self.columns:
                    self.find(cell, column)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: expected a table with the columns {', '.join(self.keys)} and "
                f"numbers in {', '.join(self.columns)}, found something else "
                f"({error}); make it again or move it away"
            ) from error

    def find(self, cell, column):
        """A number as a Measure; None where the cell or the number is not there."""
        row = self.rows.get(tuple(cell))
        if row is None or not row[column]:
            return None
        where = ", ".join(f"{key}={row[key]}" for key in self.keys)
        return take(self.path, f"{column} where {where}", float(row[column]))

    def find_mean(self, cell, measure):
        """The mean, its deviation over the seeds (or None) and their number."""
        deviation = self.find(cell, f"{measure}_deviation")
        return self.find(cell, measure), deviation, self.find(cell, "seeds")

    def compare(self, first, second, cells, measure):
        """The Difference of two cells; None where one of them is not there."""
        means, deviations, counts = zip(
            *(self.find_mean(cell, measure) for cell in cells), strict=True
        )
        if None in means:
            return None
        if None in deviations:
            return compare(first, second, derive("difference", *means), None)
        return compare_means(first, second, means, deviations, counts)
