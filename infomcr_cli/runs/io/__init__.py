"""Safe reading and writing of files that a stranger may have made."""
