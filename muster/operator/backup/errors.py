"""What can be wrong with a backup, or with where it shall go.

BackupError
├── NoStack         no stack of that name, or one that does not say where its tables are
├── NoBackup        the folder holds none
├── OtherStack      the folder holds another stack's
├── UnknownRow      this release does not know what a row is, so nobody can say whether the copy would be whole
├── DoesNotHold     something is named that is not there, or is not what its name says
├── Unsteady        a model changed all the time
├── NotEmpty        there is something where a backup shall be restored
└── OtherRestore    another backup is being restored there
"""

from __future__ import annotations

from muster.operator.private import FilesDiffer


class BackupError(Exception):
    """Anything of these."""


class NoStack(BackupError):
    """Nobody knows where the tables and the bucket are."""


class NoBackup(BackupError):
    """The folder holds no backup that was finished."""


class OtherStack(BackupError):
    """The folder is not empty, and what is in it is not this stack's backup."""


class UnknownRow(BackupError):
    """A row is of a kind that this release does not know."""


class DoesNotHold(BackupError):
    """Something that is named is not there, or is not what its name says."""


class Unsteady(BackupError):
    """A model was never still for long enough."""


class NotEmpty(BackupError):
    """A table or the bucket of the target has something in it; nothing was written."""


class OtherRestore(BackupError):
    """Another backup was begun to be restored into the target; nothing was written."""


class NotAsBackedUp(FilesDiffer):
    """Files of a backup are gone, or are not what they were."""
