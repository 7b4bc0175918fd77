"""Turn an error of pydantic into an InputError: the rule, the value that was received, and advice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from infomcr_cli.errors import InputError

_UNIONS = ("data", "model", "optimizer", "reg", "engine")
_RULES = {
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "string_type": "must be a word; quote it where YAML reads it as something else",
    "string_pattern_mismatch": "must look like {pattern}",
    "tuple_type": "must be a list, as [1,2]",
    "missing": "must be given",
    "extra_forbidden": "must be a setting that exists",
    "string_too_short": "must not be empty",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
}

_PATTERNS = {r"^[\w.-]{1,100}$": "must be 1 to 100 letters, digits and any of _ . -"}


def validation_errors(error: ValidationError, prefix: str = "") -> InputError:
    """Return one error for the first four settings that pydantic refuses.

    Args:
        prefix: of the names of settings, such as "sweep.".
    """
    places: dict[str, list[Any]] = {}
    for number, misfit in enumerate(error.errors(include_url=False)):
        # Rules of our own are kept apart: one for several settings has no location by which it could be found.
        place = str(number) if misfit["type"] == "value_error" else _where(misfit)
        places.setdefault(place, []).append(misfit)
    first, *others = (_one(misfits, prefix) for misfits in list(places.values())[:4])
    return first if not others else InputError("\n".join(str(e).rstrip() for e in (first, *others)).removesuffix("."))


def _one(misfits: Sequence[Any], prefix: str) -> InputError:
    """Return the error for one setting; pydantic reports a misfit for each type of a union."""
    misfit = misfits[0]
    if misfit["type"] == "value_error":
        return InputError(str(misfit["ctx"]["error"]).removesuffix("."))
    accepted = [word for one in misfits for word in _literals(one)]
    rule = " or ".join(dict.fromkeys(map(_rule, misfits))).replace(" or must be ", " or ")
    received = misfit.get("ctx", {}).get("tag", misfit["input"])
    if misfit["type"] in ("missing", "json_invalid"):  # `input` is then the whole record or document
        received = None
    elif received is None:
        received = "null"
    if received is not None and not isinstance(received, str | int | float | bool):
        received = str(received)[:80]
    where = _where(misfit)
    return InputError(f"{prefix if where else ''}{where} {rule}".lstrip(), received=received, accepted=accepted)


def _rule(misfit: Any) -> str:
    if _literals(misfit):
        return "must be one of its values"
    if misfit["type"] == "string_pattern_mismatch" and (known := _PATTERNS.get(misfit["ctx"]["pattern"])):
        return known
    rule: str = _RULES.get(misfit["type"], misfit["msg"])
    return rule.format(**misfit.get("ctx", {})) if "{" in rule else rule


# What pydantic appends to the location of a value that may have several types.
_KIND = re.compile(
    r"(constrained-)?(int|float|str|bool|none|list|tuple|dict)|(literal|list|tuple|dict|function-\w+)\[.*"
)


def _where(misfit: Any) -> str:
    """Return the dotted name of the setting."""
    parts = [str(part) for part in misfit["loc"] if not _is_tag(part, misfit)]
    return ".".join(part for place, part in enumerate(parts) if not (place and _KIND.fullmatch(part)))


def _is_tag(part: Any, misfit: Any) -> bool:
    """Return whether a part of a location is the discriminator of a union: it comes second, and no key has its name."""
    location = misfit["loc"]
    return len(location) > 2 and location.index(part) == 1 and location[0] in _UNIONS


def _literals(misfit: Any) -> list[str]:
    if misfit["type"] not in ("literal_error", "union_tag_invalid"):
        return []
    listed = str(misfit["ctx"].get("expected") or misfit["ctx"].get("expected_tags"))
    return [word.strip().strip("'") for word in listed.replace(" or ", ", ").split(",")]
