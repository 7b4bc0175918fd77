"""Networks from other programs and for them: an untrusted file is read without running anything in it."""
