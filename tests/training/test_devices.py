"""Whether bfloat16 pays on this processor."""

from __future__ import annotations

from pathlib import Path

import pytest

from infomcr_cli.training.devices import is_emulated


@pytest.mark.parametrize(
    ("precision", "devices", "flags", "emulated"),
    [
        ("mixed_bfloat16", ["CPU:0"], "flags : fpu avx avx2 fma", True),
        ("mixed_bfloat16", ["CPU:0", "CPU:1"], "flags : fpu avx avx2 fma", True),
        ("mixed_bfloat16", ["CPU:0"], "flags : fpu avx512f avx512_bf16", False),
        ("mixed_bfloat16", ["CPU:0"], "flags : fpu avx512f amx_bf16 amx_tile", False),
        ("mixed_bfloat16", ["CPU:0"], "Features : fp asimd bf16 i8mm", False),
        ("mixed_bfloat16", ["GPU:0"], "flags : fpu avx avx2 fma", False),
        ("float32", ["CPU:0"], "flags : fpu avx avx2 fma", False),
    ],
)
def test_bfloat16_is_emulated_without_bf16_instructions(
    precision: str, devices: list[str], flags: str, emulated: bool, tmp_path: Path
) -> None:
    described = tmp_path / "cpuinfo"
    described.write_text(f"processor : 0\n{flags}\n")
    assert is_emulated(precision, devices, described) is emulated


def test_unknown_processor_is_not_called_emulated(tmp_path: Path) -> None:
    assert not is_emulated("mixed_bfloat16", ["CPU:0"], tmp_path / "nowhere")
