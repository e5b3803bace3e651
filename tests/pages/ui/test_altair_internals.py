"""What the app uses of altair beyond its documented interface is there, and does what the app needs of it."""

from typing import Any

import altair as alt
import pytest
from altair.utils import schemapi

from pages.ui.internals.altair_internals import disable_debug_mode


def test_a_part_is_not_validated_as_it_is_built_once_that_is_disabled() -> None:
    wrong: Any = "steep"
    with schemapi.debug_mode(arg=True):
        with pytest.raises(schemapi.SchemaValidationError):
            alt.Axis(labelAngle=wrong)
        disable_debug_mode()
        alt.Axis(labelAngle=wrong)
