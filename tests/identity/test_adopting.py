from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from jingzhe.core.errors import IdentityError
from jingzhe.identity.adopting import adopt
from jingzhe.store.state import State
from tests.identity.stories import CLOCK, tell, who


def test_imported_customers_keep_their_numbers(state: State) -> None:
    values, people = pa.array(["c1", "c2", "0", "c1"]), np.array([70, 80, 90, 70])
    assert adopt(state, "customer", values, people, clock=CLOCK) == 2
    assert adopt(state, "customer", values, people, clock=CLOCK) == 0
    assert [who(state, f"customer={value}") for value in ("c1", "c2", "0")] == [70, 80, None]
    told = tell(state, ["customer=c2 till_card=t", "till_card=t", "login=new"])
    assert told.people.tolist() == [80, 80, 91], "new people come after all that were adopted"


def test_what_cannot_be_adopted_is_told(state: State) -> None:
    with pytest.raises(IdentityError, match="strangers may share"):
        adopt(state, "device", pa.array(["d"]), np.array([1]), clock=CLOCK)
    with pytest.raises(IdentityError, match="1 or more"):
        adopt(state, "customer", pa.array(["c"]), np.array([0]), clock=CLOCK)
    assert adopt(state, "customer", pa.array([], pa.string()), np.empty(0, np.int64), clock=CLOCK) == 0
