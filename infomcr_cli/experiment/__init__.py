"""What training and measures both need of a run: its settings, its network and its initial weights."""
