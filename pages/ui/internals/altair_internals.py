"""The undocumented interfaces of altair that the app uses; no other module uses any.

Any version may move them. `tests/pages/ui/test_altair_internals.py` uses them as the app does; checked since 6.3.

`disable_debug_mode`: altair then no longer validates every part of a chart as it is built. The tests validate the
charts, so that readers need not wait for it.
"""

from altair.utils.schemapi import disable_debug_mode

__all__ = ["disable_debug_mode"]
