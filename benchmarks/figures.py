"""Figures, and the table that is made of them."""

from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One measured value of one run.

    `name` says what, `of` who (copydesk or what it is compared with), `note` what else is worth
    telling, such as processor time.
    """

    name: str
    of: str
    value: float
    unit: str
    note: str = ""


@dataclass(frozen=True)
class Target:
    """What a scenario is held against: a value of copydesk's, or its ratio to another's.

    `least` and `most` are bounds; a ratio is copydesk's value divided by the other's.
    """

    name: str
    to: str | None = None
    least: float | None = None
    most: float | None = None


@dataclass
class Figures:
    """The figures of all runs."""

    runs: list[Figure] = field(default_factory=list)

    def add(self, figures: list[Figure]) -> None:
        """Take the figures of one run."""
        self.runs += figures

    def values(self, name: str, of: str) -> list[float]:
        """Return what was measured, run by run."""
        return [figure.value for figure in self.runs if (figure.name, figure.of) == (name, of)]

    def found(self, target: Target) -> float | None:
        """Return the median of a target's value, or of its ratio run by run: machines drift."""
        found = self.values(target.name, "copydesk")
        if target.to is not None:
            others = self.values(target.name, target.to)
            found = [mine / theirs for mine, theirs in zip(found, others, strict=True)]
        return median(found) if found else None

    def _rows(self) -> list[tuple[str, str]]:
        return list(dict.fromkeys((figure.name, figure.of) for figure in self.runs))

    def measured(self) -> list[tuple[str, ...]]:
        """Return a row for each value: what, who, median, spread, note of the median run."""
        rows: list[tuple[str, ...]] = []
        for name, of in self._rows():
            found = sorted(
                (figure for figure in self.runs if (figure.name, figure.of) == (name, of)),
                key=lambda figure: figure.value,
            )
            middle = found[len(found) // 2]
            spread = f"{_shown(found[0].value)} to {_shown(found[-1].value)}"
            rows.append((name, of, f"{_shown(middle.value)} {middle.unit}", spread, middle.note))
        return rows

    def judged(self, targets: list[Target]) -> list[tuple[str, ...]]:
        """Return a row for each target: what, against what, found, asked for, whether it is met."""
        rows: list[tuple[str, ...]] = []
        for target in targets:
            found = self.found(target)
            if found is None:
                continue
            asked = f">= {target.least:g}" if target.least is not None else f"<= {target.most:g}"
            met = (target.least is None or found >= target.least) and (
                target.most is None or found <= target.most
            )
            against = "alone" if target.to is None else f"ratio to {target.to}"
            rows.append((target.name, against, _shown(found), asked, "yes" if met else "no"))
        return rows


def _shown(value: float) -> str:
    if abs(value) >= 100:  # noqa: PLR2004 - three digits say enough
        return f"{value:,.0f}"
    return f"{value:.3g}"


def markdown(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a table in Markdown."""
    lines = [headings, tuple("---" for _ in headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
