"""Forms by magicgui: a row is declared beside the field that it sets.

A dataclass or pydantic model is a form's options; each field with a dict in its
annotation is a row, in this order::

    @dataclass(frozen=True)
    class Options:
        patch: Annotated[int | None, {"label": "Patch", "none": "automatic"}] = None


    form = Form(Options)
    form.changed.connect(settle)
    form.values()  # Options(patch=None)

What magicgui knows goes to it as it is (``min, max, step, choices, mode, filter``…);
`Row` lists what is added here. Layer boxes (``napari.layers.Image | None``) follow the
viewer. Whatever is no value (drawings, tables, charts) stays Qt.
"""

import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from qtpy.compat import isalive
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QCompleter,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QSizePolicy,
    QWidget,
)

from napari_sparsessp.errors import InputError
from napari_sparsessp.ui.napari_compat import follow_layers
from napari_sparsessp.ui.widgets.basic import (
    in_a_column,
    in_a_row,
    shorten,
    side_by_side,
    small_label,
)
from napari_sparsessp.ui.widgets.numbers import NumberBox, local

OptionsT = TypeVar("OptionsT")

_LEAST_LETTERS = 8
_TIP_ROLE = Qt.ItemDataRole.ToolTipRole


@dataclass(frozen=True)
class Row:
    """How a field appears: the dict of its annotation."""

    label: str = ""  # of a bool it stands behind the box
    tooltip: str = ""
    name: str = ""  # for screen readers; the label where left out
    unit: str = ""
    prefix: str = ""
    decimals: int | None = None
    arrows: bool = True
    # text of a number at its minimum, of a choice, or grey in an empty field
    none: str | None = None
    # (value, label) or (value, label, tooltip); a callable returns them
    choices: Any = None
    layers: Callable[[Any], bool] | None = None  # those a layer box offers; all: None
    # from text to value and back; `read` raises ValueError with what is wrong
    read: Callable[[str], Any] | None = None
    write: Callable[[Any], str] | None = None
    suggestions: Sequence[str] = ()  # where any text may be typed
    live: bool = False  # each letter counts, not only the end of typing
    above: bool = False  # the label stands above the field, in strong letters
    # makes a Qt widget of our own with `value`, which raises ValueError, `set_value`
    # and the signal `changed`
    widget: Callable[[], QWidget] | None = None
    rest: Mapping[str, Any] | None = None  # what magicgui gets

    @classmethod
    def of(cls, declared: Mapping[str, Any]) -> "Row":
        """Split an annotation's dict into what is ours and what is magicgui's."""
        own = {one.name for one in fields(cls)} - {"rest"}
        ours = {key: value for key, value in declared.items() if key in own}
        rest = {key: value for key, value in declared.items() if key not in own}
        return cls(**ours, rest=rest)


class Form(QWidget, Generic[OptionsT]):
    """The rows of an options class.

    Parameters
    ----------
    options
        An annotated dataclass or pydantic model; fields without a dict in their
        annotation have no row and keep the value that they were set to.
    rows
        Changes of declared rows, by field: for labels that depend on the dock.
    only
        Fields that have a row here, in this order, where several forms share the
        options; all where left out.
    beside
        Put all fields into one row, without labels, as wide as each other.
    """

    changed = Signal()  # by the user; `set` and `update` do not emit it

    def __init__(
        self,
        options: type[OptionsT],
        viewer: Any | None = None,
        rows: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        only: Sequence[str] = (),
        beside: bool = False,
    ) -> None:
        super().__init__()
        self._options = options
        self._fields: dict[str, _Field] = {}
        self._others: dict[str, Any] = {}
        self._layout = layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setHorizontalSpacing(8)
        layout.setVerticalSpacing(4)
        layout.setRowWrapPolicy(layout.RowWrapPolicy.WrapLongRows)
        layout.setFieldGrowthPolicy(layout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        known = _declared(options)
        for name in (*only, *(name for name in known if name not in only)):
            kind, declared, default = known[name]
            if declared is None or (only and name not in only):
                self._others[name] = default
            else:
                row = Row.of({**declared, **(rows or {}).get(name, {})})
                self._fields[name] = field = _Field(kind, row, default, viewer)
                field.on_edit(self._on_edited)
                if not beside:
                    self._add(field)
        if beside:
            holders = (field.holder for field in self._fields.values())
            layout.addRow(side_by_side(*holders))
        self._layer_boxes = [one for one in self._fields.values() if one.of_layers]
        if viewer is not None and self._layer_boxes:
            follow_layers(viewer, self._on_layers)

    def _add(self, field: "_Field") -> None:
        if field.label is None:
            self._layout.addRow(field.holder)
        elif field.row.above:
            self._layout.addRow(field.head)
            self._layout.addRow(field.holder)
        else:
            self._layout.addRow(field.label, field.holder)

    def _on_edited(self, *_: object) -> None:
        self.changed.emit()

    # values -------------------------------------------------------------------

    def values(self) -> OptionsT:
        """Return what is chosen.

        Raises
        ------
        InputError
            A field cannot be read; `problem` says which.
        """
        if problem := self.problem():
            raise InputError(problem)
        return self._options(**self._others, **self.chosen())

    def chosen(self) -> dict[str, Any]:
        """Return the values of the rows alone, without those that cannot be read."""
        return {
            name: field.value()
            for name, field in self._fields.items()
            if not field.check()
        }

    def problem(self) -> str:
        """Show below the rows what cannot be read; return the first, or ""."""
        problems = [field.check() for field in self._fields.values() if field.is_shown]
        return next(filter(None, problems), "")

    def set(self, options: OptionsT) -> None:
        """Show other values without emitting `changed`."""
        self.update(**{name: getattr(options, name) for name in self._fields})
        self._others = {name: getattr(options, name) for name in self._others}

    def update(self, **values: Any) -> None:  # type: ignore[override]
        """Show some other values without emitting `changed`."""
        if not values:  # QWidget.update
            super().update()
            return
        with QSignalBlocker(self):
            for name, value in values.items():
                self._fields[name].set_value(value)

    def get(self, name: str) -> Any:
        """Return the value of one row."""
        return self._fields[name].value()

    # rows ---------------------------------------------------------------------

    def native(self, name: str) -> Any:
        """Return the Qt widget of a row."""
        return self._fields[name].native

    def magic(self, name: str) -> Any:
        """Return the magicgui widget of a row."""
        return self._fields[name].magic

    def show_row(self, name: str, on: bool) -> None:
        """Show or hide a row with its label."""
        field = self._fields[name]
        field.is_shown = on
        self._layout.setRowVisible(field.holder, on)
        if field.row.above and field.label is not None:
            self._layout.setRowVisible(field.head, on)

    def enable_row(self, name: str, on: bool, why: str = "") -> None:
        """Enable or disable a row; the tool tip says why."""
        field = self._fields[name]
        field.native.setEnabled(on)
        field.native.setToolTip(why or field.row.tooltip)

    def rename_row(self, name: str, label: str) -> None:
        """Write another label beside a row."""
        field = self._fields[name]
        if field.label is not None:
            field.label.setText(label)

    def show_note(self, name: str, text: str) -> None:
        """Write a remark beside the label of a row that stands above its field."""
        self._fields[name].note.setText(text)

    def show_problem(self, name: str, text: str) -> None:
        """Show below a row what is wrong with it; "" for nothing."""
        self._fields[name].show_problem(text)

    def offer(self, name: str, choices: Sequence[tuple[Any, ...]]) -> None:
        """Offer other choices; the chosen one stays where it is among them."""
        with QSignalBlocker(self):
            self._fields[name].offer(choices)

    # layers -------------------------------------------------------------------

    def offer_layers(self) -> None:
        """Ask which layers the boxes accept, where that hangs on more than layers."""
        with QSignalBlocker(self):
            self._on_layers()

    def _on_layers(self, _event: object = None) -> None:
        for box in self._layer_boxes if isalive(self) else ():
            box.follow_layers()


@dataclass
class _OwnWidget:
    """A Qt widget of ours in the place of a magicgui widget."""

    native: Any
    changed: Any
    value = property(
        lambda self: self.native.value(), lambda self, to: self.native.set_value(to)
    )


class _Field:
    """One row: its magicgui widget, its label, and what is wrong with it."""

    def __init__(self, kind: Any, row: Row, default: Any, viewer: Any) -> None:
        self.row, self.is_shown = row, True
        self.kind, self.optional = _without_none(kind)
        self.of_layers = _is_layer(self.kind)
        self._viewer = viewer
        self._tips: list[str] = []
        self.magic = self._make(default)
        self.native = self.magic.native
        self.label = self._make_label()
        self.note = small_label()
        self.head = QWidget()  # label and note, where they stand above the field
        if row.above and self.label is not None:
            beside = in_a_row(self.label, self.note, stretched=0)
            beside.setSpacing(10)
            beside.setStretch(1, 1)
            in_a_column(self.head, beside).setContentsMargins(0, 5, 0, 0)
        self.problem = small_label("", "problem")
        self.problem.hide()
        self.holder = QWidget()
        in_a_column(self.holder, self.native, self.problem, spacing=2)
        self._dress()
        if default is not MISSING:
            self.set_value(default)

    # making -------------------------------------------------------------------

    def _make(self, default: Any) -> Any:
        """Let magicgui make the widget."""
        from magicgui.widgets import create_widget

        if self.row.widget is not None:
            native: Any = self.row.widget()
            return _OwnWidget(native, native.changed)
        options: dict[str, Any] = dict(self.row.rest or {})
        choices = self._choices()
        if choices is not None:
            options |= {"choices": choices, "widget_type": "ComboBox"}
            return create_widget(annotation=None, options=options)
        if self.row.read is not None or self.kind is str:
            return create_widget(annotation=str, options=options)
        if self.kind in (int, float):
            options = {"min": 0.0, "max": 1e6, "step": 1.0, **options}
            if "widget_type" not in options:
                box = NumberBox()
                box.setRange(options["min"], options["max"])
                box.setSingleStep(options["step"])
                return _OwnWidget(box, box.valueChanged)
            # a slider without a number, which would not know the user's locale
            options |= {"value": float(default), "readout": False}
            return create_widget(annotation=float, options=options)
        if self.kind is bool:
            options["text"] = self.row.label
        elif self.kind is Path:
            options.setdefault("nullable", self.optional)
        return create_widget(annotation=self.kind, options=options)

    def _choices(self) -> Any:
        """Return magicgui's choices of a list or a layer box, or None."""
        none = [(self.row.none or "–", None)] if self.optional else []
        if self.of_layers:
            return lambda _widget: [*none, *((str(x.name), x) for x in self._layers())]
        declared = self.row.choices
        if self.row.suggestions:
            declared = [(text, text) for text in self.row.suggestions]
        if declared is None and typing.get_origin(self.kind) is typing.Literal:
            declared = [(one, str(one)) for one in typing.get_args(self.kind)]
        if declared is None:
            return None
        listed = declared() if callable(declared) else declared
        self._tips = [one[2] if len(one) > 2 else "" for one in listed]
        return [*none, *((label, value) for value, label, *_ in listed)]

    def _layers(self) -> list[Any]:
        layers = () if self._viewer is None else self._viewer.layers
        accept = self.row.layers or (lambda _layer: True)
        return [one for one in layers if isinstance(one, self.kind) and accept(one)]

    def _make_label(self) -> QLabel | None:
        if self.kind is bool or not self.row.label:
            return None
        label = QLabel(self.row.label)
        label.setProperty("role", "strong" if self.row.above else "muted")
        label.setToolTip(self.row.tooltip)
        label.setBuddy(self.native)
        return label

    def _dress(self) -> None:
        """Say what magicgui has no word for."""
        name = self.row.name or self.row.label
        for widget in (self.native, *self.native.findChildren(QLineEdit)):
            widget.setAccessibleName(name)
            widget.setToolTip(self.row.tooltip)
        native = self.native
        if isinstance(native, QDoubleSpinBox):
            if self.kind is int or self.row.decimals is not None:
                native.setDecimals(self.row.decimals or 0)
            native.setProperty("role", "compact")
            native.setSuffix(self.row.unit)
            native.setPrefix(self.row.prefix)
            native.setKeyboardTracking(False)  # a number half typed is none
            native.setMinimumWidth(60)
            if not self.row.arrows:
                native.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
            if self.optional:
                native.setSpecialValueText(self.row.none or "automatic")
        elif isinstance(native, QComboBox) and self.row.suggestions:
            make_editable(native, self.row.none or "")
        elif isinstance(native, QComboBox):
            shorten(native)
            native.setMinimumContentsLength(_LEAST_LETTERS)
            self._show_tips()
        elif isinstance(native, QLineEdit) and self.row.none:
            native.setPlaceholderText(self.row.none)

    def _show_tips(self) -> None:
        first = self.native.count() - len(self._tips)
        for place, tip in enumerate(self._tips):
            self.native.setItemData(first + place, tip, _TIP_ROLE)

    def on_edit(self, slot: Callable[..., None]) -> None:
        """Call a slot when the user has changed the value."""
        line = isinstance(self.native, QLineEdit)
        if self.row.suggestions:
            self.native.editTextChanged.connect(slot)
        elif line and not self.row.live:
            self.native.editingFinished.connect(slot)
        else:
            self.magic.changed.connect(slot)

    # values -------------------------------------------------------------------

    def value(self) -> Any:
        """Return the value; raises ValueError where a text cannot be read."""
        value = self.magic.value
        if self.row.suggestions:
            value = self.native.currentText()
        if self.row.read is not None:
            text = str(value).strip()
            return None if self.optional and not text else self.row.read(text)
        if self.kind in (int, float) and self.row.choices is None:
            if self.optional and value <= self.native.minimum():
                return None
            return self.kind(round(value) if self.kind is int else value)
        if self.kind is str and self.row.choices is None:
            text = str(value).strip()
            return None if self.optional and not text else text
        return value

    def set_value(self, value: Any) -> None:
        """Show a value."""
        if self.row.suggestions:
            self.native.setEditText(value or "")
            self.native.lineEdit().setCursorPosition(0)
        elif self.row.read is not None:
            write = self.row.write or str
            text = "" if value is None else write(value)
            self.magic.value = local(text) if self.kind is float else text
        elif value is None and self.kind in (int, float) and self.row.choices is None:
            self.magic.value = self.native.minimum()
        elif value is None and isinstance(self.native, QLineEdit):
            self.magic.value = ""
        elif not isinstance(self.native, QComboBox) or value in self.magic.choices:
            self.magic.value = value
        if isinstance(self.native, QLineEdit):
            self.native.setCursorPosition(0)  # a long text is read from its beginning

    def offer(self, choices: Sequence[tuple[Any, ...]]) -> None:
        """Offer other choices."""
        self.row = replace(self.row, choices=list(choices))
        self._renew_choices()
        self._show_tips()

    def _renew_choices(self) -> None:
        before = self.magic.value
        self.magic.choices = []  # magicgui adds new ones behind those that stay
        self.magic.choices = self._choices()
        if before in self.magic.choices:
            self.magic.value = before

    def follow_layers(self) -> None:
        """Offer the layers of now; the chosen one stays while it is there."""
        before = self.magic.value
        with self.magic.changed.blocked():
            self._renew_choices()
        if self.magic.value is not before:
            self.magic.changed.emit(self.magic.value)

    def check(self) -> str:
        """Show and return what cannot be read, or ""."""
        try:
            self.value()
        except ValueError as error:
            self.show_problem(str(error))
            return str(error)
        self.show_problem("")
        return ""

    def show_problem(self, text: str) -> None:
        """Show what is wrong below the field."""
        self.problem.setText(text)
        self.problem.setVisible(bool(text))
        self.holder.updateGeometry()  # a form that was hidden reckons with old heights


def make_editable(box: QComboBox, placeholder: str = "") -> None:
    """Let any text be typed into a combo box, which completes it from its choices."""
    box.setEditable(True)
    box.setInsertPolicy(box.InsertPolicy.NoInsert)
    # the longest choice must not make the form wider than a narrow dock
    box.setSizeAdjustPolicy(box.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(_LEAST_LETTERS)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    box.setMaxVisibleItems(14)
    if (completer := box.completer()) is not None:
        completer.setCompletionMode(QCompleter.CompletionMode.PopupCompletion)
        complete_anywhere(completer)
    box.setCurrentIndex(-1)
    box.setEditText("")
    if (field := box.lineEdit()) is not None:
        field.setPlaceholderText(placeholder)
        field.setMaxLength(120)


def complete_anywhere(completer: QCompleter) -> None:
    """Find what is typed anywhere in a name, in small or capital letters."""
    completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
    completer.setFilterMode(Qt.MatchFlag.MatchContains)


def _declared(options: type) -> dict[str, tuple[Any, Mapping[str, Any] | None, Any]]:
    """Return type, annotation's dict and default of each field, in order."""
    import napari.layers

    # layer types may be written as strings: napari.layers is no import for a module
    hints = typing.get_type_hints(
        options, localns={"napari": napari}, include_extras=True
    )
    found: dict[str, tuple[Any, Mapping[str, Any] | None, Any]] = {}
    for name, default in _defaults(options).items():
        kind, declared = hints[name], None
        if typing.get_origin(kind) is typing.Annotated:
            kind, *extras = typing.get_args(kind)
            declared = next((one for one in extras if isinstance(one, Mapping)), None)
        found[name] = (kind, declared, default)
    return found


def _defaults(options: Any) -> dict[str, Any]:
    if is_dataclass(options):
        return {one.name: one.default for one in fields(options)}
    return {
        name: MISSING if one.is_required() else one.get_default()
        for name, one in options.model_fields.items()
    }


def _without_none(kind: Any) -> tuple[Any, bool]:
    """Return a type without None, and whether None was among it."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        rest = [one for one in typing.get_args(kind) if one is not types.NoneType]
        if len(rest) == 1:
            return rest[0], True
    return kind, False


def _is_layer(kind: Any) -> bool:
    return isinstance(kind, type) and kind.__module__.startswith("napari.layers")
