"""The passwords of the containers: made once, at random, readable by their owner only."""

import secrets
from pathlib import Path

from deploy.files import write_secret


def ensure_passwords(folder: Path) -> None:
    """Writes what docker-compose.yml names as env_file, unless it is there: a new password would fit no old volume."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if (folder / "services.env").exists():
        return
    database, redis = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    write_secret(
        folder / "postgres.env", f"POSTGRES_USER=headwater\nPOSTGRES_DB=headwater\nPOSTGRES_PASSWORD={database}\n"
    )
    write_secret(folder / "redis.env", f"REDISCLI_AUTH={redis}\n")
    write_secret(  # last, because its presence says that all three are there
        folder / "services.env",
        f"HEADWATER_DATABASE_URL=postgresql://headwater:{database}@postgres:5432/headwater\n"
        f"HEADWATER_REDIS_URL=redis://:{redis}@redis:6379/0\n",
    )
