"""The blocks of docs/cluster.md that submit, inspect and cancel, on a real Slurm, MLflow server and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import POSTGRES, Postgres, Server, wait_until
from slurm_cluster import SlurmCluster, missing_program, running_cluster

from tests.conftest import CommandLine
from tests.document_shell import Shell
from tests.documents import ABBREVIATED, ROOT, Reader, blocks

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(missing_program() is not None, reason=f"Slurm is not installed: no {missing_program()}"),
]
PAGE = ROOT / "docs" / "cluster.md"
DATABASE = "postgresql+psycopg://mlflow:choose-one@127.0.0.1/mlflow"


@pytest.fixture
def slurm() -> Iterator[SlurmCluster]:
    """Two nodes of one core each."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def database() -> Iterator[Postgres | None]:
    """A PostgreSQL where there is one."""
    found = Postgres() if POSTGRES else None
    yield found
    if found is not None:
        found.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """An MLflow server, for pages whose own one cannot be started."""
    found = Server(tmp_path)
    yield found
    found.kill()


def put_nothing(place: Path) -> None:
    raise AssertionError(f"{place}: no block of the page takes a trained run")


def test_blocks_of_the_page_on_clusters_run(
    slurm: SlurmCluster,
    database: Postgres | None,
    server: Server,
    command_line: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in slurm.environment.items():
        monkeypatch.setenv(name, value)
    provided, environment = {"Slurm"}, dict(slurm.environment)
    replaced = {**ABBREVIATED, "http://head:5000": "http://127.0.0.1:5000"}
    if database is not None:
        provided.add("PostgreSQL")
        replaced |= {DATABASE: database.uri}
        environment |= database.environment
    else:
        server.start()
        replaced |= {"127.0.0.1:5000": server.uri.removeprefix("http://")}
    reader = Reader(command_line, put_nothing, True, frozenset(provided), Shell(replaced, environment))
    found = blocks(PAGE)
    reader.work_through(found)
    wait_until(lambda: not slurm.queue(), 60)
    assert [block.place for block in found if "Slurm" in block.marks.get("needs", "") and not reader.runs(block)] == []
    runs = [path for path in Path("runs").iterdir() if (path / "measures.json").is_file()]
    assert len(runs) == 2
    assert Path("sweeps/seeds/slurm").is_dir()
