"""The pages of the site of documents that are made from the program: commands, settings, Python API."""
