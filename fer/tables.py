"""Tables in Markdown that are also easy to read on the terminal."""


def format_table(header, rows):
    """Lay out a table, columns without letters to the right.

    Args:
        header: list of texts.
        rows: lists of as many texts.

    Returns:
        The lines of the table.
    """
    columns = list(zip(header, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    is_number = [not any(map(str.isalpha, "".join(cells))) for _, *cells in columns]

    def format_line(cells):
        padded = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, is_number, strict=True)
        ]
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * (width - 1) + (":" if right else "-")
        for width, right in zip(widths, is_number, strict=True)
    ]
    return [format_line(cells) for cells in (header, rule, *rows)]
