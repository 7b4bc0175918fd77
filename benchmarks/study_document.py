"""Write the document of the small study from the JSON documents of its comparisons; every number was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from infomcr_cli.judging.result import SYMBOLS

NAMES = {"error": "the gap between test error and training error", "test_error": "test error"}
HEADS = ("measure", "better", "τ-b", "ρ", "Ψ (groups)", "K (pairs)", "sign error (pairs)", "behind the best in")


@dataclass(frozen=True)
class Judgement:
    """One comparison. Args: folder: of its runs. gap: what was judged by. found: the document of `compare --json`."""

    folder: str
    gap: str
    found: Any


def document(judgements: Sequence[Judgement], sweeps: Sequence[str], minutes: float) -> str:
    """Return the whole document as Markdown."""
    parts = [_head(judgements[0].found, sweeps, minutes)]
    for before, one in pairwise((None, *judgements)):
        assert one is not None
        if before is not None and (before.folder, before.found["measures"]) == (one.folder, one.found["measures"]):
            parts += [_title(one), SAME]
            continue
        parts += [_title(one), _about(one.found), _table(one.found), _sentences(one.found), _pictures(one)]
    return "\n\n".join([*parts, LIMITS]) + "\n"


def _head(found: Any, sweeps: Sequence[str], minutes: float) -> str:
    runs = "\n".join(f"infomcr sweep experiment=study_small {sweep}" for sweep in sweeps)
    return f"""# A small study

{len(found["runs"])} minima and an augmented series, ranked by every measure. `make study-small CIFAR10=PATH` trains and
measures them and writes this file; here it took {minutes:.0f} minutes on two cores.
All settings that the runs share are in `conf/experiment/study_small.yaml`. These sweeps give what differs; add
`data.root=PATH` to each of them:

<!-- not run: takes hours -->
```sh
{runs}
```

Every run is trained until its cross-entropy on the clean training images is at most 0.01; runs that miss it are
listed separately and not ranked. Positive values mean that the measure ranks as its direction (better) claims.
`oracle` is the gap with noise added, `random` is noise: the best and the worst to expect. Intervals cover 95 %, see
[judging.md](judging.md); fewer than 16 minima get none, and no order. In parentheses are the numbers of groups and
pairs that were used, and for K the share of pairs between which the measure differs. `significant` is corrected for the
choice of the best among all measures."""


def _title(one: Judgement) -> str:
    return f"## The {one.folder} runs, by {NAMES[one.gap]}"


def _about(found: Any) -> str:
    axes = "; ".join(f"`{name}` {', '.join(axis['values'])}" for name, axis in found["axes"].items())
    apart = found["set_apart"]
    missed = f"{len(apart)} missed the target and are not ranked." if apart else "All reached the target."
    scores = [run for run in found["runs"] if "gap" in run and run["run"] not in apart]
    losses, errors = ([run[a][b] for run in scores] for a, b in (("train", "loss"), ("test", "accuracy")))
    spread = (
        f"Training losses lie between {min(losses):.4f} and {max(losses):.4f} nats, test errors between "
        f"{1 - max(errors):.1%} and {1 - min(errors):.1%}."
    )
    return f"{found['n']} minima. {missed} {spread} Axes: {axes}."


def _table(found: Any) -> str:
    lines = [" | ".join(_heads(found)), " | ".join("---" for _ in HEADS)]
    lines += [" | ".join(_row(name, one)) for name, one in {**found["measures"], **_references(found)}.items()]
    return "\n".join(f"| {line} |" for line in lines)


def _heads(found: Any) -> list[str]:
    """Return the heads of the columns; the last one says which statistic the differences are of."""
    compared = (one.get("against_best") for one in found["measures"].values())
    statistic = next((behind["statistic"] for behind in compared if behind), found["rank_by"])
    return [*HEADS[:-1], f"{HEADS[-1]} {SYMBOLS[statistic]}"]


def _references(found: Any) -> dict[str, Any]:
    return dict(found.get("references") or {})


def _row(name: str, one: Any) -> list[str]:
    oriented = one["oriented"]
    tau, rho, psi = (_within(oriented[key]) for key in ("kendall_tau", "spearman_rho", "granulated_psi"))
    return [
        name,
        one["direction"] or "–",
        tau,
        rho,
        f"{psi} ({sum(one['granulated_psi']['groups'].values())})",
        _information(one["conditional_information"]),
        f"{_number(oriented['sign_error']['mean'])} ({one['sign_error']['pairs']})",
        _behind(one.get("against_best")),
    ]


def _information(one: Any) -> str:
    return _number(one["value"], 3) + ("" if one["value"] is None else f" ({one['pairs_used']:.0%})")


def _behind(behind: Any) -> str:
    return f"{_number(behind['difference'])}{' significant' if behind['apart'] else ''}" if behind else "–"


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _within(one: Any) -> str:
    """Return a statistic with its interval, if it has one."""
    interval = "" if one["low"] is None else f" [{one['low']:.2f}, {one['high']:.2f}]"
    return _number(one["value"]) + interval


def _sentences(found: Any) -> str:
    """Say which measure leads, which ones are indistinguishable from it, and the place of gamma."""
    names = list(found["measures"])
    if not found["ranked"]:
        return f"{found['n']} minima decide nothing: no order, no intervals, no significance."
    close = [name for name in names[1:] if not (found["measures"][name].get("against_best") or {}).get("apart")]
    close_ones = (
        f"Statistically indistinguishable from it: {', '.join(close)}." if close else "All others differ from it."
    )
    place = (
        f"Gamma is number {names.index('gamma') + 1} of {len(names)}."
        if "gamma" in names
        else "Gamma was not measured."
    )
    return f"First by Ψ is `{names[0]}`. {close_ones} {place}" if names else "No measure was judged."


def _pictures(one: Judgement) -> str:
    folder = f"study-small/{one.folder}/{one.gap}"
    names = {
        "gamma-gap.svg": "gamma against the gap",
        "measures.png": "measures against the gap, 1 of 3",
        "measures-2.png": "measures against the gap, 2 of 3",
        "measures-3.png": "measures against the gap, 3 of 3",
        "psi.svg": "ψ by axis",
        "correlations.svg": "between the measures",
    }
    return "\n".join(f"![{text}]({folder}/{name})" for name, text in names.items())


SAME = "The same, number for number: every run classifies all of its training images correctly."

LIMITS = """## Limits of this study

- One family of networks, a few hundred training images, two values an axis: the order of measures here says little
  about networks at full size. A measure that fails here may do well there, and the other way round.
- Every axis has two values, so ψ of an axis is an average of signs over pairs, and Ψ moves in coarse steps.
- All runs stop at one training loss. That takes the loss itself out of the comparison, as it should; what remains of
  it, by which runs overshoot the target within their last epoch, is judged as `train_loss` beside the others.
- The regularizer was crossed with the narrow networks only: the wide networks with the regularizer, the most
  expensive runs, were skipped. What is said of `reg.name` holds for narrow networks.
- One seed a setting: differences that a change of seed would make are noise here, and they widen the intervals.
- 5,000 test images give each test error a standard error of 0.7 points, and the test errors hardly spread over more
  than a few points: no measure could follow them closely.
- The sign error counts only pairs whose gaps differ by more than chance on 5,000 test images. Hardly any pair does, so
  it says next to nothing here, whatever its value.
- Where every training error is zero, the gap between errors is the test error.
- Gamma and the other measures are computed on few draws and few images; their standard errors are in the table of runs
  (`runs.csv`).

To settle the question would take what the large studies took: networks of full size on all 50,000 images, three or
more values on each axis, several seeds, some thousand minima (Jiang et al., 2020; Dziugaite et al., 2020), and for
gamma 100 draws of 100."""
