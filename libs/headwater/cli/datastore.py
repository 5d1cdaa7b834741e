"""``headwater datastore``: places outside Headwater that rows are read from.

Credentials come from the environment or standard input, never from the command line, which everybody on a machine can
read.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated

import cyclopts

from headwater.cli.render import facts, table
from headwater.client import Connection
from headwater.dataset.v1 import datastores_pb2
from headwater.datasets import datastores
from headwater.errors import InvalidArgument
from headwater.names import DEFAULT_PROJECT

app = cyclopts.App(name="datastore", help="Datastores: folders, buckets and databases that rows are read from.")

_DIALECTS = {
    "postgresql": datastores_pb2.SqlDatabase.DIALECT_POSTGRESQL,
    "sqlite": datastores_pb2.SqlDatabase.DIALECT_SQLITE,
}
_Credentials = Annotated[tuple[str, ...], cyclopts.Parameter(name="--credential", negative="")]


@app.command
def create(
    name: str,
    *,
    folder: str = "",
    s3: str = "",
    gcs: str = "",
    azure: str = "",
    postgresql: str = "",
    sqlite: str = "",
    prefix: str = "",
    region: str = "",
    endpoint: str = "",
    credential: _Credentials = (),
    credentials_stdin: Annotated[bool, cyclopts.Parameter(negative="")] = False,
    display_name: str = "",
    project: str = DEFAULT_PROJECT,
) -> None:
    """Create a datastore. Say one place; the service's settings must list it.

    Parameters
    ----------
    name
        The name of the datastore.
    folder
        A folder of the machine that the dataset service runs on.
    s3
        A bucket. Credentials: access_key_id, secret_access_key, session_token.
    gcs
        A bucket of Google Cloud Storage. Credentials: service_account_json.
    azure
        ACCOUNT/CONTAINER of Azure Blob Storage. Credentials: account_key or sas_token.
    postgresql
        HOST[:PORT]/DATABASE. Credentials: username, password.
    sqlite
        A file of the machine that the dataset service runs on.
    prefix
        Everything is below this in the bucket or container.
    region
        The region of an S3 bucket.
    endpoint
        The URL of another service that speaks S3, or of an Azure emulator.
    credential
        NAME=VARIABLE: the credential NAME is the value of the environment variable VARIABLE. May be given many times.
    credentials_stdin
        Read credentials from standard input: a JSON object, or lines of NAME=VALUE.
    display_name
        A name for people.
    project
        The project of the datastore.
    """
    given = {"folder": folder, "s3": s3, "gcs": gcs, "azure": azure, "postgresql": postgresql, "sqlite": sqlite}
    chosen = {kind: text for kind, text in given.items() if text}
    if len(chosen) != 1:
        raise InvalidArgument(f"Say one place: {', '.join('--' + kind for kind in given)}.", field="place")
    ((kind, text),) = chosen.items()
    place = _place(kind, text, prefix, region, endpoint)
    with Connection.discover() as connection:
        made = datastores.create(
            connection,
            name,
            place,
            credentials=_credentials(credential, from_stdin=credentials_stdin),
            display_name=display_name,
            project=project,
        )
    _show(made)


@app.command(name="list")
def list_(*, archived: bool = False, project: str = DEFAULT_PROJECT) -> None:
    """List the datastores of a project; with --archived also those that are out of use."""
    with Connection.discover() as connection:
        found = list(datastores.list_datastores(connection, project=project, show_archived=archived))
    table(
        ("datastore", "kind", "place", "credentials", ""),
        [
            (
                each.name.rpartition("/")[2],
                each.WhichOneof("place"),
                _place_text(each),
                ", ".join(each.credential_names),
                "archived" if each.state == datastores_pb2.Datastore.STATE_ARCHIVED else "",
            )
            for each in found
        ],
    )


@app.command
def show(name: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Show one datastore; an archived one by its uid."""
    with Connection.discover() as connection:
        _show(datastores.get(connection, name, project=project))


@app.command
def rename(name: str, new: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Give a datastore another name. Versions that refer to it go on to do so."""
    with Connection.discover() as connection:
        _show(datastores.rename(connection, name, new, project=project))


@app.command
def credentials(
    name: str,
    *,
    credential: _Credentials = (),
    credentials_stdin: Annotated[bool, cyclopts.Parameter(negative="")] = False,
    remove: bool = False,
    project: str = DEFAULT_PROJECT,
) -> None:
    """Replace the credentials of a datastore.

    Parameters
    ----------
    name
        The name of the datastore.
    credential
        NAME=VARIABLE: the credential NAME is the value of the environment variable VARIABLE. May be given many times.
    credentials_stdin
        Read credentials from standard input: a JSON object, or lines of NAME=VALUE.
    remove
        Remove them, and give none.
    project
        The project of the datastore.
    """
    values = _credentials(credential, from_stdin=credentials_stdin)
    if bool(values) is remove:
        raise InvalidArgument("Give credentials, or --remove.", field="credentials")
    with Connection.discover() as connection:
        _show(datastores.set_credentials(connection, name, values, project=project))


@app.command
def archive(name: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Take a datastore out of use. Its name is free, and its credentials are gone."""
    with Connection.discover() as connection:
        _show(datastores.archive(connection, name, project=project))


@app.command
def check(name: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Try to reach the place with the credentials."""
    with Connection.discover() as connection:
        taken_ms = datastores.check(connection, name, project=project)
    facts(datastore=name, result=f"reached in {taken_ms} ms")


def _place(kind: str, text: str, prefix: str, region: str, endpoint: str) -> datastores.Place:
    used = {"s3": {"prefix", "region", "endpoint"}, "gcs": {"prefix"}, "azure": {"prefix", "endpoint"}}
    given = {"prefix": prefix, "region": region, "endpoint": endpoint}
    for option, value in given.items():
        if value and option not in used.get(kind, set()):
            raise InvalidArgument(f"--{option} is not for --{kind}.", field=option)
    if kind == "folder":
        return datastores_pb2.LocalFolder(path=text)
    if kind == "s3":
        return datastores_pb2.S3Bucket(bucket=text, prefix=prefix, region=region, endpoint=endpoint)
    if kind == "gcs":
        return datastores_pb2.GcsBucket(bucket=text, prefix=prefix)
    if kind == "azure":
        account, _, container = text.partition("/")
        return datastores_pb2.AzureContainer(account=account, container=container, prefix=prefix, endpoint=endpoint)
    if kind == "sqlite":
        return datastores_pb2.SqlDatabase(dialect=_DIALECTS[kind], database=text)
    place, _, database = text.partition("/")
    host, port = place, ""
    if ":" in place.rpartition("]")[2]:
        host, _, port = place.rpartition(":")
    if not database or (port and not port.isdecimal()):
        raise InvalidArgument("A PostgreSQL database must look like HOST[:PORT]/DATABASE.", field="postgresql")
    return datastores_pb2.SqlDatabase(dialect=_DIALECTS[kind], host=host, port=int(port or 0), database=database)


def _credentials(variables: Sequence[str], *, from_stdin: bool) -> dict[str, str]:
    values: dict[str, str] = dict(_parse(sys.stdin.read())) if from_stdin else {}
    for given in variables:
        name, equals, variable = given.partition("=")
        if not equals:
            # Not repeated: it may be a secret that somebody took for what belongs here.
            raise InvalidArgument("A credential must look like NAME=VARIABLE.", field="credential")
        if variable not in os.environ:
            raise InvalidArgument(f"The environment variable for {name} is not set.", field="credential")
        values[name] = os.environ[variable]
    return values


def _parse(text: str) -> Mapping[str, str]:
    if text.lstrip().startswith("{"):
        try:
            document = json.loads(text)
        except ValueError:
            raise InvalidArgument("Standard input is not a JSON object.", field="credentials") from None
        return {str(name): value if isinstance(value, str) else json.dumps(value) for name, value in document.items()}
    values = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, equals, value = line.partition("=")
        if not equals:
            raise InvalidArgument("Lines of standard input must look like NAME=VALUE.", field="credentials")
        values[name.strip()] = value.strip()
    return values


def _show(datastore: datastores_pb2.Datastore) -> None:
    facts(
        datastore=datastore.name,
        uid=datastore.uid,
        kind=datastore.WhichOneof("place"),
        place=_place_text(datastore),
        credentials=", ".join(datastore.credential_names),
        display_name=datastore.display_name,
        state="archived" if datastore.state == datastores_pb2.Datastore.STATE_ARCHIVED else "",
    )


def _place_text(datastore: datastores_pb2.Datastore) -> str:
    kind = datastore.WhichOneof("place")
    if kind == "local":
        return datastore.local.path
    if kind == "s3":
        return f"{datastore.s3.endpoint or 's3:/'}/{datastore.s3.bucket}/{datastore.s3.prefix}"
    if kind == "gcs":
        return f"gs://{datastore.gcs.bucket}/{datastore.gcs.prefix}"
    if kind == "azure":
        return f"{datastore.azure.account}/{datastore.azure.container}/{datastore.azure.prefix}"
    sql = datastore.sql
    return f"{sql.host}{f':{sql.port}' if sql.port else ''}/{sql.database}" if sql.host else sql.database
