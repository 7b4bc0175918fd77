"""The former place of `cli`."""

from cli import Answer as Answer
from cli import CommandLine as CommandLine
