"""`python -m bench`: measure this machine, and make what the measurements need."""

import sys

if __name__ == "__main__":
    if sys.argv[1:2] == ["tune"]:  # on hosts that have not got what the other commands need
        from bench.tune.command import main

        sys.exit(main(sys.argv[2:]))
    from bench.commands import app

    app(prog_name="python -m bench")
