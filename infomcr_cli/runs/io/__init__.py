"""Safe reading and writing of files that anyone may have made."""
