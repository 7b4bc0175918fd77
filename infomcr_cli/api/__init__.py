"""The functions and classes of a user's own script, one a file; `infomcr_cli` offers them by name."""
