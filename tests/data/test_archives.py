"""Hostile and broken archives: refused with an InputError, nothing written, nothing followed, little unpacked."""

from __future__ import annotations

import gzip
import io
import resource
import tarfile
import time
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from layouts import as_python2_wrote, cifar10_files, cifar_pixels, image_files, png, write_tar

from infomcr_cli.data import check_source, load_dataset
from infomcr_cli.data import files as files_room
from infomcr_cli.errors import InputError


def tar_with(path, member: tarfile.TarInfo, data: bytes = b"", first: bool = True):
    with tarfile.open(path, "w:gz") as archive:
        bad = lambda: archive.addfile(member, io.BytesIO(data))  # noqa: E731
        if first:
            bad()
        for name, content in cifar10_files(as_python2_wrote).items():
            good = tarfile.TarInfo(name)
            good.size = len(content)
            archive.addfile(good, io.BytesIO(content))
        if not first:
            bad()
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


BAD_MEMBERS = {
    "traversal": (member("../escaped"), "stay inside"),
    "traversal inside": (member("cifar-10-batches-py/../../escaped"), "stay inside"),
    "absolute": (member("/absolute/escaped"), "stay inside"),
    "backslash": (member("..\\escaped"), "stay inside"),
    "symlink": (member("cifar-10-batches-py/data_batch_3", tarfile.SYMTYPE, "/etc/passwd"), "no links"),
    "hard link": (member("cifar-10-batches-py/data_batch_3", tarfile.LNKTYPE, "/etc/passwd"), "no links"),
    "device": (member("cifar-10-batches-py/data_batch_3", tarfile.CHRTYPE), "no links"),
    "pipe": (member("cifar-10-batches-py/data_batch_3", tarfile.FIFOTYPE), "no links"),
}


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("name", BAD_MEMBERS)
def test_a_tar_that_reaches_out_is_refused(tmp_path, config, name, first) -> None:
    bad, rule = BAD_MEMBERS[name]
    root = tar_with(tmp_path / "a.tar.gz", bad, first=first)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=rule):
        load_dataset(config("cifar10", root=str(root)), seed=0)
    written = {path.name for path in set(tmp_path.rglob("*")) - before}
    assert not written & {"escaped", "passwd", "data_batch_3"}


@pytest.mark.parametrize("name", ["../escaped", "/absolute/escaped", "link"])
def test_a_zip_that_reaches_out_is_refused(tmp_path, config, name) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo(name)
        if name == "link":
            info.external_attr = 0o120777 << 16
        archive.writestr(info, b"/etc/passwd")
        for good, data in cifar10_files(as_python2_wrote).items():
            archive.writestr(good, data)
    with pytest.raises(InputError, match=r"stay inside|no links"):
        load_dataset(config("cifar10", root=str(tmp_path / "a.zip")), seed=0)


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE])
def test_a_long_name_is_refused_before_it_is_read(tmp_path, config, kind) -> None:
    head = member("././@LongLink", kind)
    head.size = 2**28
    block = head.tobuf(tarfile.USTAR_FORMAT)
    with gzip.open(tmp_path / "a.tar.gz", "wb", compresslevel=1) as file:
        file.write(block)
        for _ in range(64):
            file.write(bytes(2**20))
    tracemalloc.start()
    with pytest.raises(InputError, match="a name in an archive must have at most"):
        check_source(config("cifar10", root=str(tmp_path / "a.tar.gz")))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20


def test_names_of_many_letters_and_sparse_files_are_refused_in_few_words(tmp_path, config) -> None:
    name = "\x1b[31m" + "x" * 5000
    with pytest.raises(InputError, match="at most 4096 letters") as caught:
        check_source(config("cifar10", root=str(tar_with(tmp_path / "a.tar.gz", member(name)))))
    assert len(str(caught.value)) < 500
    assert "\x1b" not in str(caught.value)
    with gzip.open(tmp_path / "b.tar.gz", "wb") as file:
        file.write(member("sparse", tarfile.GNUTYPE_SPARSE).tobuf(tarfile.GNU_FORMAT) + bytes(2**14))
    with pytest.raises(InputError, match="no sparse files"):
        check_source(config("cifar10", root=str(tmp_path / "b.tar.gz")))


def test_images_after_many_other_files_are_found(tmp_path, config) -> None:
    notes = {f"a{number}.txt": b"x" for number in range(30)}
    wanted = config("image_folder", root=str(write_tar(tmp_path / "a.tar.gz", notes | image_files())))
    check_source(wanted)
    assert len(load_dataset(wanted, seed=0).train) == 8


def test_a_pickle_in_an_archive_runs_nothing(tmp_path, config) -> None:
    trace = tmp_path / "trace"
    files = cifar10_files(as_python2_wrote)
    files["cifar-10-batches-py/batches.meta"] = b"cos\nsystem\n(S'touch " + str(trace).encode() + b"'\ntR."
    with pytest.raises(InputError, match="plain data"):
        load_dataset(config("cifar10", root=str(write_tar(tmp_path / "a.tar.gz", files))), seed=0)
    assert not trace.exists()


def test_a_bomb_is_refused_before_it_is_unfolded(tmp_path, config) -> None:
    """8 GB of zeros under the name of a batch, in an 8 MB file: refused by the size that its header claims."""
    head = member("cifar-10-batches-py/data_batch_1")
    head.size = 8 * 2**30
    path = tmp_path / "bomb.tar.gz"
    zeros = zlib.compressobj(9, zlib.DEFLATED, 31)
    with path.open("wb") as file:
        file.write(zeros.compress(head.tobuf()))
        for _ in range(64):  # the beginning of them will do
            file.write(zeros.compress(bytes(2**20)))
        file.write(zeros.flush())
    start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="must have at most"):
        load_dataset(config("cifar10", root=str(path)), seed=0)
    assert time.process_time() - start < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_many_large_members_are_refused_in_sum(tmp_path, config, monkeypatch) -> None:
    monkeypatch.setattr(files_room, "MAX_HELD", 20_000)
    root = write_tar(tmp_path / "a.tar.gz", cifar10_files(as_python2_wrote))
    with pytest.raises(InputError, match="what is read of the archive must have at most 20000 bytes"):
        load_dataset(config("cifar10", root=str(root)), seed=0)


def test_too_many_members_are_refused(tmp_path, config, monkeypatch) -> None:
    monkeypatch.setattr(files_room, "MAX_MEMBERS", 3)
    with pytest.raises(InputError, match="at most 3 files"):
        load_dataset(
            config("cifar10", root=str(write_tar(tmp_path / "a.tar", cifar10_files(as_python2_wrote), "w"))), seed=0
        )


def test_a_zip_member_is_read_only_up_to_its_declared_size(tmp_path, config) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data_batch_1", bytes(50_000_000))
        for name in ("data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"):
            archive.writestr(name, as_python2_wrote({"labels": [], "data": cifar_pixels(0, 1)}))
    data = path.read_bytes()
    real, claimed = (50_000_000).to_bytes(4, "little"), (100).to_bytes(4, "little")
    path.write_bytes(data.replace(real, claimed))
    with pytest.raises(InputError, match=r"cannot be read|pickle"):
        load_dataset(config("cifar10", root=str(path)), seed=0)


@pytest.mark.parametrize("keep", [0.02, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("mode", ["w:gz", "w:xz", "w:bz2", "w"])
def test_a_truncated_archive_is_refused(tmp_path, config, mode, keep) -> None:
    path = write_tar(tmp_path / "a.tar", cifar10_files(as_python2_wrote), mode)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    if mode == "w" and keep >= 0.9:
        return  # the last bytes of a plain tar are zeros that mean nothing
    with pytest.raises(InputError):
        load_dataset(config("cifar10", root=str(path)), seed=0)


def test_flipped_bytes_never_give_a_traceback(tmp_path, config) -> None:
    data = bytearray(write_tar(tmp_path / "good.tar.gz", cifar10_files(as_python2_wrote)).read_bytes())
    rng = np.random.default_rng(0)
    refused = 0
    for i in range(40):
        broken = data.copy()
        broken[rng.integers(len(data))] ^= 1 << rng.integers(8)
        path = tmp_path / f"{i}.tar.gz"
        path.write_bytes(broken)
        try:
            load_dataset(config("cifar10", root=str(path)), seed=0)
        except InputError:
            refused += 1
    assert refused > 30  # the header of gzip has a few bytes that mean nothing


@pytest.mark.parametrize(
    "data",
    [b"plain text", b"\x1f\x8b\x08\x00", gzip.compress(b"not a tar" * 1000, mtime=0), b"PK\x03\x04"],
    ids=["text", "cut gzip", "gzip without a tar", "cut zip"],
)
def test_another_kind_of_file_is_refused_by_the_check(tmp_path, config, data) -> None:
    path = tmp_path / "cifar-10-python.tar.gz"
    path.write_bytes(data)
    with pytest.raises(InputError, match="archive that can be read"):
        check_source(config("cifar10", root=str(path)))


def test_another_archive_is_refused_by_the_check(tmp_path, config) -> None:
    root = write_tar(tmp_path / "a.tar.gz", {"letters/a.txt": b"a"})
    with pytest.raises(InputError, match=r"official archive.*letters/a.txt"):
        check_source(config("cifar10", root=str(root)))


def test_an_image_of_absurd_size_is_never_decoded(tmp_path, config) -> None:
    huge = bytearray(png(np.zeros((2, 2, 3), np.uint8)))
    huge[16:24] = (60_000).to_bytes(4, "big") * 2  # width and height in IHDR
    huge[29:33] = zlib.crc32(huge[12:29]).to_bytes(4, "big")
    files = image_files() | {"train/ant/000.png": bytes(huge)}
    with pytest.raises(InputError, match="at most"):
        load_dataset(config("image_folder", root=str(write_tar(tmp_path / "a.tar", files, "w"))), seed=0)


def test_names_with_control_characters_are_shown_escaped(tmp_path, config) -> None:
    root = write_tar(tmp_path / "a.tar.gz", {"\x1b[31m../x": b"a"})
    with pytest.raises(InputError) as caught:
        check_source(config("cifar10", root=str(root)))
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "headers",
    [
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a", "GNU.sparse.realsize": "512"},
        {"GNU.sparse.map": "0,1", "GNU.sparse.size": "512"},
        {"GNU.sparse.size": "512", "GNU.sparse.numblocks": "1"},
    ],
)
def test_a_sparse_file_of_a_pax_header_is_refused_before_its_map_is_read(tmp_path, config, headers) -> None:
    entries = b"1\n" * 500_000  # a map of a million numbers, which tarfile would keep as such
    sparse = member("cifar-10-batches-py/data_batch_1")
    sparse.pax_headers, sparse.size = headers, len(entries)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(sparse, io.BytesIO(b"1000000\n" + entries))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="no sparse files"):
            check_source(config("cifar10", root=str(tmp_path / "a.tar.gz")))
        assert tracemalloc.get_traced_memory()[1] < 4e6
    finally:
        tracemalloc.stop()
