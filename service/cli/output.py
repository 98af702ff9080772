"""The one console the command line prints to."""

from rich.console import Console

console = Console(highlight=False)
