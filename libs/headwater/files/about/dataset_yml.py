"""dataset.yml, as MLSpec 0.0.1 has it. docs/reference/formats.md has every field.

Every scalar is a text here, and says by its field what it means, so that a version 1.10 is not the number 1.1. Aliases,
anchors, tags and directives are refused: a few lines of them can stand for any amount of memory, or for code.
"""

from typing import Any, Final

from headwater import marked_yaml
from headwater.files.about.fields import Fields, moment
from headwater.files.about.metadata_json import told
from headwater.files.about.model import About, Described, DocumentInvalid
from headwater.names import check_segment, check_version

NAMES = ("dataset.yml", "dataset.yaml")
ML_SPEC_VERSION = "0.0.1"
STATES = ("active", "deprecated", "archived")
_NOTHING = ("None", "null", "~", "")
_MAX_TAGS = 64
# A document nests no deeper than a tag in the list of tags.
_LIMITS: Final = marked_yaml.Limits(max_characters=2**22, max_depth=4, max_values=5_000)


def parse(content: bytes, name: str = NAMES[0]) -> About:
    """What the document says.

    Raises:
        DocumentInvalid: naming the field that is unknown, malformed, or contradicts another.
        YamlMissing: see :mod:`headwater.marked_yaml`.
    """
    fields = Fields(_load(content, name), name)
    _check_one_of(fields, "mlSpecVersion", (ML_SPEC_VERSION,))
    known = {key: fields.text(key, max_length=4096) for key in ("id", "location")}
    description = fields.text("description")
    known["dateGenerated"] = fields.text("dateGenerated", moment)
    deprecated = _check_one_of(fields, "isDeprecated", ("true", "false"))
    if _check_one_of(fields, "isReadOnly", ("true", "false")) == "false":
        fields.fail("isReadOnly", "is false, and a version can never be written to")
    visible = _check_one_of(fields, "isVisible", ("true", "false"))
    dataset = fields.text("name", lambda text: check_segment(text, "name"))
    known |= {key: fields.text(key, max_length=4096) for key in ("preview", "profile")}
    state = _check_one_of(fields, "state", STATES)
    if deprecated and state and (deprecated == "true") != (state == "deprecated"):
        fields.fail("isDeprecated", f"is {deprecated}, and state {state}")
    tags = _tags(fields)
    version = fields.text("version", lambda text: check_version(text if text.startswith("v") else f"v{text}"))
    known["versionedBy"] = fields.text("versionedBy", max_length=4096)
    known["versionedOn"] = fields.text("versionedOn", moment)
    notes = fields.text("versionNotes")
    fields.done()
    said = told(name, {key: value for key, value in known.items() if value not in _NOTHING and key != "location"})
    return About(
        document=name,
        dataset=dataset,
        version=version,
        description=description,
        message="\n\n".join(part for part in (notes if notes not in _NOTHING else "", said) if part),
        source=known["location"],
        tags=tags,
        is_hidden=None if not visible else visible == "false",
        state=state or ("deprecated" if deprecated == "true" else ""),
    )


def text(described: Described) -> str:
    """The document of a stored version."""
    name = f"{described.dataset}@{described.version}"
    document = {
        "mlSpecVersion": ML_SPEC_VERSION,
        "id": described.uid,
        "location": f"s3://datasets/{described.dataset}/{described.version}/",
        "description": described.description,
        "dateGenerated": described.created_at,
        "isDeprecated": described.state == "deprecated",
        "isReadOnly": True,
        "isVisible": not described.is_hidden,
        "name": described.dataset,
        "preview": f"headwater dataset show {name}",
        "profile": described.profile,
        "state": described.state,
        "tags": [{"key": key, "value": value} for key, value in sorted(described.tags.items())],
        "version": described.version.removeprefix("v"),
        "versionedBy": described.author,
        "versionedOn": described.created_at,
        "versionNotes": described.message,
    }
    written: str = marked_yaml.pyyaml().safe_dump(document, sort_keys=False, allow_unicode=True, width=10_000)
    return written


def _check_one_of(fields: Fields, name: str, known: tuple[str, ...]) -> str:
    value = fields.text(name)
    if value and value.lower() not in known:
        fields.fail(name, f"is {value[:100]!r} and must be {' or '.join(known)}")
    return value.lower()


def _tags(fields: Fields) -> dict[str, str]:
    tags: dict[str, str] = {}
    listed = fields.objects("tags")
    if len(listed) > _MAX_TAGS:
        fields.fail("tags", f"has {len(listed)} entries; at most {_MAX_TAGS}")
    for tag in listed:
        key, value = tag.text("key", max_length=255), tag.text("value", max_length=4096)
        tag.done()
        if not key or key in tags:
            tag.fail("key", "is missing" if not key else f"is {key!r}, which is there twice")
        tags[key] = value
    return tags


def _load(content: bytes, name: str) -> Any:
    try:
        return marked_yaml.compose(content, _LIMITS).texts()
    except marked_yaml.YamlFault as fault:
        raise DocumentInvalid(f"{name}, line {fault.line}: {fault.problem}.", line=fault.line) from fault
