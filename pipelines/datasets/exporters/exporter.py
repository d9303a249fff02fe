"""Exporters of other packages: a version's rows in a form of theirs."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from core.arrays import Frame
from core.errors import DataError
from core.imported import BadCodeError
from core.params import Section
from core.plugins import Policies, made, of
from core.returned import wrong


class Exporter(Section):
    """Writes the rows of a dataset version, or its pairs."""

    takes: ClassVar[Literal["rows", "pairs"]] = "rows"

    policy: str

    @abstractmethod
    def write(self, rows: Frame, file: Path) -> None:
        """Rows in time order, without embeddings, or pairs with `input`, `chosen` and `rejected`. The
        file is put in place once it is whole."""


ExporterPolicy = Annotated[Exporter, of(Exporter)]


def written(exporter: Exporter, rows: Frame, file: Path) -> None:
    """The rows, in the exporter's file. Raises PolicyError where there is none."""
    exporter.write(rows, file)
    if not file.is_file() or (len(rows) and not file.stat().st_size):
        got = "an empty file" if file.is_file() else "no file"
        wrong(exporter, "write", f"{got} for {len(rows)} rows", "the rows in the file it is given")


def exporter(name: str) -> Exporter:
    """The exporter of a name or an import path. Raises DataError."""
    known: Policies[Exporter] = ExporterPolicy.__metadata__[0]  # type: ignore[attr-defined]
    try:
        return made(known.find(name), {"policy": name})
    except KeyError:
        offered = ", ".join(known.names()) or "none is installed"
        raise DataError(
            "no exporter of this name",
            where="--format",
            got=name,
            expected=f"MODULE:CLASS, or one that a package offers ({offered})",
        ) from None
    except (BadCodeError, ValueError) as fault:
        raise DataError("this exporter cannot be used", where="--format", got=str(fault)) from None
