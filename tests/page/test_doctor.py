# SPDX-License-Identifier: MIT
"""The screen Doctor."""
from page.expecting import expect


def test_findings_and_commands(visit, hostler, models):
    v = visit(hostler("--models-dir", models), "doctor", permissions=["clipboard-read", "clipboard-write"])
    expect(v.page.get_by_role("listitem").filter(has_text="engine").first).to_be_visible()
    expect(v.page.get_by_role("button", name="Check again")).to_be_enabled()
    expect(v.page.get_by_role("listitem").filter(has_text="4 models").first).to_be_visible()
