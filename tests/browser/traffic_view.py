"""Open the page's first view, and find its calls."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from .application import Application


def open_traffic(page: Page, app: Application, address: str = "") -> None:
    """Open the view; calls that are made from now on appear in it."""
    page.goto(f"{app.url}/_mock/ui/{address}")
    expect(page.get_by_role("status").get_by_text("live", exact=True)).to_be_visible()


def open_call(page: Page, app: Application, number: int = 1, tab: str = "conversation") -> Locator:
    """Open a call of the default session in a tab, and return the tab's panel, with its content."""
    open_traffic(page, app, f"#/traffic?call=default/{number}&tab={tab}")
    return find_panel(page, number, tab)


def find_panel(page: Page, number: int, tab: str) -> Locator:
    """Wait until a tab of a call is shown, and return its panel."""
    panel = page.get_by_role("tabpanel")
    expect(page.get_by_role("region", name="The selected call", exact=True)).to_contain_text(f"#{number}")
    expect(page.locator(f"#tab-{tab}")).to_have_attribute("aria-selected", "true")
    expect(panel).not_to_have_text("Loading …")
    return panel


def find_rows(page: Page) -> Locator:
    """Find the calls of the list."""
    return page.get_by_role("listbox", name="Calls, newest first").get_by_role("option")


def find_row(page: Page, number: int) -> Locator:
    """Find a call of the default session in the list."""
    return page.locator(f"#call-default-{number}")
