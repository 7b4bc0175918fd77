"""What is secret is hidden, what is not stays."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.grid import expand
from infomcr_cli.config.yaml_text import to_yaml
from infomcr_cli.console.redaction import (
    HIDDEN,
    RedactingFilter,
    has_secret,
    note_password,
    redact,
    redact_override,
    redact_uri,
    redact_uris,
)
from infomcr_cli.engine.plan import plan
from infomcr_cli.runs import RunDirectory, State, finished, read_status, write_status
from infomcr_cli.tracking.client import Progress
from infomcr_cli.tracking.description import flatten, push_artifacts


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


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Set a secret of the environment."""

    def make(value: str, name: str = "SOME_PASSWORD") -> None:
        monkeypatch.setenv(name, value)

    return make


@pytest.mark.parametrize(
    "text",
    [
        "/srv/postgres-data/d.npz",
        "/srv/postgres/d.npz",
        "postgres.npz",
        "~/postgres",
        "sqlite:////srv/postgres/mlflow.db",
        "tracking.experiment=postgres-test",
        "postgresql://host/postgres",
        "superpostgres postgresql postgres2 my_postgres",
        "infomcr train --resume /srv/postgres/run",
    ],
)
def test_a_word_that_is_a_secret_too_stays_a_part_of_other_words_and_paths(
    secret: Callable[[str], None], text: str
) -> None:
    secret("postgres")
    assert redact(text) == text


@pytest.mark.parametrize(
    "frame",
    ["{}", "FATAL: {} refused", "'{}'", '{{"password": "{}"}}', "key={}", "key: {}.", "({})", "user:{}@host", "a,{};"],
)
@pytest.mark.parametrize("value", ["postgres", "correct-horse", "a+b(c*d[8", "hunter2", "s3cr3t/with/it", "$^.|?*"])
def test_a_secret_is_hidden_wherever_it_is_a_whole_word(secret: Callable[[str], None], frame: str, value: str) -> None:
    secret(value)
    assert redact(frame.format(value)) == frame.format(HIDDEN)


@pytest.mark.parametrize("value", ["a", "pw", "abc", "test", "epoch", "1", "0.1", "128", "true"])
def test_a_secret_that_is_a_common_word_or_number_hides_nothing_else(secret: Callable[[str], None], value: str) -> None:
    secret(value)
    text = f"{value}: a test at epoch 128 with rate 0.1 is true, abc pw 1"
    assert redact(text) == text


def test_a_generated_token_is_hidden_inside_words_and_addresses_too(secret: Callable[[str], None]) -> None:
    secret("ghp0123456789abcdefXYZ", "GITHUB_TOKEN")
    for text in ("https://host/hooks/{}/x", "Bearer%20{}", "x{}y", "/tmp/{}"):
        assert redact(text.format("ghp0123456789abcdefXYZ")) == text.format(HIDDEN)


def test_two_secrets_with_a_common_prefix_are_both_hidden_whole(secret: Callable[[str], None]) -> None:
    secret("correct-horse", "A_PASSWORD")
    secret("correct-horse-battery", "B_PASSWORD")
    secret("correct-horse battery staple", "C_PASSWORD")
    text = "correct-horse, correct-horse-battery, correct-horse battery staple, correct-horses"
    assert redact(text) == f"{HIDDEN}, {HIDDEN}, {HIDDEN}, correct-horses"


def test_a_secret_is_hidden_in_every_spelling(secret: Callable[[str], None]) -> None:
    value = 'p@ss "w/rd" é%'
    secret(value)
    for spelled in (quote(value, safe=""), quote_plus(value), json.dumps(value), repr(value), value):
        shown = redact(f"got {spelled} there")
        assert "ss" not in shown
        assert HIDDEN in shown


def test_a_key_of_several_lines_is_hidden_line_by_line(secret: Callable[[str], None]) -> None:
    secret("-----BEGIN-----\nMIIEvQIBADANBgkqhkiG9w0\nBAQEFAASCBKcwggSjAgEAAoIB\n-----END-----", "SSH_PRIVATE_KEY")
    assert redact("read MIIEvQIBADANBgkqhkiG9w0") == f"read {HIDDEN}"


@pytest.mark.parametrize("name", ["GOOGLE_TOKEN_FILE", "SECRET_PATH", "PASSWORD_STORE_DIR", "TOKEN_URL", "PWD", "PATH"])
def test_a_path_in_an_environment_variable_is_not_a_secret(secret: Callable[..., None], name: str) -> None:
    secret("/home/ann/project", name)
    assert redact("in /home/ann/project now") == "in /home/ann/project now"


@pytest.mark.parametrize("name", ["PGPASSWORD", "DB_PASS", "MYSQL_PWD", "API_KEY", "aws_secret_access_key"])
def test_the_usual_names_of_secrets_are_known(secret: Callable[..., None], name: str) -> None:
    secret("correct-horse", name)
    assert redact("correct-horse") == HIDDEN


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql://user:pa/ss@host/db", "postgresql://***@host/db"),
        ("postgresql://user:p w@host/db", "postgresql://***@host/db"),
        ("postgresql://user:p'w\"@host/db", "postgresql://***@host/db"),
        ("mysql+pymysql://user:12/34@host/db", "mysql+pymysql://***@host/db"),
        ("http://user:pa/ss@host", "http://***@host"),
        ("http://user:p%40ss@host", "http://***@host"),
        ("postgresql://ann@host/db", "postgresql://ann@host/db"),  # a database's user is no secret
        ("postgresql://host:5432/db?sslpassword=x", "postgresql://host:5432/db?sslpassword=***"),
        ("mssql+pyodbc:///?odbc_connect=PWD%3Dx%3B", "mssql+pyodbc:///?odbc_connect=***"),
        ("http://[::1]:5000/a@b", "http://[::1]:5000/a@b"),
        ("http://host:5000/a@b", "http://host:5000/a@b"),
        ("sqlite:////home/a:b/c@d.db", "sqlite:////home/a:b/c@d.db"),
        ("/data/x?token=4", "/data/x?token=4"),
        ("a plain text with an @ and a : in it", "a plain text with an @ and a : in it"),
    ],
)
def test_credentials_of_a_uri_are_found_by_its_structure(uri: str, shown: str) -> None:
    assert redact_uri(uri) == shown
    assert redact_uri(shown) == shown
    assert redact_override(f"tracking.uri='{uri}'") == f"tracking.uri='{shown}'"


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1))
def test_no_password_of_a_database_survives_in_what_is_kept(password: str) -> None:
    assert redact_uri(f"postgresql://ann:{password}@host/db") == f"postgresql://{HIDDEN}@host/db"


@pytest.mark.parametrize("override", ["data.root=/a?token=b", "data.root=/srv/postgres", "seed=1", "~reg", "note=a@b"])
def test_text_that_is_not_a_uri_is_kept_unchanged(secret: Callable[[str], None], override: str) -> None:
    secret("postgres")
    assert redact_override(override) == redact_uris(override) == override


def test_the_password_of_a_store_is_hidden_as_its_driver_spells_it() -> None:
    note_password("postgresql://ann:corr%40ct-horse@host/db")
    assert (
        redact('FATAL: authentication with "corr@ct-horse" failed') == f'FATAL: authentication with "{HIDDEN}" failed'
    )


def test_a_run_keeps_what_it_needs_and_its_mirror_hides_what_is_secret(
    secret: Callable[[str], None], run: RunDirectory
) -> None:
    secret("postgres")
    config = compose_run(["data=npz", "data.root=/srv/postgres/d.npz", "tracking.experiment=postgres"])
    text = to_yaml(config).decode()
    assert "root: /srv/postgres/d.npz" in text
    assert "experiment: postgres" in text
    assert flatten({"data": {"root": "/srv/postgres/d.npz", "key": "postgres"}}) == {
        "data.root": "/srv/postgres/d.npz",
        "data.key": HIDDEN,
    }
    write_status(run, finished(read_status(run), State.FAILED, "the key postgres is refused"))
    assert read_status(run).reason == f"the key {HIDDEN} is refused"


def test_a_description_is_uploaded_without_the_secrets_in_it(
    secret: Callable[[str], None], run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret("correct-horse")
    run.config.write_text("model: {settings: {key: correct-horse}}\n")
    sent: dict[str, str] = {}

    class Client:
        def log_text(self, run_id: str, text: str, artifact_file: str) -> None:
            sent[artifact_file] = text

        def log_artifact(self, run_id: str, path: str, folder: str | None) -> None:
            sent[Path(path).name] = Path(path).read_text()

    push_artifacts(Client(), run, Progress(run_id="a"))
    assert sent["config.yaml"] == f"model: {{settings: {{key: {HIDDEN}}}}}\n"
    assert sent["overrides.yaml"] == run.overrides.read_text()
    assert "correct-horse" in run.config.read_text()


def test_jobs_of_a_sweep_are_named_without_passwords(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    points = expand(["seed=0,1", "tracking.uri='http://ann:hunter2@host'"])
    for job in plan(points):
        assert "hunter2" not in " ".join((*job.overrides, job.label))
        assert str(job.config.tracking.uri) == "http://ann:hunter2@host"
