"""What is done when a pack turns out to be damaged: its chunks count as not stored.

So whoever has the rows can put them again, which heals every version that has them.
"""

import structlog

from headwater.errors import HeadwaterError
from services.dataset.store import Store

_log = structlog.get_logger(__name__)


async def note_damage(store: Store, pack: str) -> None:
    """Note it in the catalogue. That this fails is not what the reader needs to know; the next one tries again."""
    _log.error("pack is damaged", pack=pack)
    try:
        async with store.transaction() as tx:
            await tx.note_damage(pack)
    except HeadwaterError as error:
        _log.warning("damage not noted", pack=pack, reason=error.reason)
