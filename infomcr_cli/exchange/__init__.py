"""Import and export of networks; untrusted files are read without executing anything in them."""
