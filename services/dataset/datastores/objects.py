"""Object stores as datastores: S3, Google Cloud Storage and Azure, by obstore, through a gate.

A store gets the datastore's credentials or none at all. What the service's own environment holds (keys, tokens, a
metadata server, other endpoints) is for its own blobs, and is never lent to a place that a user has named: whatever
obstore would take from there is given here.
"""

import contextlib
import dataclasses
import datetime
import json
import re
import urllib.parse
from collections.abc import Iterator
from typing import Any

from obstore.exceptions import (
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import AzureStore, GCSStore, ObjectStore, S3Store

from services.dataset.datastores.allowed import Allowed, host_name
from services.dataset.datastores.errors import (
    DataPathChanged,
    DataPathNotFound,
    InvalidCredentials,
    InvalidPlace,
    PlaceNotAllowed,
    PlaceRefuses,
    PlaceUnreachable,
)
from services.dataset.datastores.gate import Gate
from services.dataset.datastores.model import AzureContainer, GcsBucket, S3Bucket
from services.dataset.datastores.sealing import Credentials

Bucket = S3Bucket | GcsBucket | AzureContainer

_GCS_HOST = "storage.googleapis.com"
_SERVICE_ACCOUNT = ("type", "client_email", "private_key", "private_key_id")
"""The only fields that are used of a service account's file; others would say where else to go."""
_PATH = re.compile(r"(/[A-Za-z0-9_][A-Za-z0-9._-]*)*/?", re.ASCII)
_RETRIES = {"max_retries": 3, "retry_timeout": datetime.timedelta(seconds=60)}


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a bucket is."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def url(self) -> str:
        """As it is given to a client."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = {"https": 443, "http": 80}[self.scheme]
        return f"{self.scheme}://{host}{'' if self.port == default else f':{self.port}'}{self.path}"


def endpoint_of(place: Bucket) -> Endpoint:
    """Where the bucket is, or InvalidPlace."""
    if isinstance(place, GcsBucket):
        return Endpoint("https", _GCS_HOST, 443)
    if place.endpoint:
        return _parse(place.endpoint, f"{place.kind}.endpoint")
    if isinstance(place, S3Bucket):
        return Endpoint("https", f"s3.{place.region or 'us-east-1'}.amazonaws.com", 443)
    return Endpoint("https", f"{place.account}.blob.core.windows.net", 443)


def check_endpoint(place: Bucket, allowed: Allowed) -> Endpoint:
    """Where the bucket is, if that is allowed, whatever its name leads to; or InvalidPlace, PlaceNotAllowed."""
    endpoint = endpoint_of(place)
    rule = allowed.rule(endpoint.host, endpoint.port)
    if endpoint.scheme == "http" and not rule.networks:
        raise PlaceNotAllowed(
            "Without TLS only hosts can be read that are listed with their address.",
            setting="HEADWATER_DATASTORE_HOSTS",
            host=endpoint.host,
        )
    return endpoint


def check_credentials(place: Bucket, credentials: Credentials) -> None:
    """Go on if the bucket can be read with these credentials, as far as can be seen; or InvalidCredentials."""
    given = credentials.values.keys()
    if isinstance(place, S3Bucket) and given and not {"access_key_id", "secret_access_key"} <= given:
        raise InvalidCredentials("S3 needs access_key_id and secret_access_key, both or none.")
    if isinstance(place, AzureContainer) and len(given) > 1:
        raise InvalidCredentials("Azure takes account_key or sas_token, not both.")
    if isinstance(place, GcsBucket) and given:
        _service_account(credentials)


@contextlib.contextmanager
def open_bucket(place: Bucket, credentials: Credentials, allowed: Allowed) -> Iterator[ObjectStore]:
    """The bucket below its prefix, for reading; blocks. Nothing is asked of it yet.

    Raises:
        PlaceNotAllowed, InvalidPlace, InvalidCredentials
    """
    endpoint = check_endpoint(place, allowed)
    with Gate({(endpoint.host, endpoint.port)}, allowed.resolve) as gate:
        options: dict[str, Any] = {
            "proxy_url": gate.url,
            "proxy_excludes": "",
            "allow_http": endpoint.scheme == "http",
            "connect_timeout": "10s",
            "timeout": "30m",
            "read_timeout": "60s",
        }
        try:
            yield _store(place, credentials, endpoint, options)
        except PlaceUnreachable:
            if gate.refusal is not None:
                raise gate.refusal from None
            raise


@contextlib.contextmanager
def told(path: str = "") -> Iterator[None]:
    """What the store says as an error of ours; its own words may hold signed addresses, and are dropped."""
    try:
        yield
    except (NotFoundError, FileNotFoundError):
        raise DataPathNotFound(path=path) from None
    except PreconditionError:
        raise DataPathChanged(path=path) from None
    except (PermissionDeniedError, UnauthenticatedError):
        raise PlaceRefuses() from None
    except (BaseError, OSError):
        raise PlaceUnreachable(retry_after_ms=1000) from None


def _store(place: Bucket, credentials: Credentials, endpoint: Endpoint, options: Any) -> ObjectStore:
    prefix = place.prefix.rstrip("/") or None
    common: Any = {"prefix": prefix, "client_options": options, "retry_config": _RETRIES}
    if isinstance(place, S3Bucket):
        return _s3(place, credentials, endpoint, common)
    if isinstance(place, GcsBucket):
        return _gcs(place, credentials, endpoint, common)
    return _azure(place, credentials, endpoint, common)


def _s3(place: S3Bucket, credentials: Credentials, endpoint: Endpoint, common: Any) -> ObjectStore:
    config: Any = {
        "endpoint": endpoint.url,
        "region": place.region or "us-east-1",
        "virtual_hosted_style_request": False,
        "s3_express": False,
        "skip_signature": not credentials.values,
    }
    keys: Any = {
        "access_key_id": credentials.get("access_key_id"),
        "secret_access_key": credentials.get("secret_access_key"),
        "token": credentials.get("session_token") or None,
        "expires_at": None,
    }
    provider = (lambda: keys) if credentials.values else None
    return S3Store(place.bucket, config=config, credential_provider=provider, **common)


def _gcs(place: GcsBucket, credentials: Credentials, endpoint: Endpoint, common: Any) -> ObjectStore:
    config: Any = {"base_url": endpoint.url, "skip_signature": not credentials.values}
    if credentials.values:
        config["service_account_key"] = json.dumps(_service_account(credentials))
    return GCSStore(place.bucket, config=config, **common)


def _azure(place: AzureContainer, credentials: Credentials, endpoint: Endpoint, common: Any) -> ObjectStore:
    config: Any = {
        "account_name": place.account,
        "endpoint": endpoint.url,
        "use_emulator": False,
        "skip_signature": not credentials.values,
    }
    provider: Any = None
    if key := credentials.get("account_key"):
        provider = lambda: {"access_key": key, "expires_at": None}  # noqa: E731
    elif token := credentials.get("sas_token"):
        provider = lambda: {"sas_token": token.removeprefix("?"), "expires_at": None}  # noqa: E731
    return AzureStore(place.container, config=config, credential_provider=provider, **common)


def _service_account(credentials: Credentials) -> dict[str, str]:
    try:
        document = json.loads(credentials.get("service_account_json"))
        return {field: str(document[field]) for field in _SERVICE_ACCOUNT}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InvalidCredentials("service_account_json is not the file of a service account's key.") from None


def _parse(text: str, field: str) -> Endpoint:
    try:
        parts = urllib.parse.urlsplit(text)
        port = parts.port
    except ValueError:
        raise InvalidPlace(field=field) from None
    if parts.scheme not in ("https", "http") or parts.username is not None or parts.password is not None:
        raise InvalidPlace("An endpoint is an https:// or http:// URL without a user.", field=field)
    if parts.query or parts.fragment or not _PATH.fullmatch(parts.path) or not parts.hostname:
        raise InvalidPlace("An endpoint has a host and perhaps a port and a path, nothing else.", field=field)
    host = host_name(parts.hostname, field)
    return Endpoint(parts.scheme, host, port or (443 if parts.scheme == "https" else 80), parts.path.rstrip("/"))
