"""The pages of the console: which there are, who may see them, what they are rendered from.

A page holds no data: its scripts ask the API for it, under the session's rights. The one exception is a recording's
timeline, whose lists are drawn here by `voxid.picture`, as on the page that `voxid who --html` writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from voxid.service.credentials import csrf_of
from voxid.service.roles import SCOPES, Principal

__all__ = ["HOME", "PAGES", "Page", "frame_of", "home_of"]

HOME: Final = "/console/"


@dataclass(frozen=True)
class Page:
    """One page in the navigation.

    Args:
        path: its address.
        title: in the navigation and the window.
        template, module: what it is rendered from and the script that fills it.
        icon: of `templates/icons.html`.
        group: heading in the navigation.
        scopes: any of these opens it.
        width: "wide" where more than a column of text is shown.
    """

    path: str
    title: str
    template: str
    module: str
    icon: str
    group: str
    scopes: tuple[str, ...]
    width: str = ""

    def open_to(self, principal: Principal) -> bool:
        """Return whether somebody may see it."""
        return any(scope in principal.scopes for scope in self.scopes)


PAGES: Final = (
    Page("/console/people", "People", "people.html", "people.js", "people", "People", ("people:read",)),
    Page("/console/enroll", "Enroll", "enroll.html", "enroll.js", "enroll", "People", ("enroll",)),
    Page(
        "/console/unknown", "Unknown people", "unknown.html", "unknown.js", "unknown", "People", ("unknown",)
    ),
    Page(
        "/console/check",
        "Verify and identify",
        "check.html",
        "check.js",
        "check",
        "Recognize",
        ("verify", "identify"),
    ),
    Page("/console/spoof", "Is it live?", "spoof.html", "spoof.js", "spoof", "Recognize", ("spoof",)),
    Page(
        "/console/liveness",
        "Proof of life",
        "liveness.html",
        "liveness.js",
        "liveness",
        "Recognize",
        ("verify",),
    ),
    Page(
        "/console/recordings",
        "Recordings",
        "recordings.html",
        "recordings.js",
        "recordings",
        "Recognize",
        ("diarize",),
    ),
    Page("/console/live", "Live call", "live.html", "live.js", "live", "Recognize", ("live",)),
    Page("/console/reviews", "Reviews", "reviews.html", "reviews.js", "reviews", "Recognize", ("review",)),
    Page(
        "/console/watchlists",
        "Watchlists",
        "watchlists.html",
        "watchlists.js",
        "watchlists",
        "Recognize",
        ("watchlists",),
    ),
    Page("/console/scores", "Scores", "scores.html", "scores.js", "scores", "Oversight", ("models",)),
    Page("/console/audit", "Audit", "audit.html", "audit.js", "audit", "Oversight", ("audit",), "wide"),
    Page(
        "/console/disclosures",
        "Disclosures",
        "disclosures.html",
        "disclosures.js",
        "disclosures",
        "Oversight",
        ("export",),
    ),
    Page(
        "/console/operations",
        "Operations",
        "operations.html",
        "operations.js",
        "operations",
        "Oversight",
        ("metrics",),
    ),
    Page(
        "/console/settings",
        "Settings",
        "settings.html",
        "settings.js",
        "settings",
        "Oversight",
        ("policies", "keys"),
    ),
)


def home_of(principal: Principal) -> str | None:
    """Return the first page somebody may see; None when there is none."""
    return next((page.path for page in PAGES if page.open_to(principal)), None)


def frame_of(principal: Principal, session: str, here: str) -> dict[str, Any]:
    """Return what the frame around every page shows and holds: navigation, who is signed in, what they may do.

    Args:
        principal: who is signed in.
        session: their cookie, of which the CSRF token is made.
        here: path of the page in the navigation that this one belongs to.
    """
    return {
        "csrf": csrf_of(session),
        "tenant": principal.tenant,
        "signed_in_as": f"{principal.kind} {principal.id}",
        "navigation": list(_groups(principal)),
        "here": here,
        "may": {scope.replace(":", "_"): scope in principal.scopes for scope in SCOPES},
        "module": None,
        "width": "",
    }


def _groups(principal: Principal) -> Iterator[tuple[str, list[Page]]]:
    """Return heading and pages, headings in the order of `PAGES`."""
    groups = dict.fromkeys(page.group for page in PAGES)
    for group in groups:
        pages = [page for page in PAGES if page.group == group and page.open_to(principal)]
        if pages:
            yield group, pages
