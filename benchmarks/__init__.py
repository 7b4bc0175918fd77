"""What is fast, against what; each file says its command and what it expects."""
