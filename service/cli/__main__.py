"""`python -m service.cli`: the program `hrm-arc` without its script."""

from service.cli.main import main

main()
