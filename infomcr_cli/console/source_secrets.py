"""Hide secrets that someone wrote into a source file, found by the names of their variables and by their format."""

from __future__ import annotations

import re

from infomcr_cli.console.redaction import HIDDEN

_WORDS = "passw(?:or)?d|passphrase|token|secret|api_?key|access_?key|private_?key|credential"
_NAME = rf"(?<![\w.-])[\w.-]{{0,80}}(?:{_WORDS})[\w.-]{{0,80}}"  # bounded: a search takes a time linear in the text
_QUOTE = r"\\?[\"']"  # in a notebook, which is JSON, with a backslash
# Such as api_key = "…", api_key: str = "…", {"api_key": "…"} and os.environ["API_KEY"] = "…".
_QUOTED = re.compile(
    rf"(?P<name>{_NAME}(?:{_QUOTE})?\]?[ \t]*(?::[ \w.|\[\]]{{1,80}})?[:=][ \t]*[bfru]{{0,2}}(?:{_QUOTE}){{1,3}})"
    rf"[^\"'\n]{{4,}}?(?={_QUOTE})",
    re.I,
)
# Such as password: … in YAML and export API_TOKEN=… in a shell script; $NAME and ${NAME} only name one.
_UNQUOTED = re.compile(
    rf"(?P<name>^[ +-][ \t]*(?:-[ \t]+)?(?:export[ \t]+)?{_NAME}[ \t]*[:=][ \t]*)(?![\"'$\s])\S.{{3,}}$", re.I | re.M
)
_PRIVATE_KEY = re.compile(
    r"(?P<name>-----BEGIN [A-Z ]*PRIVATE KEY-----)[\s\S]*?(?P<end>-----END [A-Z ]*PRIVATE KEY-----|\Z)"
)
# The prefixes of tokens of GitHub, GitLab, Hugging Face, OpenAI, Slack and Amazon.
_KNOWN = re.compile(r"\b(?:gh[pousr]_|github_pat_|glpat-|hf_|sk-|xox[abprs]-|AKIA|ASIA)(?=[\w-]{0,60}\d)[\w-]{16,}")


def without_assigned_secrets(text: str, *, is_code: bool) -> str:
    """Return the text of a patch with the values of passwords, tokens and keys hidden.

    Args:
        is_code: whether a word without quotes is the name of a variable, as in Python, and not the value itself.

    Examples:
        >>> without_assigned_secrets('+api_key: str = "abcd1234"', is_code=True)
        '+api_key: str = "***"'
        >>> without_assigned_secrets("+password: hunter22", is_code=False)
        '+password: ***'
        >>> without_assigned_secrets("+token = next_token", is_code=True)
        '+token = next_token'
    """
    text = _QUOTED.sub(rf"\g<name>{HIDDEN}", text)
    text = text if is_code else _UNQUOTED.sub(rf"\g<name>{HIDDEN}", text)
    text = _PRIVATE_KEY.sub(_without_lines, text)
    return _KNOWN.sub(HIDDEN, text)


def _without_lines(match: re.Match[str]) -> str:
    """Return a hidden key of as many lines, so that the patch can still be applied."""
    _, *rest = match[0].split("\n")
    hidden = [f"{line[:1]}{HIDDEN}" for line in rest[:-1]]
    last = [f"{rest[-1][:1]}{match['end']}"] if rest else []
    return "\n".join([f"{match['name']}{HIDDEN}", *hidden, *last])
