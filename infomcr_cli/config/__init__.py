"""What a run is: its schema, its composition from YAML and the command line, and its identity."""
