"""The application that the commands of ``headwater run`` register with."""

import cyclopts

app = cyclopts.App(name="run", help="Runs: what executed, what it was given and what it measured.")
