"""The arguments, options and help of each command.

A command imports what it runs in its own body, so that help, completion and wrong arguments need no TensorFlow.
"""
