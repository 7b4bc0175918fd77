"""Documents of which a part is generated: what stands between `<!-- generated: NAME -->` and `<!-- end -->`."""

from __future__ import annotations

import re
from collections.abc import Mapping

_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str, parts: Mapping[str, str]) -> str:
    """Return a text with its generated parts replaced; a part without a name that is known stays.

    Examples:
        >>> print(filled("a\\n<!-- generated: b -->\\nold\\n<!-- end -->", {"b": "new"}))
        a
        <!-- generated: b -->
        <BLANKLINE>
        new
        <BLANKLINE>
        <!-- end -->
    """

    def replaced(found: re.Match[str]) -> str:
        return f"{found[1]}\n{parts[found[2]]}\n\n{found[3]}" if found[2] in parts else found[0]

    return _PART.sub(replaced, text)
