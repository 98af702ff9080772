"""`python -m service.cli`: the program, where its script is not at hand."""

from service.cli.main import main

main()
