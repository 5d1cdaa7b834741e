"""``headwater dataset prove``, ``check-proof``, ``row-digests``, ``row-uses``: is this row in that version?"""

from pathlib import Path

from headwater import datasets, files, references
from headwater.cli.dataset.app import app
from headwater.cli.render import facts, output, table
from headwater.client import Connection
from headwater.datasets import proofs
from headwater.names import DEFAULT_PROJECT
from headwater.tree import digest_text, parse_digest


@app.command(name="row-digests")
def row_digests(source: Path, *, like: str = "", project: str = DEFAULT_PROJECT) -> None:
    """Print the digest of each row of a file.

    Parameters
    ----------
    source
        A file or folder, as for push.
    like
        A version whose column types the rows have, digits@v1.0.0; needed for CSV files, which do not say.
    project
        The project of that version.
    """
    types = None
    if like:
        with Connection.discover() as connection:
            types = datasets.schema(connection, datasets.resolve(connection, like, project=project))
    rows = files.Source(source, types=types)
    for split in rows.splits:
        for batch in rows.batches(split):
            for digest in proofs.row_digests(batch):
                output.print(digest_text(digest))


@app.command(name="row-uses")
def row_uses(name: str, row: str, *, project: str = DEFAULT_PROJECT) -> None:
    """List the versions of a dataset that hold a row.

    Parameters
    ----------
    name
        The dataset.
    row
        The row's digest, sha256:…, as row-digests prints it.
    project
        The project of the dataset.
    """
    with Connection.discover() as connection:
        found = list(proofs.uses(connection, str(references.dataset(name, project)), parse_digest(row, "row")))
    table(
        ("version", "split", "rows", "times"),
        [(use.version, use.split, ", ".join(map(str, use.rows)), f"{use.count:,}") for use in found],
    )
    if not found:
        facts(result="no version of the dataset holds this row")


@app.command
def prove(version: str, row: str, out: Path, *, project: str = DEFAULT_PROJECT) -> None:
    """Write a proof that a row is in a version, or that it is not; anybody can check it without a server.

    Parameters
    ----------
    version
        digits@v1.0.0, or digits for the latest.
    row
        The row's digest, sha256:…, as row-digests prints it.
    out
        The file to write.
    project
        The project of the dataset.
    """
    with Connection.discover() as connection:
        proof = proofs.prove(connection, version, parse_digest(row, "row"), project=project)
    proved = proofs.check_proof(proof)
    out.write_bytes(proof.SerializeToString())
    _show(proved)
    facts(file=out)


@app.command(name="check-proof")
def check_proof(file: Path) -> None:
    """Check a proof, offline. Compare the digest that is printed with the one of the version that you trust."""
    _show(proofs.check_proof(proofs.read_proof(file.read_bytes())))


def _show(proved: proofs.Proved) -> None:
    facts(
        version=proved.version,
        digest=digest_text(proved.version_digest),
        row=digest_text(proved.row_digest),
        result=f"row {proved.row:,} of {proved.split}" if proved.is_present else "the version does not hold this row",
    )
