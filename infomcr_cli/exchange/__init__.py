"""Networks from other programs and for them: a stranger's file is read without running anything that it holds."""
