"""Writes what was found with each client into docs/interop.md."""

from pathlib import Path

from tests.interop.catalogue import CASES, CLIENTS, Client

BEGIN, END = "<!-- made by `make interop` -->", "<!-- the end of `interop` -->"


class Page:
    """What is found while the tests run.

    Attributes:
        versions: by client.
        facts: sentences below the table.
    """

    def __init__(self) -> None:
        self.versions: dict[str, str] = {}
        self.facts: list[str] = []
        self._cells: dict[tuple[str, str], str] = {}

    def note(self, client: Client, case: str, found: str) -> None:
        """Write one cell."""
        self._cells[client.name, case] = found

    def table(self) -> str:
        """Return the table; a case that failed or was not tried says so."""
        rows = [["client", "version", *CASES.values()], ["---"] * (len(CASES) + 2)]
        for client in CLIENTS:
            cells = [self._cells.get((client.name, case), "not shown") for case in CASES]
            rows.append([client.name, self.versions.get(client.name, "?"), *cells])
        lines = [f"| {' | '.join(row)} |" for row in rows]
        return "\n".join([*lines, "", *self.facts])

    def write(self, path: Path) -> None:
        """Put the table between its marks."""
        text = path.read_text(encoding="utf-8")
        head, _, rest = text.partition(BEGIN)
        _, _, tail = rest.partition(END)
        path.write_text(f"{head}{BEGIN}\n\n{self.table()}\n\n{END}{tail}", encoding="utf-8")
