"""The pages: Jinja templates, with what a caller wrote always escaped."""

from pathlib import Path
from typing import Final

import jinja2
from starlette.responses import HTMLResponse

from headwater.artifact.v1 import artifact_pb2
from headwater.datasets import figures

_Format = artifact_pb2.ModelFile.Format


def _format_name(value: artifact_pb2.ModelFile.Format.ValueType) -> str:
    """``safetensors``; of a registry of a later release, perhaps only its number."""
    name = _Format.Name(value) if value in _Format.values() else str(value)
    return name.removeprefix("FORMAT_").lower().replace("_", " ").replace("unspecified", "not recognised")


_TEMPLATES: Final = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
)
_TEMPLATES.filters.update(
    last=lambda name: name.rpartition("/")[2],
    digits=lambda commit: commit.rpartition("/")[2][:12],
    number=figures.number,
    signed=lambda value: f"{'+' if value > 0 else ''}{figures.number(value)}",
    share=figures.share,
    size=figures.size,
    when=lambda time: f"{time.ToDatetime():%Y-%m-%d %H:%M}",
    moment=lambda time: f"{time.ToDatetime():%Y-%m-%d %H:%M:%S.%f}"[:-3],
    state=lambda name: name.partition("_")[2].lower(),
    format_name=_format_name,
    shape=lambda sizes: " × ".join("any" if size == -1 else str(size) for size in sizes) or "one number",
)
HEADERS: Final = {
    # Nothing of another origin is loaded, and nothing inline runs: a name that looks like a script stays a name.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def page(template: str, status: int = 200, **values: object) -> HTMLResponse:
    """The template with these values."""
    return HTMLResponse(_TEMPLATES.get_template(template).render(values), status, HEADERS)
