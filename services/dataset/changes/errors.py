"""What changes are refused for, by name."""

from headwater.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted
from services.dataset.history.errors import HOW_TO_PUSH


class MergeConflict(FailedPrecondition):
    """Both sides changed the same rows; the metadata says how many of which split."""

    reason = "MERGE_CONFLICT"
    text = "Both sides changed the same rows."


class NoRowsOfItsOwn(FailedPrecondition):
    """A version says where its rows are; a copy of them belongs to a checkpoint, and is read only."""

    reason = "NO_ROWS_OF_ITS_OWN"
    text = f"Only rows that were pushed are compared, merged and changed, and this version is a place. {HOW_TO_PUSH}"


class MergeTooLarge(ResourceExhausted):
    """More rows differ than can be merged one by one."""

    reason = "MERGE_TOO_LARGE"
    text = "One side changed too many rows of a split to merge them: push the rows as they should be."


class TooManyComparisons(ResourceExhausted):
    """As many comparisons and merges as the service does at once are under way."""

    reason = "TOO_MANY_COMPARISONS"
    text = "Too many comparisons and merges are under way."


class SplitChanged(Aborted):
    """Somebody else has changed the same split of the same upload in the meantime; nothing has come of this change."""

    reason = "SPLIT_CHANGED"
    text = "The split was changed at the same time: send one change after the other."


class CannotRevert(FailedPrecondition):
    """A merge has two commits before it, the first commit none: there is no one state to go back to."""

    reason = "CANNOT_REVERT"
    text = "Only a commit with one parent can be reverted."


class NotInherited(FailedPrecondition):
    """Rows can be changed only in an upload that begins with those of its branch."""

    reason = "UPLOAD_INHERITS_NOTHING"
    text = "Open the upload with `inherit` to change rows."


class SplitNotInUpload(NotFound):
    """Neither the upload nor its base has such a split."""

    reason = "SPLIT_NOT_FOUND"
    text = "The upload has no such split: put it instead of changing it."


class ColumnsDiffer(InvalidArgument):
    """The rows do not have the columns of the split that they are to go into."""

    reason = "COLUMNS_DIFFER"
    text = "The rows must have the columns of the split, in its order and of its types."


class NoKeyColumns(FailedPrecondition):
    """Rows cannot be known by key."""

    reason = "NO_KEY_COLUMNS"
    text = "The dataset has no key columns: set them, or change rows by their place."


class KeyIsNull(InvalidArgument):
    """A row without a key cannot be found by it."""

    reason = "KEY_IS_NULL"
    text = "A value of a key column is null."


class KeyNotUnique(InvalidArgument):
    """Two rows have one key."""

    reason = "KEY_NOT_UNIQUE"
    text = "Two rows have the same key."


class KeyNotFound(NotFound):
    """No row has this key."""

    reason = "KEY_NOT_FOUND"
    text = "No row has this key."


class KeyTypeUnsupported(InvalidArgument):
    """Floats are not keys, as they need not equal themselves; lists, structs and the like cannot be looked up."""

    reason = "KEY_TYPE_UNSUPPORTED"
    text = "A key column must hold integers, booleans, texts, bytes, decimals, dates or times."


class TooManyKeys(ResourceExhausted):
    """More rows than are looked up at once."""

    reason = "TOO_MANY_KEYS"
    text = "Too many rows at once: change them in several streams, or put the split anew."
