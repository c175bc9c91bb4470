"""Tokens name (subscriber, event) and survive a query string unescaped."""

from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from eventuary.tokens import event_token, triggering_event_id

EVENT_ID = "0000018c1a2b3c4d-0000000000010000"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.text(max_size=20))
def test_tokens_need_no_escape_and_differ_by_subscriber(one: str, other: str) -> None:
    token = event_token(one, EVENT_ID)
    assert quote(token, safe="") == token
    assert triggering_event_id(token) == EVENT_ID
    if one != other and other.isprintable() and other:
        assert event_token(other, EVENT_ID) != token
