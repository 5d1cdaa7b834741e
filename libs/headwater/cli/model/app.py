"""The application that the commands of ``headwater model`` register with."""

import cyclopts

app = cyclopts.App(name="model", help="Registered models: versions, stages, aliases, objectives.")
