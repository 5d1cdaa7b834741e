"""Where PostgreSQL's programs and data are while this process is root.

PostgreSQL refuses to run as root and runs as another user, who may not enter root's closed directories: /root, or a
temporary directory of mode 700. What that user needs is then below /var/lib/headwater; nobody's directory is opened.
"""

import contextlib
import importlib.metadata
import importlib.util
import pwd
import shutil
import stat
import tempfile
from pathlib import Path

SHARED = Path("/var/lib/headwater")


def closed_parent(path: Path, account: pwd.struct_passwd) -> Path | None:
    """The directory on the way to ``path`` that ``account`` may not enter; None if it may enter all."""
    for parent in path.resolve().parents:
        if not parent.is_dir():
            continue
        status = parent.stat()
        allowed = stat.S_IXUSR if status.st_uid == account.pw_uid else stat.S_IXOTH
        if not status.st_mode & allowed:
            return parent
    return None


def settle(directory: Path, account: pwd.struct_passwd | None) -> None:
    """See to it that ``account`` can reach ``directory``: where it cannot, make it a link to a new one that it can."""
    if account is None or directory.exists() or closed_parent(directory, account) is None:
        return
    _make_shared()
    directory.parent.mkdir(parents=True, exist_ok=True)
    directory.unlink(missing_ok=True)  # a link whose directory was removed
    directory.symlink_to(tempfile.mkdtemp(prefix="postgres-", dir=SHARED))


def programs(package: str, folder: Path, account: pwd.struct_passwd | None) -> Path:
    """``folder``, two levels below where packages are installed, or a copy of it that ``account`` can reach.

    The copy is made once for each version of the wheel ``package``, with the libraries that the wheel keeps in
    ``<module>.libs`` beside its module: programs find them by their place relative to their own.
    """
    if account is None or closed_parent(folder / "bin", account) is None:
        return folder
    module = folder.parent
    copy = SHARED / f"{package}-{importlib.metadata.version(package)}"
    if not copy.exists():
        _make_shared()
        unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=SHARED))
        shutil.copytree(folder, unfinished / module.name / folder.name)
        libraries = module.with_name(f"{module.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, unfinished / libraries.name)
        unfinished.chmod(0o755)
        with contextlib.suppress(OSError):  # another process was faster; its copy is the same
            unfinished.rename(copy)
        shutil.rmtree(unfinished, ignore_errors=True)
    return copy / module.name / folder.name


def _make_shared() -> None:
    SHARED.mkdir(parents=True, exist_ok=True)
    SHARED.chmod(0o711)
