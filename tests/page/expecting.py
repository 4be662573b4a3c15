# SPDX-License-Identifier: MIT


def expect(what):
    """Playwright's, which waits for what is expected. Imported at the call: without Playwright the tests are skipped."""
    from playwright.sync_api import expect as of_playwright
    return of_playwright(what)
