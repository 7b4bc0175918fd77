"""The configuration of a run: its schema, its composition from YAML and the command line, and its identity."""
