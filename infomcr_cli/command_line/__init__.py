"""The commands as the command line takes them: arguments, options and their help."""
