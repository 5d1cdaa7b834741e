"""The application that the commands of ``headwater dataset`` register with."""

import cyclopts

app = cyclopts.App(name="dataset", help="Datasets: versioned rows with a digest.")
