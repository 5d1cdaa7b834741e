"""What the history refuses, by name."""

from headwater.errors import Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, NotFound

HOW_TO_PUSH = (
    "To have its rows as they are now: headwater dataset checkpoint create DATASET@VERSION NAME --copy --wait,"
    " headwater dataset export DATASET@VERSION FOLDER, headwater dataset push DATASET FOLDER"
)


class CommitNotFound(NotFound):
    """The dataset has no such commit."""

    reason = "COMMIT_NOT_FOUND"
    text = "The dataset has no such commit."


class CommitAmbiguous(InvalidArgument):
    """More than one commit begins with these digits."""

    reason = "COMMIT_AMBIGUOUS"
    text = "More than one commit begins with these digits: give more of them."


class InvalidCommit(InvalidArgument):
    """Not 8 to 64 hex digits."""

    reason = "INVALID_COMMIT"
    text = "A commit is 64 lower-case hex digits, or the first 8 or more of them."


class InvalidReference(InvalidArgument):
    """Neither the name of a version nor that of a commit, a branch or a tag; or of another dataset's."""

    reason = "INVALID_REFERENCE"
    text = "Must name a version, a commit, a branch or a tag of this dataset."


class BranchNotFound(NotFound):
    """The dataset has no such branch."""

    reason = "BRANCH_NOT_FOUND"
    text = "The dataset has no such branch."


class BranchAlreadyExists(AlreadyExists):
    """A branch or a tag has the name, if only in another case."""

    reason = "BRANCH_ALREADY_EXISTS"
    text = "A branch or tag of the dataset has this name already."


class TagNotFound(NotFound):
    """The dataset has no such tag."""

    reason = "TAG_NOT_FOUND"
    text = "The dataset has no such tag."


class TagAlreadyExists(AlreadyExists):
    """A branch or a tag has the name, if only in another case."""

    reason = "TAG_ALREADY_EXISTS"
    text = "A branch or tag of the dataset has this name already."


class NameLooksLikeCommit(InvalidArgument):
    """8 or more hex digits would be mistaken for a commit."""

    reason = "NAME_LOOKS_LIKE_COMMIT"
    text = "A branch or tag must not be named like a commit: with 8 to 64 hex digits and nothing else."


class MainIsPermanent(FailedPrecondition):
    """The branch ``main`` cannot be deleted."""

    reason = "MAIN_IS_PERMANENT"
    text = "The branch main cannot be deleted."


class BranchMoved(Aborted):
    """Somebody else has committed to the branch; the metadata ``head`` names its head now, empty when it is new."""

    reason = "BRANCH_MOVED"
    text = "The branch has moved since: rebase, and commit again."


class CommitHasVersion(AlreadyExists):
    """A commit has one version at most."""

    reason = "COMMIT_HAS_VERSION"
    text = "The commit has a version already."


class VersionArchived(FailedPrecondition):
    """The version was taken out of use."""

    reason = "DATASET_VERSION_ARCHIVED"
    text = "The version is archived: reactivate it, or use another one."


class TransitionNotAllowed(FailedPrecondition):
    """A version in this state cannot come into the wanted one."""

    reason = "VERSION_TRANSITION_NOT_ALLOWED"
    text = "The version cannot come from its state into the wanted one."


class BaseHasNoRows(FailedPrecondition):
    """The commit's rows are somewhere else, so that none of its splits can be taken over."""

    reason = "BASE_HAS_NO_ROWS"
    text = f"The branch's head is a place, not rows: there are no splits to inherit. {HOW_TO_PUSH}"


class InvalidDataflow(InvalidArgument):
    """The recorded transformation is not JSON."""

    reason = "INVALID_DATAFLOW"
    text = "spec_json must be one JSON value."
