"""The arguments, options and help of each command."""
