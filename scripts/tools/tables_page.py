"""Fill the tables of pages from the files that experiments wrote.

    python scripts/tools/tables_page.py docs/results/tables docs/results/guards.md

Between the marks ``<!-- table FILE.NAME -->`` and ``<!-- end -->`` stands the table NAME of FILE.json, which is the
tables.json of an experiment, copied into that folder; the rest of the page stays. ``<!-- table summaries.NAME -->`` gathers
figures of several of these tables, as summaries.py says.
"""

from pathlib import Path

import summaries
from marks import with_tables, write_page

from lightning_modules.comparison.tables import markdown
from lightning_modules.support.one_line import one_line


def filled(page: str, folder: Path) -> str:
    """``page`` with every table that it names.

    Raises:
        KeyError: A file has no table of that name.
    """
    source = summaries.Source(folder)

    def table(name: str) -> str:
        file, _, key = name.partition(".")
        if file == "summaries":
            return markdown(summaries.TABLES[key](source))
        return source.table(name).markdown()

    return with_tables(page, table)


if __name__ == "__main__":
    with one_line():
        write_page(__doc__, "folder", filled)
