"""Other arguments for the same action: fields by the tool's schema, then the difference, then Enter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Select, Static

from core.actions import JSON
from core.errors import InvalidInput
from core.wire_approvals import ApprovalDetail
from desk import forms
from desk.forms import Change, Field
from desk.reading import headline

_HINTS = {
    forms.Input.MONEY: "as in 150.00 USD",
    forms.Input.INTEGER: "a whole number",
    forms.Input.JSON: "JSON",
}


class EditScreen(ModalScreen[dict[str, JSON] | None]):
    """`draft` holds the texts of changed fields by path; it is kept up to date for whoever gave it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back"),
        Binding("ctrl+s", "review", "difference", priority=True),
    ]

    def __init__(self, detail: ApprovalDetail, draft: dict[str, str], why_not: Callable[[], str]) -> None:
        super().__init__()
        self._detail = detail
        self._draft = draft
        self._why_not = why_not
        self._fields = forms.fields(detail.args_schema, detail.args)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide"):
            yield Static(f"Edit: {headline(self._detail.approval)}", classes="title", markup=False)
            with VerticalScroll(id="fields", can_focus=False):
                for number, field in enumerate(self._fields):
                    with Horizontal(classes="field"):
                        yield Static(field.path, classes="name", markup=False)
                        yield self._widget(number, field)
            yield Static(
                "Tab next · Ctrl+S shows the difference · Esc back (the draft is kept)", classes="hint", markup=False
            )

    def _widget(self, number: int, field: Field) -> Input | Select[str]:
        text = self._draft.get(field.path, field.shown(forms.get(self._detail.args, field.path)))
        name = f"field-{number}"
        if not field.choices:
            hint = f"none; {_HINTS.get(field.input, '')}" if field.optional else _HINTS.get(field.input, "")
            return Input(text, placeholder=hint, id=name, compact=True)
        chosen = text if text in field.choices else Select.NULL
        blank = field.optional or chosen is Select.NULL
        return Select([(each, each) for each in field.choices], value=chosen, allow_blank=blank, id=name, compact=True)

    def _texts(self) -> dict[str, str]:
        texts: dict[str, str] = {}
        for number, field in enumerate(self._fields):
            widget = self.query_one(f"#field-{number}")
            assert isinstance(widget, (Input, Select))  # made by `_widget`
            text = "" if widget.value is Select.NULL else str(widget.value)
            if text != field.shown(forms.get(self._detail.args, field.path)):
                texts[field.path] = text
        return texts

    def action_review(self) -> None:
        texts = self._keep()
        try:
            new = forms.edited(self._detail.args, self._detail.args_schema, texts)
        except InvalidInput as error:
            self._say(str(error))
            self._focus(error.field.removeprefix("args."))
            return
        changes = forms.changes(self._detail.args, new)
        if not changes:
            self._say("Nothing was changed.")
            return

        def answered(sure: bool | None) -> None:
            if sure:
                self.dismiss(new)

        self.app.push_screen(DifferenceScreen(self._detail, changes, self._why_not), answered)

    def action_leave(self) -> None:
        self._keep()
        self.dismiss(None)

    def _keep(self) -> Mapping[str, str]:
        self._draft.clear()
        self._draft.update(self._texts())
        return self._draft

    def _focus(self, path: str) -> None:
        for number, field in enumerate(self._fields):
            if field.path == path:
                self.query_one(f"#field-{number}").focus()

    def _say(self, text: str) -> None:
        self.query_one(".hint", Static).update(text)


class DifferenceScreen(ModalScreen[bool]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back"),
        Binding("enter", "sure", "decide"),
    ]

    def __init__(self, detail: ApprovalDetail, changes: list[Change], why_not: Callable[[], str]) -> None:
        super().__init__()
        self._detail = detail
        self._changes = changes
        self._why_not = why_not

    def compose(self) -> ComposeResult:
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=True)
        for column in ("argument", "old", "", "new"):
            table.add_column(column, overflow="fold")
        for change in self._changes:
            table.add_row(Text(change.path), Text(change.old), "→", Text(change.new, "bold"))
        with Vertical(classes="dialog wide"):
            yield Static(f"The difference: {headline(self._detail.approval)}", classes="title", markup=False)
            yield Static(table, id="difference")
            yield Static(
                "Policy judges it anew; where it asks for people, somebody else has to approve it.\n"
                "Enter decides · Esc back to the fields",
                classes="hint",
                markup=False,
            )

    def action_sure(self) -> None:
        if why := self._why_not():
            self.query_one(".hint", Static).update(why)
        else:
            self.dismiss(True)

    def action_leave(self) -> None:
        self.dismiss(False)
