"""What a run says of its kernels: the instructions they use, and the settings that make them slower."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli import CommandLine

from infomcr_cli import runtime
from infomcr_cli.training import kernels
from infomcr_cli.training.kernels import is_emulated, slower_settings, used_kernels
from tests.training import reference as ref

AVX2, AVX512 = "flags : fpu avx avx2 fma", "flags : fpu avx avx2 fma avx512f avx512_vnni"
BF16, AMX = f"{AVX512} avx512_bf16", f"{AVX512} avx512_bf16 amx_bf16 amx_tile"
ARM = "Features : fp asimd bf16 i8mm"
LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "TF_ENABLE_ONEDNN_OPTS")
TINY = (
    *("model=mlp", "model.depth=1", "model.width=4", "data=digits", "data.train_size=100", "data.test_size=20"),
    *("data.batch_size=50", "schedule.epochs=1", "tracking=off"),
)


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LIMITS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(runtime, "kernels", lambda: "oneDNN")


def processor(folder: Path, flags: str) -> Path:
    (folder / "cpuinfo").write_text(f"processor : 0\n{flags}\n")
    return folder / "cpuinfo"


@pytest.mark.parametrize(
    ("precision", "devices", "flags", "emulated"),
    [
        ("mixed_bfloat16", ["CPU:0"], AVX2, True),
        ("mixed_bfloat16", ["CPU:0", "CPU:1"], AVX2, True),
        ("mixed_bfloat16", ["CPU:0"], BF16, False),
        ("mixed_bfloat16", ["CPU:0"], AMX, False),
        ("mixed_bfloat16", ["CPU:0"], ARM, False),
        ("mixed_bfloat16", ["GPU:0"], AVX2, False),
        ("float32", ["CPU:0"], AVX2, False),
    ],
)
def test_bfloat16_is_emulated_without_bf16_instructions(
    precision: str, devices: list[str], flags: str, emulated: bool, tmp_path: Path
) -> None:
    assert is_emulated(precision, devices, processor(tmp_path, flags)) is emulated


def test_unknown_processor_is_not_called_emulated(tmp_path: Path) -> None:
    assert not is_emulated("mixed_bfloat16", ["CPU:0"], tmp_path / "nowhere")
    assert used_kernels("mixed_bfloat16", tmp_path / "nowhere") == "oneDNN kernels"


@pytest.mark.parametrize(
    ("precision", "flags", "text"),
    [
        ("float32", AVX2, "oneDNN kernels with AVX2"),
        ("float32", AMX, "oneDNN kernels with AVX-512"),
        ("float32", ARM, "oneDNN kernels with NEON"),
        ("mixed_bfloat16", AMX, "oneDNN kernels with AMX"),
        ("mixed_bfloat16", BF16, "oneDNN kernels with AVX512-BF16"),
        ("mixed_bfloat16", AVX2, "oneDNN kernels with AVX2"),
        ("float32", "flags : fpu", "oneDNN kernels"),
    ],
)
def test_kernels_are_named_with_the_instructions_of_the_precision(
    precision: str, flags: str, text: str, tmp_path: Path
) -> None:
    assert used_kernels(precision, processor(tmp_path, flags)) == text


def test_limit_of_instructions_is_named_in_place_of_those_of_the_processor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    described = processor(tmp_path, AVX512)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert used_kernels("float32", described) == "oneDNN kernels limited by ONEDNN_MAX_CPU_ISA=AVX2"
    (line,) = slower_settings("float32", ref.network("mlp"), ["CPU:0"], described)
    assert line.startswith("ONEDNN_MAX_CPU_ISA=AVX2 keeps oneDNN from using newer instructions")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "default")
    assert used_kernels("float32", described) == "oneDNN kernels with AVX-512"


def test_onednn_switched_off_is_said_where_it_would_be_faster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = ref.network("mlp")
    monkeypatch.setattr(runtime, "kernels", lambda: "TensorFlow")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert used_kernels("float32", processor(tmp_path, AVX2)) == "TensorFlow kernels"
    (line,) = slower_settings("float32", model, ["CPU:0"], processor(tmp_path, AVX2))
    assert line.startswith("TF_ENABLE_ONEDNN_OPTS=0 switches oneDNN off")
    assert not [*slower_settings("float32", model, ["CPU:0"], processor(tmp_path, "flags : fpu avx"))]


@pytest.mark.parametrize(
    ("precision", "flags", "device", "hint"),
    [
        ("float32", AMX, "CPU:0", "This processor has AMX: a new run with precision=mixed_bfloat16 would be faster"),
        (
            "float32",
            BF16,
            "CPU:0",
            "This processor has AVX512-BF16: a new run with precision=mixed_bfloat16 would be faster",
        ),
        ("float32", AVX512, "CPU:0", None),
        ("float32", AMX, "GPU:0", None),
        ("float64", AMX, "CPU:0", None),
        ("mixed_bfloat16", AMX, "CPU:0", None),
    ],
)
def test_bfloat16_is_recommended_to_wide_convolutional_networks_alone(
    precision: str, flags: str, device: str, hint: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    described, small = processor(tmp_path, flags), ref.network("wrn")
    assert not [*slower_settings(precision, small, [device], described)]
    monkeypatch.setattr(kernels, "WIDE", 100)
    lines = [*slower_settings(precision, small, [device], described)]
    assert not [*slower_settings(precision, ref.network("mlp"), [device], described)]
    assert len(lines) == (hint is not None)
    assert all(line.startswith(str(hint)) for line in lines)


def test_a_run_says_once_that_bfloat16_is_emulated(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On standard error alone, with --json as without it."""
    monkeypatch.setattr(kernels, "instructions", lambda _: {"avx2"})
    for run, more in (("runs/a", ()), ("runs/b", ("--json",))):
        answer = command_line("train", *TINY, "precision=mixed_bfloat16", f"--run-dir={run}", *more)
        assert answer.code == 0, answer.err
        assert answer.err.count("oneDNN kernels with AVX2, mixed_bfloat16") == 1
        assert answer.err.count("precision=mixed_bfloat16 is emulated on this processor") == 1
        assert "emulated" not in answer.out
        assert not more or json.loads(answer.out)
