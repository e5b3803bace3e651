"""What the app uses of altair beyond its documented interface, here and nowhere else.

Any version may move it. `tests/pages/ui/test_altair_internals.py` uses it as the app does; known to be so
since 6.3.

`disable_debug_mode`: altair then no longer validates every part of a chart as it is built. The tests have them
validated, a reader need not wait for it.
"""

from altair.utils.schemapi import disable_debug_mode

__all__ = ["disable_debug_mode"]
