"""The process that imports users' own networks: `python -m infomcr_cli.engine.import_builders`.

Its input lists functions with the names of their settings, and the places where the sweep's own process finds modules.
Its output is empty, or says what is wrong with a function.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

from infomcr_cli.errors import InputError
from infomcr_cli.models.custom import check_keywords, resolve_builder


def main() -> None:
    """Import each function, and keep the output of the modules out of the answer."""
    answer = os.dup(1)
    os.dup2(2, 1)  # of the process, not of Python alone: native code of a module may print too
    request = json.load(sys.stdin)
    sys.path += [place for place in request["modules"] if place not in sys.path]
    for path, settings in request["builders"]:
        error = _misfit(path, settings)
        if error is not None:
            said = {"rule": error.rule, "received": path, "advice": error.advice}
            os.write(answer, json.dumps(said).encode())
            break
    sys.stderr.flush()
    os._exit(0)  # nothing is left to do, and TensorFlow takes a second to shut down


def _misfit(path: str, settings: Sequence[str]) -> InputError | None:
    try:
        function = resolve_builder(path, trusted=True)
        check_keywords(function, ["input_shape", "num_classes", "l2", *settings], path)
    except InputError as error:
        return error
    except BaseException as error:  # a module may raise anything when it is imported, even SystemExit
        rule = "model.builder must name a module that can be imported"
        return InputError(rule, received=path, advice=f"{type(error).__name__}: {error}")
    return None


if __name__ == "__main__":
    main()
