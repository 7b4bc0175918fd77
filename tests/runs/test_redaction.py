"""What is secret is hidden, what is not stays."""

from __future__ import annotations

import io
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infomcr_cli.console.redaction import HIDDEN, RedactingFilter, has_secret, redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://ann:pw@host:5000/x", "http://***@host:5000/x"),
        ("postgresql+psycopg2://u:p@ss:w@db/mlflow", "postgresql+psycopg2://***@db/mlflow"),
        ("http://token@host", "http://***@host"),
        ("http://host/?token=abc&x=1", "http://host/?token=***&x=1"),
        ("cannot reach 'https://a:b@h/' now", "cannot reach 'https://***@h/' now"),
        ("sqlite:////home/ann/mlflow/mlflow.db", "sqlite:////home/ann/mlflow/mlflow.db"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("mail ann@example.org", "mail ann@example.org"),
    ],
)
def test_credentials_are_hidden(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert has_secret(text) == (text != shown)


@given(
    st.text(
        st.characters(exclude_characters="/'\" \t\n\r\x0b\x0c", exclude_categories=("Zs", "Zl", "Zp", "Cc")), min_size=8
    )
)
def test_no_password_survives(password: str) -> None:
    shown = redact(f"see http://ann:{password}@host/path")
    assert shown == f"see http://{HIDDEN}@host/path"


def test_the_environments_tokens_are_hidden_in_logs_and_tracebacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "correct-horse")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactingFilter())
    logger = logging.Logger("x")
    logger.addHandler(handler)
    try:
        raise RuntimeError("http://ann:battery-staple@host refused correct-horse")
    except RuntimeError:
        logger.exception("no %s", "correct-horse")
    assert "correct-horse" not in stream.getvalue()
    assert "battery" not in stream.getvalue()
    assert "RuntimeError" in stream.getvalue()
