"""Addresses that mail may go to, and text of strangers as people are shown it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from inktally.errors import RecipientRefused
from inktally.mail.message import valid_address
from inktally.text import file_name, shown
from tests.unit.test_report import RTL_OVERRIDE, a_delay


class TestValidAddress:
    @pytest.mark.parametrize(
        ("text", "address"),
        [
            ("anna@example.org", "anna@example.org"),
            ("  anna@example.org ", "anna@example.org"),
            ("Anna <anna@example.org>", "anna@example.org"),
            ('"Smith, Anna" <anna+inbox@mail.example.org>', "anna+inbox@mail.example.org"),
            ("<anna@localhost>", "anna@localhost"),
            ("o'neil=x!y@Example.ORG", "o'neil=x!y@Example.ORG"),
            ("jürgen@example.org", "jürgen@example.org"),
            ("ju\N{COMBINING DIAERESIS}rgen@example.org", "ju\N{COMBINING DIAERESIS}rgen@example.org"),
            ("anna@bücher.example", "anna@xn--bcher-kva.example"),
            ("anna@straße.example", "anna@xn--strae-oqa.example"),
            ("anna@BÜCHER。example", "anna@xn--bcher-kva.example"),
        ],
    )
    def test_one_address_is_taken(self, text: str, address: str) -> None:
        expected = address.replace("u\N{COMBINING DIAERESIS}", "ü")
        assert valid_address(text) == expected

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "anna",
            "@example.org",
            "anna@",
            "anna@@example.org",
            "a@b@example.org",
            "anna@example.org, eve@example.org",
            "anna@example.org; eve@example.org",
            "anna@example.org eve@example.org",
            "Anna <anna@example.org> <eve@example.org>",
            "friends: anna@example.org, eve@example.org;",
            "anna@example.org\r\nBcc: eve@example.org",
            "anna\n@example.org",
            "anna\x00@example.org",
            "anna@example.org\n",
            f"{RTL_OVERRIDE}anna@example.org",
            f"Anna{RTL_OVERRIDE} <anna@example.org>",
            "anna..b@example.org",
            ".anna@example.org",
            "anna@example..org",
            "anna@-example.org",
            "anna@example.org.",
            "an na@example.org",
            "anna(comment)@example.org",
            "anna@[127.0.0.1]",
            "x" * 65 + "@example.org",
            "anna@" + "x" * 64 + ".org",
            "anna@straße\N{ZERO WIDTH JOINER}.example",
            "anna@☃☃.example",
            "anna@" + "xxxxxxxxx." * 30 + "org",
        ],
    )
    def test_anything_else_is_refused_with_a_sentence_that_helps(self, text: str) -> None:
        with pytest.raises(RecipientRefused, match=r"is not a mail address; .*anna@example\.org") as caught:
            valid_address(text)
        assert str(caught.value).isprintable() or RTL_OVERRIDE not in str(caught.value)

    @given(st.text(max_size=40) | st.from_regex(r"\S{1,9}@\S{1,9}", fullmatch=True))
    def test_what_is_taken_can_stand_in_a_header_and_is_taken_again(self, text: str) -> None:
        try:
            address = valid_address(text)
        except RecipientRefused:
            return
        assert valid_address(address) == address
        mail = a_delay(address)
        assert mail["To"] == address
        assert len(mail["To"].addresses) == 1


class TestShownText:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("page.png", "page.png"),
            ("a\nb", "a\N{REPLACEMENT CHARACTER}b"),
            ("x" * 60, "x" * 60),
            ("x" * 61, "x" * 39 + "\N{HORIZONTAL ELLIPSIS}" + "x" * 20),
        ],
    )
    def test_hidden_characters_are_replaced_and_long_texts_lose_their_middle(self, text: str, expected: str) -> None:
        assert shown(text) == expected

    @given(st.text(), st.integers(3, 50))
    def test_it_is_never_longer_than_asked(self, text: str, width: int) -> None:
        assert len(shown(text, width)) <= width

    @pytest.mark.parametrize("name", ["..", "...", " ", "/", "\n"])
    def test_every_name_makes_a_file_name(self, name: str) -> None:
        assert re.fullmatch(r"[^\\/.\s]+", file_name(name))
