"""What the console answers without a browser: who gets in, which headers go out, which files are served."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from served import Served, serving
from voxid.service.console.pages import PAGES

CONSOLE = Path(str(files("voxid.service.console")))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("console")) as opened:
        yield opened


@pytest.fixture
def browser(served: Served) -> TestClient:
    """Somebody with nothing but cookies, who does not follow redirects."""
    return TestClient(served.http.app, follow_redirects=False)


def sign_in(served: Served, browser: TestClient, *roles: str) -> None:
    answer = browser.post("/v1/session", headers=served.key(roles=list(roles)))
    assert answer.status_code == 201


def test_who_is_not_signed_in_is_sent_to_sign_in(browser: TestClient) -> None:
    """And from there to the page that was asked for, if it is one of ours."""
    answer = browser.get("/console/people?x=1")
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/console/sign-in?next=%2Fconsole%2Fpeople%3Fx%3D1",
    )
    assert 'data-next="/console/people"' in browser.get("/console/sign-in?next=/console/people").text
    for elsewhere in ("https://example.org/", "//example.org", "/console/..//example.org", "javascript:1"):
        page = browser.get("/console/sign-in", params={"next": elsewhere})
        assert 'data-next="/console/"' in page.text


def test_a_key_in_the_header_opens_no_page(served: Served, browser: TestClient) -> None:
    """Pages are for sessions: their scripts act by the cookie, and the CSRF token is made of it."""
    assert browser.get("/console/people", headers=served.key(roles=["admin"])).status_code == 303


def test_roles_see_their_own_pages(served: Served, browser: TestClient) -> None:
    """The others are not in the navigation, and say so when asked for."""
    sign_in(served, browser, "auditor")
    home = browser.get("/console/").headers["location"]
    page = browser.get(home).text
    assert re.findall(r'<a href="(/console/[a-z]+)"', page)[0] == home
    assert "/console/people" not in page
    refused = browser.get("/console/people")
    assert refused.status_code == 403
    assert "This page is not open to you" in refused.text


def test_watchlists_and_the_ledger_are_an_administrators(served: Served, browser: TestClient) -> None:
    """An operator, who may do neither, has neither page; nor the section on a person's own page."""
    person_id = served.enroll("Ada", "ada", 1)
    pages = ("/console/watchlists", "/console/disclosures")
    sign_in(served, browser, "operator")
    assert [browser.get(path).status_code for path in pages] == [403, 403]
    assert 'aria-labelledby="disclosures-head" hidden' in browser.get(f"/console/people/{person_id}").text
    sign_in(served, browser, "admin")
    assert [browser.get(path).status_code for path in pages] == [200, 200]
    assert 'aria-labelledby="disclosures-head">' in browser.get(f"/console/people/{person_id}").text


def test_pages_go_out_under_a_strict_policy(served: Served, browser: TestClient) -> None:
    """No inline script or style, nothing from elsewhere, no frame, nothing kept; the nonce is new each time."""
    sign_in(served, browser, "admin")
    first, second = browser.get("/console/people"), browser.get("/console/people")
    policy = first.headers["content-security-policy"]
    for rule in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert rule in policy
    assert "unsafe" not in policy
    assert policy != second.headers["content-security-policy"]
    assert first.headers["cache-control"] == "no-store"
    assert "microphone=(self)" in first.headers["permissions-policy"]
    assert not re.search(
        r"<script(?![^>]*\bsrc=)(?![^>]*application/json)|<style|\bstyle=|\bon[a-z]+=", first.text
    )


def test_only_what_a_script_serves_waits_for_it(served: Served, browser: TestClient) -> None:
    """Every page with a script comes inert and with the script that ends that; a page without one does not wait."""
    assert '<main class="door" id="page" inert>' in browser.get("/console/sign-in").text
    sign_in(served, browser, "admin")
    for page in PAGES:
        assert re.search(r'<main [^>]*id="page"[^>]* inert>', browser.get(page.path).text), page.path
    nothing = browser.get("/console/recordings/0198f0a2-7d1e-7c55-9a0e-5f1f7a2f9b10").text
    assert re.search(r'<main [^>]*id="page"[^>]*tabindex="-1">', nothing)
    assert "/console/static/theme.js" in nothing


def test_the_session_cookie_is_out_of_reach(served: Served, browser: TestClient) -> None:
    """Scripts cannot read it, and other sites cannot send it."""
    answer = browser.post("/v1/session", headers=served.key(roles=["admin"]))
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


def test_a_recording_that_is_not_there_gets_a_page_that_says_so(served: Served, browser: TestClient) -> None:
    """In the same words as the API."""
    sign_in(served, browser, "admin")
    answer = browser.get("/console/recordings/0198f0a2-7d1e-7c55-9a0e-5f1f7a2f9b10")
    assert answer.status_code == 404
    assert "There is no timeline of this id" in answer.text


def test_files_are_asked_about_each_time(browser: TestClient) -> None:
    """So that an upgrade is seen at once, and a file that did not change is not sent again."""
    answer = browser.get("/console/static/console.css")
    assert answer.headers["cache-control"] == "no-cache"
    again = browser.get("/console/static/console.css", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    assert browser.get("/console/static/../pages.py").status_code == 404


def test_scripts_import_only_what_is_there() -> None:
    """Every import of a module names a file of the console; none names another site."""
    static = CONSOLE / "static"
    scripts = list(static.glob("*.js"))
    assert len(scripts) > 15
    for path in scripts:
        for found in re.findall(r'(?:from|import) "([^"]+)"', path.read_text(encoding="utf-8")):
            assert (static / found).is_file(), f"{path.name} imports {found}"


def test_the_vendored_player_is_what_its_table_says() -> None:
    """Version, licence and hash of what others wrote stand beside it."""
    vendored = CONSOLE / "static" / "vendor"
    table = (vendored / "README.md").read_text(encoding="utf-8")
    digest = hashlib.sha256((vendored / "wavesurfer.esm.js").read_bytes()).hexdigest()
    assert digest in table
    assert "BSD 3-Clause" in (vendored / "wavesurfer.LICENSE.txt").read_text(encoding="utf-8")
