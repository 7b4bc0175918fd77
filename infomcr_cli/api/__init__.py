"""The public Python API, one function or class per file; `infomcr_cli` exports all of them."""
