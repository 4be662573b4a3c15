# SPDX-License-Identifier: MIT
"""The page in a real Chromium (Playwright drives it; scripts/python-packages fetches that).

Every visit fails its test for what no page may do: an error on the console, a violation of the Content-Security-Policy,
a request to another host. Waiting is on conditions with a bound of PATIENCE.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import urllib.parse

import pytest

from conftest import PATIENCE, ROOT

DRIVER = os.environ.get("BROWSER_DRIVER", "")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
AXE = ROOT / "ui/node_modules/axe-core/axe.min.js"
FAILURES = ROOT / "build/page-failures"
sys.path.insert(0, str(ROOT / "tests/integration"))
if os.path.isdir(DRIVER):
    sys.path.insert(0, DRIVER)


def why_not():
    if not CHROMIUM:
        return "no chromium here: scripts/setup test installs it where apt has it"
    if not os.path.isdir(DRIVER):
        return "Playwright is missing: scripts/python-packages browser could not fetch it"
    return None


def pytest_collection_modifyitems(items):
    reason = why_not()
    for item in items:
        if reason and pathlib.Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.failed = outcome.get_result().failed


@pytest.fixture(scope="module")
def browser():
    """Of a module, not of the session: while it runs, this thread has an event loop, which tests with one of their own
    cannot bear."""
    from playwright.sync_api import expect, sync_playwright
    expect.set_options(timeout=PATIENCE * 1000)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=[
            "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def axe():
    """The source of axe-core, which looks for what keeps people from using a page."""
    if not AXE.exists():
        subprocess.run([ROOT / "scripts/ui", "packages", "--dev"], check=False)
    if not AXE.exists():
        pytest.skip("axe-core is missing: scripts/ui packages --dev could not fetch it")
    return AXE.read_text(encoding="utf-8")


REPORT_VIOLATIONS = """addEventListener("securitypolicyviolation",
    (e) => console.error(`CSP: ${e.violatedDirective} forbids ${e.blockedURI} ${e.sample}`))"""
# What Chromium says of an answer that is an error, and of a server that is away, is no error of the page.
OF_THE_NETWORK = re.compile(r"Failed to load resource: (the server responded with a status of [45]\d\d|net::ERR_)")


class Visit:
    """A tab that shows the page of `server`. `page` is Playwright's."""

    def __init__(self, browser, server, view="models", width=1280, height=800, scheme="light", prefix="", protocol="http", **context):
        self.origin = f"{protocol}://127.0.0.1:{server.port}"
        self.base = f"{self.origin}{prefix}/hostler/"
        self.errors = []
        self.urls = []
        self.context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme,
                                           reduced_motion="reduce", **context)
        self.context.set_default_timeout(PATIENCE * 1000)
        self.context.add_init_script(REPORT_VIOLATIONS)
        self.context.on("request", self.on_request)
        self.page = self.context.new_page()
        self.page.on("console", self.on_console)
        self.page.on("pageerror", lambda error: self.errors.append(f"exception: {error}"))
        self.show(view)

    def show(self, view):
        self.page.goto(f"{self.base}#/{view}")

    def on_request(self, request):
        self.urls.append(request.url)
        url = urllib.parse.urlsplit(request.url)
        if url.scheme not in ("data", "blob") and f"{url.scheme}://{url.netloc}" != self.origin:
            self.errors.append(f"a request to {request.url}")

    def on_console(self, message):
        if message.type in ("error", "warning") and not OF_THE_NETWORK.match(message.text):
            self.errors.append(f"console: {message.text} ({message.location.get('url')})")

    def check_access(self, axe):
        """Nothing that axe-core calls serious keeps anybody from using what is shown."""
        self.page.evaluate(f"() => {{ {axe}\n }}")
        found = self.page.evaluate("""async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
            .filter((v) => v.impact === "serious" || v.impact === "critical")
            .map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => n.html.slice(0, 200) + " " + n.any.map((a) => a.message)).slice(0, 3).join(" | ")}`)""")
        assert found == []

    def check_access_in_both_schemes(self, axe):
        for scheme in ("dark", "light"):
            self.page.emulate_media(color_scheme=scheme)
            self.check_access(axe)

    def row(self, model):
        """A model's row in the list."""
        return self.page.locator(f'.model-row[data-id="{model}"]')

    def state(self, model):
        """Where the row says what state it is in."""
        return self.row(model).locator(".state-line")

    def store(self):
        """All that the tab keeps, as text."""
        return json.dumps(self.page.evaluate("""async () => ({local: {...localStorage}, cookies: document.cookie,
            databases: await Promise.all((await indexedDB.databases()).map((d) => new Promise((resolve) => {
              const request = indexedDB.open(d.name);
              request.onsuccess = () => {
                const names = [...request.result.objectStoreNames];
                if (!names.length) return resolve([]);
                const all = names.map((n) => new Promise((r) => {
                  const get = request.result.transaction(n).objectStore(n).getAll();
                  get.onsuccess = () => r(get.result);
                }));
                Promise.all(all).then(resolve);
              };
            })))})"""))


@pytest.fixture
def visit(browser, request, hostler):
    """visit(server, view, width=…, scheme=…): a new tab, with a store of its own. It is closed before the server ends
    (`hostler` is named for that), which would wait for answers that the tab reads."""
    visits = []

    def begin(server, view="models", **more):
        visits.append(Visit(browser, server, view, **more))
        return visits[-1]

    yield begin
    for number, v in enumerate(visits):
        if getattr(request.node, "failed", False):
            FAILURES.mkdir(parents=True, exist_ok=True)
            v.page.screenshot(path=FAILURES / f"{request.node.name.replace('/', '_')}-{number}.png")
        v.context.close()
    assert [v.errors for v in visits if v.errors] == []
