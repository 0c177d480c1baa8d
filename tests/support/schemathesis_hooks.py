"""What schemathesis sends where the OpenAPI document cannot say it all: pictures, links to one, and plain addresses."""

from __future__ import annotations

import os

import schemathesis
from hypothesis import strategies as st

from tests.support.readers import picture_of
from web.api.description import PICTURES

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)

for media_type in PICTURES:
    schemathesis.openapi.media_type(media_type, TEXTS.map(picture_of))
schemathesis.openapi.format("binary", TEXTS.map(picture_of))
schemathesis.openapi.format("uri", st.just(os.environ["PICTURE_LINK"]))
schemathesis.openapi.format("email", st.sampled_from(["anna@example.org", "o'hara@example.org", "ö@example.org"]))
