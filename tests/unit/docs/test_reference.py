"""docs/reference says what the code says."""

import importlib
import pkgutil
import re
from collections.abc import Iterator

from google.protobuf.descriptor import ServiceDescriptor

from deploy.local.programs import PROGRAMS
from headwater import names
from headwater.auth.v1 import auth_pb2
from headwater.client import Endpoints
from tests.unit.docs.documents import ROOT

AREAS = ("registry", "dataset", "preprocessing", "training", "inference")
ROLES = ("ROLE_READER", "ROLE_WRITER", "ROLE_APPROVER", "ROLE_ADMIN")


def _table(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its first two lines."""
    text = (ROOT / "docs/reference/README.md").read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def _services() -> Iterator[ServiceDescriptor]:
    for area in AREAS:
        package = importlib.import_module(f"headwater.{area}.v1")
        for module in pkgutil.iter_modules(package.__path__):
            if module.name.endswith("_pb2"):
                loaded = importlib.import_module(f"{package.__name__}.{module.name}")
                yield from loaded.DESCRIPTOR.services_by_name.values()


def test_the_ports() -> None:
    documented = {row[1].strip("`"): sorted(map(int, re.findall(r"\d{4,}", " ".join(row)))) for row in _table("Ports")}
    assert documented == {program.module: sorted(program.ports.values()) for program in PROGRAMS}


def test_the_names() -> None:
    kinds = [kind for kind in vars(names).values() if isinstance(kind, type) and issubclass(kind, names.ResourceName)]
    assert [row[0].strip("`") for row in _table("Names")] == [
        kind.pattern for kind in kinds if kind is not names.ResourceName
    ]


def test_the_roles() -> None:
    documented = {
        (row[0].strip("`"), method): role
        for row in _table("Roles")
        for role, cell in zip(ROLES, row[1:], strict=True)
        for method in cell.split(", ")
        if method != "–"
    }
    declared = {
        (service.full_name, method.name): auth_pb2.Role.Name(method.GetOptions().Extensions[auth_pb2.role])
        for service in _services()
        for method in service.methods
    }
    assert documented == declared


def test_the_variables_of_a_client() -> None:
    documented = set(re.findall(r"HEADWATER_\w+", str(_table("Environment of a client"))))
    places = {
        variable for variable in documented if Endpoints.from_environment({variable: "elsewhere:1"}) != Endpoints()
    }
    assert places == documented - {"HEADWATER_HOME", "HEADWATER_TOKEN"}
    assert len(places) == len(Endpoints.__dataclass_fields__)
