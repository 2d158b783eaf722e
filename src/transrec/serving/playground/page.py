"""The page: what stands where, and what is asked of the desk when something is pressed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, final

from transrec.data.item import Item
from transrec.errors import ServingError, TransRecError, require_extra
from transrec.serving.http.content import picture_of
from transrec.serving.http.settings import ServeSettings
from transrec.serving.playground.cards import Card, message, plain_cards
from transrec.serving.playground.desk import Desk, Past, Wishes

LISTED_USERS = 1_000
"""Users that the list offers; others can be typed."""
Adding = Callable[[str, str | None, bytes | None], Any]
"""Adds an item, by id, text and picture, to what is served; awaited."""


def build_page(desk: Desk, settings: ServeSettings, add: Adding | None = None) -> Any:
    """The page as a ``gradio.Blocks``.

    Args:
        desk: answers.
        settings: the limits of pictures and lists.
        add: what adds an item for all who ask; nobody may, and there is no button, when None.

    Raises:
        MissingExtraError: the extra ``ui`` is not installed.
    """
    gradio: Any = require_extra("gradio", extra="ui", purpose="the playground")
    return _Page(gradio, desk, settings, add).blocks


@final
class _Page:
    """The parts of the page and what happens between them. ``history`` is the state that each visitor has."""

    def __init__(self, gradio: Any, desk: Desk, settings: ServeSettings, add: Adding | None) -> None:
        self.gr = gradio
        self.desk = desk
        self.settings = settings
        self._add = add
        self._press = Path(__file__).with_name("page.js").read_text()
        names = " and ".join(side.name for side in desk.sides)
        with gradio.Blocks(title="transrec", analytics_enabled=False, delete_cache=(3_600, 3_600)) as self.blocks:
            gradio.Markdown(f"# transrec playground\n{_plain(names)}: {len(desk.catalog):,} items")
            self.history = gradio.State([])
            self.next_id = gradio.State(None)
            with gradio.Tabs():
                with gradio.Tab("Recommendations"):
                    self._lists()
                with gradio.Tab("A new item"):
                    self._new_item()

    # ---- recommendations --------------------------------------------------------------------------------------------------

    def _lists(self) -> None:
        gr = self.gr
        with gr.Row():
            user = gr.Dropdown(
                self.desk.users(LISTED_USERS),
                value=None,
                label="User",
                info="begin with what somebody did",
                allow_custom_value=True,
                scale=3,
            )
            somebody = gr.Button("Somebody", scale=1)
            held = gr.Checkbox(label="Hold back the last item", info="to see whether it is found", scale=2)
            clear = gr.Button("Empty the history", scale=1)
        gr.Markdown("### History, oldest first")
        self.strip = self._cards(self.desk.strip([]), "history")
        with gr.Accordion("Wishes", open=False):
            with gr.Row():
                where = gr.Textbox(label="Filter", placeholder=self._example(), info=self._columns(), scale=2)
                k = gr.Slider(1, min(50, self.settings.max_k), value=12, step=1, label="How many")
            with gr.Row():
                diversity = gr.Slider(0, 1, value=0, step=0.1, label="Diversity", info="0: the best items")
                popularity = gr.Slider(0, 2, value=1, step=0.1, label="Popularity", info="1: as learned; for new items, too")
                seen = gr.Checkbox(label="Also what is in the history")
        self.wishes = [where, k, diversity, popularity, seen]
        self.lists = self._beside("list")
        gr.Markdown("### Items to press")
        words = gr.Textbox(label="Words of the title", placeholder="those of most events, as long as it is empty")
        found = self._cards(self._found(""), "found")

        out = [self.history, self.next_id, self.strip, *self.lists]
        self._on(user.input, self._taken, [user, held, *self.wishes], out)
        self._on(somebody.click, self._somebody, [held, *self.wishes], [user, *out])
        self._on(held.input, self._taken, [user, held, *self.wishes], out)
        self._on(clear.click, lambda: [None, [], None, self.desk.strip([]), *["" for _ in self.lists]], [], [user, *out])
        self._on(words.change, self._found, [words], [found], trigger_mode="always_last")
        for wish in (k, diversity, popularity):
            self._on(wish.release, self._again, [self.history, self.next_id, *self.wishes], self.lists)
        self._on(seen.input, self._again, [self.history, self.next_id, *self.wishes], self.lists)
        self._on(where.submit, self._again, [self.history, self.next_id, *self.wishes], self.lists)
        for cards in (self.strip, found, *self.lists):
            self._on(cards.press, self._pressed(), [self.history, self.next_id, *self.wishes], out)

    def _taken(self, user: str | None, held: bool, *wishes: Any) -> list[Any]:
        """The history of a user, and the lists for it."""
        if not user:
            return [[], None, self.desk.strip([]), *["" for _ in self.lists]]
        try:
            history = self.desk.history_of(user)
        except TransRecError as error:
            return [[], None, _said(error), *["" for _ in self.lists]]
        next_id = str(history.pop()) if held and len(history) > 1 else None
        return self._after(history, next_id, wishes)

    def _somebody(self, held: bool, *wishes: Any) -> list[Any]:
        user = self.desk.somebody()
        return [user, *self._taken(user, held, *wishes)]

    def _pressed(self) -> Callable[..., list[Any]]:
        """What a pressed card does: the framework reads from the annotation that it is to tell which one."""

        def pressed(event: Any, history: list[str | Item], next_id: str | None, *wishes: Any) -> list[Any]:
            after = list(history)
            if event.act == "drop":
                place = int(event.item)
                del after[place : place + 1]
            elif len(after) < self.settings.max_history:
                after.append(event.item)
            return self._after(after, None if event.item == next_id else next_id, wishes)

        pressed.__annotations__["event"] = self.gr.EventData
        return pressed

    def _after(self, history: Past, next_id: str | None, wishes: Sequence[Any]) -> list[Any]:
        return [history, next_id, self.desk.strip(history), *self._again(history, next_id, *wishes)]

    def _again(self, history: Past, next_id: str | None, *wishes: Any) -> list[str]:
        where, k, diversity, popularity, seen = wishes
        wanted = Wishes(int(k), where or "", float(diversity), float(popularity), bool(seen))
        if not history:
            return ["" for _ in self.lists]
        try:
            return self.desk.lists(history, wanted, next_id)
        except TransRecError as error:
            return [_said(error) for _ in self.lists]

    def _found(self, words: str) -> str:
        return plain_cards(
            self.desk.found(words or ""), do="add", label="add to the history:", empty="No title has all these words."
        )

    # ---- a new item -------------------------------------------------------------------------------------------------------

    def _new_item(self) -> None:
        gr = self.gr
        with gr.Row():
            picture = gr.File(label="A photo", file_types=["image"], type="binary", height=140)
            with gr.Column():
                text = gr.Textbox(label="What it is", placeholder="a red woollen scarf", lines=3)
                look = gr.Button("Look where it belongs", variant="primary")
        told = gr.HTML("")
        near, who = self._beside("near"), self._beside("who")
        use = gr.Button("Put it into the history")
        asked = [picture, text, self.wishes[3]]
        self._on(look.click, self._looked, asked, [told, *near, *who])
        self._on(text.submit, self._looked, asked, [told, *near, *who])
        used = [told, self.history, self.next_id, self.strip, *self.lists]
        self._on(use.click, self._used, [picture, text, self.history, *self.wishes], used)
        if self._add is not None:
            with gr.Row():
                name = gr.Textbox(label="Its id", placeholder="new-1", scale=2)
                put = gr.Button("Add it to what is recommended", scale=1)
            self._on(put.click, self._put, [name, picture, text], [told])

    def _looked(self, picture: bytes | None, text: str, popularity: float) -> list[str]:
        nothing = ["" for _ in range(2 * len(self.desk.sides))]
        try:
            item = self._item(picture, text)
            own = plain_cards([Card.of(item, "your item", key="")], do="", label="", empty="")
            return [own, *self.desk.nearest(item), *self.desk.audience(item, float(popularity))]
        except TransRecError as error:
            return [_said(error), *nothing]

    def _used(self, picture: bytes | None, text: str, history: list[str | Item], *wishes: Any) -> list[Any]:
        try:
            item = self._item(picture, text, f"your item {1 + sum(isinstance(item, Item) for item in history)}")
        except TransRecError as error:
            return [_said(error), *[self.gr.skip() for _ in range(3 + len(self.lists))]]
        return [message("It is the newest item of the history now."), *self._after([*history, item], None, wishes)]

    async def _put(self, name: str, picture: bytes | None, text: str) -> str:
        assert self._add is not None, "there is no button without"
        try:
            if not name.strip():
                raise ServingError("it has no id", status=422, remedy="give one that the catalog does not hold")
            item = self._item(picture, text, name.strip())
            await self._add(item.id, item.text, item.image)
        except TransRecError as error:
            return _said(error)
        return message(f"{name.strip()} can be recommended from now on.")

    def _item(self, picture: bytes | None, text: str, name: str = "your item") -> Item:
        """What the visitor gave, as an item.

        Raises:
            ServingError: the picture cannot be used, or there is nothing.
        """
        if picture is None and not (text or "").strip():
            raise ServingError("there is nothing to look at", status=422, remedy="give a photo, a sentence, or both")
        return Item(name, (text or "").strip() or None, None if picture is None else picture_of(picture, self.settings))

    # ---- parts ------------------------------------------------------------------------------------------------------------

    def _cards(self, value: str, name: str) -> Any:
        """A place for cards, which tells what was pressed."""
        return self.gr.HTML(value, js_on_load=self._press, elem_id=f"tr-{name}")

    def _beside(self, name: str) -> list[Any]:
        """A place for the cards of each run, beside each other where there is room."""
        places = []
        with self.gr.Row():
            for place in range(len(self.desk.sides)):
                with self.gr.Column(min_width=300):
                    places.append(self._cards("", f"{name}-{place}"))
        return places

    def _on(self, event: Any, work: Callable[..., Any], given: Sequence[Any], out: Sequence[Any], **more: Any) -> None:
        """Listen to an event of the page; what it calls is no interface for programs: that is ``/v1``."""
        event(
            work,
            inputs=list(given),
            outputs=list(out),
            api_visibility="private",
            show_progress="minimal",
            **{"trigger_mode": "once", **more},
        )

    def _columns(self) -> str:
        types = self.desk.catalog.column_types()
        return f"columns: {', '.join(types)}" if types else "this catalog has no columns to filter by"

    def _example(self) -> str:
        number = [name for name, kind in self.desk.catalog.column_types().items() if kind.startswith(("Float", "Int"))]
        return f"{number[0]} < 50" if number else "column = 'value'"


def _said(error: TransRecError) -> str:
    where = f" [{error.where}]" if error.where else ""
    remedy = f"\n{error.remedy[0].upper()}{error.remedy[1:]}." if error.remedy else ""
    return message(f"{error.what[:1].upper()}{error.what[1:]}{where}{remedy}", wrong=True)


def _plain(text: str) -> str:
    """Text in which Markdown finds nothing to do."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]()#+-.!|<>&" else letter for letter in text)
