"""Parse the Hydra overrides of a command line, and explain errors of Hydra's grammar."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError, nearest_name

# Functions that list values or describe a search, also by their names in other libraries, with an example of each.
_INTERVAL, _LOG = "interval(0.01,0.5)", "tag(log,interval(0.001,1))"
_FUNCTIONS = {
    **{"choice": "choice(a,b)", "range": "range(0,3)", "glob": "glob(*)", "shuffle": "shuffle(range(0,3))"},
    **{"interval": _INTERVAL, "uniform": _INTERVAL, "randint": "int(interval(8,64))", "int": "int(interval(8,64))"},
    **{"tag": _LOG, "loguniform": _LOG, "log_uniform": _LOG},
}
_QUOTES = "'\" "
_WORDS = re.compile(r"(?!null|true|false)[a-z]\w*|\[[a-z]\w*(,[a-z]\w*)*\]")  # one, or a list of them
ASKS_FOR_HELP = ("help", "list", "?")  # given as a choice: the user wants to see the choices


def parse(arguments: Sequence[str]) -> list[Override]:
    """Return the overrides in `arguments`.

    Raises:
        InputError: an argument is not an override; if it lacks quotes, the error shows it with quotes.
    """
    return [_parse(argument) for argument in arguments]


def spelled(key: str, value: str) -> str:
    """Return the override that gives a setting a text, in quotes if Hydra's grammar needs them.

    Example: spelled("start", "my runs/a") is 'start="my runs/a"'.
    """
    plain = f"{key}={value}"
    try:
        if OverridesParser.create().parse_override(plain).value() == value:
            return plain
    except HydraException:
        pass
    return _quoted(key, value)


def check_step(override: Override) -> None:
    """Raise InputError if a range has the step 0."""
    if override.is_range_sweep() and not override.value().step:
        raise InputError("the step of a range must not be 0", received=override.input_line)


def refuse_sweeps(overrides: Sequence[Override], advice: str = "Give one value.") -> None:
    """Raise InputError if an override has several values: a run has one value of each setting."""
    for override in overrides:
        if override.is_sweep_override():
            raise InputError(
                "a run takes one value per setting",
                received=override.input_line,
                advice=advice,
            )


def refuse_all_but_values(overrides: Sequence[Override]) -> None:
    """Raise InputError if an override deletes a setting or refers to one: a recorded run has plain values only."""
    for override in overrides:
        if override.is_delete():
            rule, advice = "settings of a run that exists cannot be deleted", "Give a value, KEY=VALUE."
        elif "${" in str(override.input_line):
            rule, advice = "settings of a run that exists must be plain values", "Write the value itself."
        else:
            continue
        raise InputError(rule, received=override.input_line, advice=advice)


def check_choices(overrides: Sequence[Override], choices: Mapping[str, Sequence[str]]) -> None:
    """Raise InputError if a group is given a name that is not one of its choices."""
    for override in overrides:
        names = choices.get(override.key_or_group)
        if names is None or override.is_delete() or override.is_sweep_override():
            continue
        name = override.value()
        # Hydra's grammar, like YAML, may read a bare word as a boolean.
        shown = override.get_value_element_as_str()
        if shown not in names and str(name) not in names:
            group, received = override.key_or_group, name if isinstance(name, str | bool) else shown
            advice = f"Write one of them after {group}=." if shown in ASKS_FOR_HELP else None
            if group == "measure" and not advice and _WORDS.fullmatch(shown) and nearest_name(shown, names) is None:
                advice = f"Single measures are named in a list: 'measure.names=[{shown.strip('[]')}]'"
            raise InputError(f"{group} must be one of its choices", received=received, accepted=names, advice=advice)


def _parse(argument: str) -> Override:
    key, separator, value = argument.partition("=")
    # Python decodes the bytes of the command line that are not UTF-8 to surrogates.
    if not argument.isascii() and any("\ud800" <= letter <= "\udfff" for letter in argument):
        rule = f"{printable(key.lstrip('+~'), 100)} must be UTF-8 text"
        raise InputError(rule, received=printable(value), advice="Rename the file, or make a link to it.")
    if (not separator and not argument.startswith("~")) or not key.lstrip("+~"):
        is_option = argument.startswith("-")
        example = "For example model=wrn reg=on data.batch_size=64."
        advice = "Options come first; `--help` lists them." if is_option else example
        raise InputError("an override must have the form KEY=VALUE", received=argument, advice=advice)
    if key.lstrip("+~").startswith(("hydra.", "hydra/")):
        raise InputError(
            "Hydra only composes the configuration, so settings under hydra. have no effect",
            received=argument,
            advice="Use --run-dir or runs_dir= for the directory, and infomcr sweep for several values.",
        )
    try:
        return OverridesParser.create().parse_override(argument)
    except HydraException:
        raise InputError(
            "an override must follow Hydra's grammar", received=argument, advice=_quoting(key, value)
        ) from None


def _quoting(key: str, value: str) -> str:
    """Return advice on how to write a value with characters that Hydra interprets, or one of Hydra's functions."""
    function, bracket, _ = value.partition("(")
    meant = _FUNCTIONS.get(function) or _FUNCTIONS.get(nearest_name(function, _FUNCTIONS) or "")
    if bracket and value.endswith(")") and function.isidentifier() and meant:
        return f"In a shell write, for example: '{key}={meant}'"
    if not value.endswith({"[": "]", "{": "}"}.get(value[:1], "")) or (meant and bracket and ")" not in value):
        return "A bracket is not closed."
    if value.startswith("["):
        parts = [_text(part.strip(_QUOTES)) for part in value[1:-1].split(",")]
        quoted = f"{key}=[{','.join(parts)}]"
    else:
        quoted = _quoted(key, value.strip(_QUOTES))
    try:
        OverridesParser.create().parse_override(quoted)
    except HydraException:
        return "Write KEY=VALUE, where KEY is a dotted path such as data.batch_size."
    # A single quote cannot be escaped inside single quotes: it ends them, follows escaped, and begins them again.
    return "In a shell write: " + "'" + quoted.replace("'", "'\\''") + "'"


def _quoted(key: str, value: str) -> str:
    return f"{key}={_text(value)}"


def _text(value: str) -> str:
    """Return a text as Hydra's grammar quotes it."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
