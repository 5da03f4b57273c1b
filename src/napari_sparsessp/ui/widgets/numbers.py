"""Numbers in the user's locale: 1.16 or 1,16, and either is understood where typed.

Nothing is written with marks for thousands, so that every mark is that of decimals.
"""

import math
import re

from qtpy.QtCore import QLocale
from qtpy.QtGui import QValidator
from qtpy.QtWidgets import QDoubleSpinBox

_MARKS = re.compile("[.,\u066b]")  # point, comma, Arabic mark


def local(text: str) -> str:
    """Write the decimal mark of a number as the user's locale does."""
    return _MARKS.sub(QLocale().decimalPoint(), text)


def write_number(value: float) -> str:
    """Write a number as short as it is, in the user's locale."""
    return local(f"{value:.10g}")


def read_number(text: str) -> float | None:
    """Read a number with a decimal point or comma; None where it is none."""
    try:
        value = float(_MARKS.sub(".", text))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


class NumberBox(QDoubleSpinBox):
    """A spin box where a point and a comma both mark decimals."""

    def set_value(self, value: float) -> None:
        """Show a number."""
        self.setValue(float(value))

    def validate(self, text: str, place: int) -> tuple[QValidator.State, str, int]:
        """Judge what is typed as if it were typed in the user's locale."""
        return super().validate(local(text), place)

    def valueFromText(self, text: str) -> float:
        """Read what is typed as if it were typed in the user's locale."""
        return super().valueFromText(local(text))
