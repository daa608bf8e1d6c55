from __future__ import annotations

from jingzhe.core import errors
from jingzhe.core.errors import ImportRefusedError, JingzheError


def test_the_message_says_what_where_and_what_to_do() -> None:
    error = ImportRefusedError("The time cannot be read", hint="Give --map.", file="a.csv", line=3, field=None)
    assert str(error) == "The time cannot be read (file a.csv, line 3)\nGive --map."
    assert error.where == {"file": "a.csv", "line": 3}


def test_every_error_has_a_code_of_its_own() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, JingzheError)]
    codes = [kind.code for kind in kinds]
    assert len(codes) == len(set(codes)) > 5
