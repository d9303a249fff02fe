"""Every error Everloop raises on purpose.

EverloopError
├── ParamsError      params.yaml: all faults of the file, reported together
├── WorkspaceError   a folder that is not a workspace, or a half-made one
│   └── TrustError   it names code that nobody has trusted
├── StoreError       the store is locked, unreachable, or of another version
│   └── RowError     the store is well and will never take this record
├── DataError        a table that cannot be read, a column that is not there
├── LabelError       an annotation that cannot be accepted
├── DatasetError     a dataset version, DVC or git refuses
├── ModelError       weights missing, altered, or of another shape
├── InputError       what a model is asked and cannot read: no message, longer than its context
│   └── ContextError   longer than its context
├── EngineError      what writes for a model gives no answer, or another model's
├── RolloutError     a promotion or rollback that makes no sense now
├── ClockError       a time before what the workspace knows already, or far ahead
├── AccessError      an API key that is missing, or cannot be made or found
├── PolicyError      a policy returned what its stage cannot use
├── BusyError        the server has as much waiting as it may hold
└── LateError        the time a caller gave for an answer is over
"""

from __future__ import annotations


class EverloopError(Exception):
    """What went wrong, where, the value seen, what was expected, and the next command to run."""

    def __init__(
        self, what: str, *, where: str = "", got: str = "", expected: str = "", do: str = ""
    ) -> None:
        parts = [what]
        for name, text in (("where", where), ("got", got), ("expected", expected), ("do", do)):
            if text:
                parts.append(f"  {name + ':':<9} {text}")
        super().__init__("\n".join(parts))
        self.what, self.where, self.got, self.expected, self.do = what, where, got, expected, do


class ParamsError(EverloopError):
    """params.yaml does not describe a strategy."""


class WorkspaceError(EverloopError):
    """The folder is not a workspace, or not a whole one."""


class TrustError(WorkspaceError):
    """The workspace names code, and may not run it yet."""


class StoreError(EverloopError):
    """The store did not take or give a record."""


class RowError(StoreError):
    """A record that the store refuses, now and later."""


class DataError(EverloopError):
    """A table of rows cannot be used."""


class LabelError(EverloopError):
    """An annotation cannot be accepted."""


class DatasetError(EverloopError):
    """A dataset version cannot be made or found."""


class ModelError(EverloopError):
    """A model cannot be loaded, saved or trusted."""


class InputError(EverloopError):
    """A model cannot read what it is asked. The others in its batch are well."""


class ContextError(InputError):
    """A prompt of more tokens than the model can read."""


class EngineError(EverloopError):
    """The engine that writes for a model gives no answer."""


class RolloutError(EverloopError):
    """A rollout cannot take this step."""


class ClockError(EverloopError):
    """A command would act at a time that cannot be."""


class AccessError(EverloopError):
    """An API key is missing, or cannot be made or found."""


class PolicyError(EverloopError):
    """A policy returned what its stage cannot use."""


class BusyError(EverloopError):
    """Nothing more can wait; ask again in `retry_seconds`."""

    def __init__(self, what: str, *, retry_seconds: float, expected: str = "", do: str = "") -> None:
        super().__init__(what, expected=expected, do=do)
        self.retry_seconds = retry_seconds


class LateError(EverloopError):
    """The deadline of a request passed before it was answered."""
