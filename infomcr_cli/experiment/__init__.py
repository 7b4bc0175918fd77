"""A run's configuration and data set become its network and its initial weights."""
