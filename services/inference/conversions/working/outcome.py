"""What comes of a job's work."""

import dataclasses

from services.inference.conversions.evidence import Evidence


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """Evidence, and either a file or the reason why there is none. A tuning may have neither: the source is the best.

    Attributes:
        format: of the file, as the registry recognises it.
        parity: the parity record of what was made; empty where the source has none.
    """

    evidence: Evidence | None
    model: bytes = b""
    format: str = ""
    parity: bytes = b""
    failure_reason: str = ""
    failure: str = ""
