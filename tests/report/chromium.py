"""A page in a headless Chromium: a test's own script runs after the page's, and its answer comes back."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
_START, _END = "<title>ANSWER ", " END</title>"


def answer_of(page: Path, script: str, *, width: int = 1280, height: int = 900) -> Any:
    """Return what an expression of JavaScript says about a page; errors and refusals of its policy are raised.

    Args:
        script: the body of a function that returns what JSON can hold.
    """
    driver = f"""
      const heard = [];
      document.addEventListener("securitypolicyviolation", (event) => heard.push(event.violatedDirective));
      addEventListener("error", (event) => heard.push(event.message));
      addEventListener("load", () => setTimeout(() => {{
        let found;
        try {{ found = (() => {{ {script} }})(); }} catch (error) {{ heard.push(String(error.stack)); }}
        const text = JSON.stringify({{ found, heard }});
        top.document.title = "ANSWER " + btoa(unescape(encodeURIComponent(text))) + " END";
      }}, 50));
    """
    digest = base64.b64encode(hashlib.sha256(driver.encode()).digest()).decode()
    text = page.read_text(encoding="utf-8").replace("script-src ", f"script-src 'sha256-{digest}' ", 1)
    driven = text.replace("<style>", f"<script>{driver}</script><style>", 1)
    frame = page.with_name(f"frame-{page.name}")  # a window cannot be narrower than 500 pixels, a frame in it can
    inside = f'<iframe width="{width}" height="{height}" srcdoc="{html.escape(driven)}"></iframe>'
    frame.write_text(f'<!doctype html><meta charset="utf-8"><title></title>{inside}', encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width + 100},{height + 100}"]
    profile = f"--user-data-dir={page.parent / 'profile'}"
    command = [str(CHROMIUM), *options, profile, "--virtual-time-budget=3000", "--dump-dom", frame.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    encoded = done.stdout.partition(_START)[2].partition(_END)[0]
    answer = json.loads(base64.b64decode(encoded))
    assert answer["heard"] == []
    return answer["found"]
