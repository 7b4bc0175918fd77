"""What pydantic found wrong, in our words: the rule, the value, the way out."""

from __future__ import annotations

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


def validation_errors(error: ValidationError) -> InputError:
    """Return the first misfit as an error; the others are counted in it."""
    misfits = error.errors(include_url=False)
    first = _one(misfits[0])
    others = [_one(misfit) for misfit in misfits[1:4]]
    return first if not others else InputError("\n".join(str(e).rstrip() for e in (first, *others)).removesuffix("."))


def _one(misfit: Any) -> InputError:
    if misfit["type"] == "value_error":
        return InputError(str(misfit["ctx"]["error"]).removesuffix("."))
    where = ".".join(str(part) for part in misfit["loc"] if not _is_tag(part, misfit))
    accepted = _literals(misfit)
    rule = "must be one of its values" if accepted else _RULES.get(misfit["type"], misfit["msg"])
    rule = rule.format(**misfit.get("ctx", {})) if "{" in rule else rule
    received = None if misfit["type"] == "missing" else misfit.get("ctx", {}).get("tag", misfit["input"])
    if received is not None and not isinstance(received, str | int | float | bool):
        received = str(received)[:80]
    return InputError(f"{where} {rule}", received=received, accepted=accepted)


def _is_tag(part: Any, misfit: Any) -> bool:
    """The discriminator of a union comes second in the location although no key has that name."""
    location = misfit["loc"]
    return len(location) > 2 and location.index(part) == 1 and location[0] in _UNIONS


def _literals(misfit: Any) -> list[str]:
    if misfit["type"] not in ("literal_error", "union_tag_invalid"):
        return []
    listed = str(misfit["ctx"].get("expected") or misfit["ctx"].get("expected_tags"))
    return [word.strip().strip("'") for word in listed.replace(" or ", ", ").split(",")]
