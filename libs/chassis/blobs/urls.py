"""From a setting to a blob store."""

from chassis.blobs.protocol import Blobs


def blobs_from_url(url: str) -> Blobs:
    """The store that ``url`` names: ``file:///abs/dir``, ``memory://``, ``s3://bucket/prefix``, ``gs://…`` or ``az://…``.

    Credentials for object stores come from their usual environment variables.

    Raises:
        InvalidArgument: the URL is none of these.
    """
    raise NotImplementedError
