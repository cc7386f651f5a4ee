"""What all pages have: where one can go, how old what is shown is, and what is wrong with asking."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from nicegui import ui
from nicegui.element import Element

from muster.console.asking import Asking
from muster.console.freshness import freshness
from muster.console.known import Known, Wishes
from muster.console.pages.dialogs import confirm
from muster.console.pages.placing import PlacedSpan, PlacedView, text
from muster.console.views.blocks import Choice, Span, View

NAVIGATION = (("Overview", "/"), ("Fleet", "/fleet"), ("Alerts", "/alerts"), ("Cost", "/cost"))
DRAW_SECONDS = 1.0
"""Between two looks of a page at what is known."""
COARSE_SECONDS = 10
"""How exactly a page counts what passes by itself: more often it changes for what was heard only."""

TELLS = """
if (!window.tellsWhetherItIsSeen) {
  window.tellsWhetherItIsSeen = () => emitEvent('seen', !document.hidden);
  document.addEventListener('visibilitychange', window.tellsWhetherItIsSeen);
}
if (document.hidden) window.tellsWhetherItIsSeen();
"""
"""What a browser runs once it is connected: the library has no event for a tab that goes into the background."""

Viewing = Callable[[Known, datetime], View]


class Frame:
    """One page in one browser, from its request to its end."""

    def __init__(self, asking: Asking, here: str, *, wishes: Wishes, viewing: Viewing) -> None:
        self._asking = asking
        self._viewing, self._wishes = viewing, wishes
        self._drawn: tuple[object, datetime] | None = None
        client = self._client = ui.context.client
        client.on_connect(self._connected)
        ui.on("seen", lambda event: self._seen(is_seen=bool(event.args)))
        client.on_disconnect(lambda: None if client.has_socket_connection else asking.close(client.id))
        client.on_delete(lambda: asking.close(client.id))
        view = viewing(asking.known, self._coarsely())
        ui.page_title(f"{view.title} · muster console")
        self._head(here)
        self._back = PlacedSpan("p")
        self._title = text("h1", view.title)
        self._title.props["id"] = "top"
        self._trouble = text("p", "", "trouble")
        self._trouble.props["role"] = "status"
        self._view = PlacedView(self._chosen)
        self._fresh = text("p", "", "fresh")
        self.draw()
        ui.timer(DRAW_SECONDS, self.draw)

    def _connected(self) -> None:
        self._seen(is_seen=True)
        self._client.run_javascript(TELLS)

    def _seen(self, *, is_seen: bool) -> None:
        """Nothing is asked for a page that nobody sees."""
        if is_seen:
            self._asking.open(self._client.id, self._wishes)
        else:
            self._asking.close(self._client.id)

    def _head(self, here: str) -> None:
        with ui.header(elevated=False).classes("bar"):
            skip = text("a", "Skip to what this page shows", "skip")
            skip.props["href"] = "#top"
            text("span", "muster console", "brand")
            with Element("nav") as navigation:
                navigation.props["aria-label"] = "Pages"
                for name, path in NAVIGATION:
                    way = text("a", name)
                    way.props["href"] = path
                    if path == here:
                        way.props["aria-current"] = "page"

    def draw(self) -> None:
        """Draw what is known, if it is not what is drawn."""
        known, now = self._asking.known, self._coarsely()
        told = freshness(known, self._asking.now(), self._wishes(known))
        self._fresh.text, self._trouble.text = told.age, told.trouble
        self._trouble.set_visibility(bool(told.trouble))
        if self._drawn is not None and self._drawn[0] is known.learnt and self._drawn[1] == now:
            return
        self._drawn = (known.learnt, now)
        view = self._viewing(known, now)
        self._back.show(Span(f"← {view.back.text}", view.back.href) if view.back else Span(""), "back")
        self._title.text = view.title
        self._view.show(view)

    def _coarsely(self) -> datetime:
        now = self._asking.now()
        return now.replace(second=now.second // COARSE_SECONDS * COARSE_SECONDS, microsecond=0)

    async def _chosen(self, choice: Choice) -> None:
        with self._view.place:
            await confirm(self._asking, choice.intent)
