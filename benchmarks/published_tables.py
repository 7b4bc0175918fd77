"""Judge tables of trained minima from public studies, and write docs/published-tables.md.

Command:  python -m benchmarks.published_tables [--write]
Expected: half a minute; without --write the page is printed. Nothing is trained or downloaded: small copies of the
tables, with their origin and licence, are in tests/judging/tables.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from infomcr_cli.judging.result import MeasureResult, RankingResult
from infomcr_cli.report import judge

ROOT = Path(__file__).resolve().parents[1]
TABLES, PAGE = ROOT / "tests" / "judging" / "tables", ROOT / "docs" / "published-tables.md"
YANG_MEASURES = (
    "hessian_trace",
    "hessian_eigenvalue",
    "train_loss",
    "distance_between_seeds",
    "cka_between_seeds",
    "mode_connectivity",
)
LOSSES = (10.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002)
ACCURACIES = (0.0, 0.9, 0.95, 0.99, 0.995, 0.999, 1.0)
N_TEST = 10_000
_HEAD = """# Rankings of published tables

This page applies `infomcr judge` to tables of trained minima that other studies published, and so to measures that are
not ours. Positive values mean that the measure ranks as its direction claims, and the sign error is the share of pairs
that it orders wrongly; [Ranking measures](judging.md) explains the statistics. The tests compare them with values that
were computed independently of this program (`tests/judging/test_published_tables.py`). Copies of the tables, with their
origin and licence, are in `tests/judging/tables`. `python -m benchmarks.published_tables --write` writes this page, in
12 seconds on one core of an AMD EPYC (Zen 4).
"""
_PGDL = """
## Predicting Generalization in Deep Learning (NeurIPS 2020)

Two tasks of the competition, with the four measures of one of its teams. `gap` is training minus test accuracy.
`pgdl_cmi` is the competition's own score, reproduced to nine decimals; [Ranking measures](judging.md) says how it
differs from K. The names of the axes are not known.
"""
_YANG = """
## ResNet18 of 14 widths and 13 batch sizes (Yang et al., 2021)

910 networks on CIFAR-10 without augmentation: 182 settings with five seeds each, which are averaged. The gap is test
error minus training error. The measures are those of the study. `distance_between_seeds`, `cka_between_seeds` and
`mode_connectivity` compare two networks of a setting; for the last two, higher values are better.

Over all settings, τ of the Hessian trace with the gap is {whole:.2f}: networks that do not fit their training images
have a small gap and a large trace. Among networks that do fit, it is a good measure. So state the training loss that
you accept, or show several:

<!-- tests put files: tests/judging/tables/yang2021_width_batch.csv -->
```sh
infomcr judge yang2021_width_batch.csv --gap gap_error --axes batch_size,width --n-test 10000 --max-train-loss 0.01
```
"""


def main() -> int:
    """Judge all tables, then write or print the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    text = "\n".join(page()) + "\n"
    if parser.parse_args().write:
        PAGE.write_text(text, encoding="utf-8")
    else:
        print(text)
    return 0


def page() -> Iterator[str]:
    """Yield the parts of the page."""
    yield _HEAD + _PGDL
    for task in (1, 2):
        frame = pd.read_csv(TABLES / f"pgdl_task{task}.csv")
        axes = [str(name) for name in frame if str(name).startswith("axis")]
        ranking = judge(frame, gap="gap", axes=axes, n_test=N_TEST)
        yield f"### Task {task}: {ranking.n} minima, {len(axes)} axes\n"
        yield from statistics(ranking)
    frame = pd.read_csv(TABLES / "yang2021_width_batch.csv")
    yield _YANG.format(whole=_tau(judge_yang(frame), "hessian_trace"))
    yield from thresholds(frame)
    yield "### Networks that classify at least 99.9 % of their training images correctly\n"
    yield "With two axes `pgdl_cmi` is always 0: each of its cells holds a single pair.\n"
    yield from statistics(judge_yang(frame[frame["train_accuracy"] >= 0.999]))


def judge_yang(frame: pd.DataFrame, max_train_loss: float | None = None) -> RankingResult:
    """Return the ranking of the measures of Yang et al."""
    axes = ["batch_size", "width"]
    return judge(
        frame,
        gap="gap_error",
        axes=axes,
        measures=YANG_MEASURES,
        n_test=N_TEST,
        directions={"cka_between_seeds": "higher", "mode_connectivity": "higher"},
        max_train_loss=max_train_loss,
    )


def thresholds(frame: pd.DataFrame) -> Iterator[str]:
    """Yield τ of the measures with the gap at every threshold of the training loss, then of the training accuracy."""
    limits = [
        (f"training loss at most {limit:g}" if limit < 10 else "all", judge_yang(frame, limit)) for limit in LOSSES
    ]
    limits += [
        (f"training accuracy at least {100 * limit:g} %", judge_yang(frame[frame["train_accuracy"] >= limit]))
        for limit in ACCURACIES
        if limit
    ]
    yield _line(["networks", "settings", *(f"τ of {name}" for name in YANG_MEASURES)])
    yield "| --- " * (2 + len(YANG_MEASURES)) + "|"
    for words, ranking in limits:
        yield _line([words, str(ranking.n), *(f"{_tau(ranking, name):.2f}" for name in YANG_MEASURES)])
    yield ""


def statistics(ranking: RankingResult) -> Iterator[str]:
    """Yield the statistics of every measure, best first, and the importance of the axes."""
    yield _line(["measure", "τ", "ρ", "Ψ", "K", "`pgdl_cmi`", "sign error", "behind the best in τ"])
    yield "| --- " * 8 + "|"
    yield from (_line(_cells(one)) for one in (*ranking.measures, *ranking.controls))
    shares = [f"`{axis}` {100 * share:.0f} %" for axis, share in ranking.importance.items() if share is not None]
    yield f"\nShare of the gap's variance that each axis explains (ω²): {', '.join(shares)}.\n"


def _cells(one: MeasureResult) -> Sequence[str]:
    behind = one.against_best
    difference = "–" if behind is None else f"{behind.difference:.2f}{', significant' if behind.significant else ''}"
    numbers = [one.conditional_information.value, one.pgdl_cmi.value, one.oriented_sign_error.mean]
    return [
        one.name,
        *(_interval(*one.oriented_estimate(name)) for name in ("kendall_tau", "spearman_rho", "granulated_psi")),
        *("–" if value is None else f"{value:.3f}" for value in numbers),
        difference,
    ]


def _interval(value: float | None, low: float | None, high: float | None) -> str:
    return "–" if value is None else f"{value:.2f} [{low:.2f}, {high:.2f}]"


def _tau(ranking: RankingResult, name: str) -> float:
    found = next(one for one in ranking.measures if one.name == name).oriented("kendall_tau")
    return np.nan if found is None else found


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
