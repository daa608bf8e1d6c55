"""One tree of errors, each with a stable code.

The message says what was wrong, ``where`` says at which file, line, column or field, ``hint`` what to do.
"""

from __future__ import annotations

from typing import Any, ClassVar


class JingzheError(Exception):
    """Something the caller can understand and act on.

    Args:
        message: what was wrong, in one sentence.
        hint: what to do about it.
        where: named places (``file=``, ``line=``, ``field=`` …), shown after the message.
    """

    code: ClassVar[str] = "jingzhe"

    def __init__(self, message: str, *, hint: str = "", **where: Any) -> None:
        self.message = message
        self.hint = hint
        self.where = {name: value for name, value in where.items() if value is not None}
        super().__init__(message)

    def __str__(self) -> str:
        places = ", ".join(f"{name} {value}" for name, value in self.where.items())
        text = f"{self.message} ({places})" if places else self.message
        return f"{text}\n{self.hint}" if self.hint else text


class SettingError(JingzheError):
    """A setting or an argument has a value that cannot be used."""

    code = "setting"


class StateError(JingzheError):
    """The state store cannot be reached, or is not of this version."""

    code = "state"


class SealError(JingzheError):
    """What is sealed cannot be opened, or the key file is missing, of another project, or readable by others."""

    code = "seal"


class LakeError(JingzheError):
    """A table of the lake cannot be read or written."""

    code = "lake"


class BusyError(JingzheError):
    """Another process holds what this one needs; nothing was changed."""

    code = "busy"


class EngineError(JingzheError):
    """A query failed; ``where`` names the step and carries its SQL."""

    code = "engine"


class ImportRefusedError(JingzheError):
    """A file or query cannot be imported, or ``strict`` refused it; nothing was imported."""

    code = "import"


class RefusedBodyError(JingzheError):
    """A request to the collector that cannot be taken; nothing of it was kept.

    Args:
        message: what was wrong.
        status: of the answer; the client's own rules say whether it sends again.
        hint: what to do about it.
        where: named places.
    """

    code = "refused-body"

    def __init__(self, message: str, *, status: int = 400, hint: str = "", **where: Any) -> None:
        super().__init__(message, hint=hint, **where)
        self.status = status


class IdentityError(JingzheError):
    """What was asked of the identity graph cannot be done; nothing was changed."""

    code = "identity"


class NoDataError(JingzheError):
    """The question needs data that is not there."""

    code = "no-data"


class ModelError(JingzheError):
    """A model cannot be fitted or applied to these data."""

    code = "model"
