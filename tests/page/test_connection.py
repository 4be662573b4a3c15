# SPDX-License-Identifier: MIT
"""What stands between the page and its server: TLS, and a proxy that holds the stream back."""
from conftest import FAKE_ENGINE
from page.expecting import expect
from test_tls import make_certificate, options, trusting
from wire import fake_models


def test_over_tls(visit, hostler, tmp_path):
    certificate = make_certificate(tmp_path)
    server = hostler("--models-dir", fake_models(tmp_path / "models", a={}), *options(*certificate), engine=FAKE_ENGINE)
    server.tls = trusting(certificate[0])
    v = visit(server, protocol="https", ignore_https_errors=True)
    v.page.get_by_role("button", name="Load a", exact=True).click()
    expect(v.state("a")).to_have_text("loaded")


def test_a_proxy_that_holds_the_stream_back(visit, axe, hostler, models):
    """The page says what it lacks, and why that may be; without the proxy it is there at once."""
    v = visit(hostler("--models-dir", models))
    expect(v.row("m1")).to_be_visible()
    v.page.clock.install()
    v.page.route("**/hostler/v1/live", lambda route: None)
    v.page.reload()
    expect(v.page.get_by_text("connecting")).to_be_visible()
    v.page.clock.fast_forward(25_000)
    told = v.page.get_by_role("alert").filter(has_text="No connection to the server")
    expect(told).to_contain_text("without buffering")
    v.check_access(axe)
    v.page.unroute("**/hostler/v1/live")
    v.page.get_by_role("button", name="Try now").click()
    expect(v.row("m1")).to_be_visible()
    expect(told).to_have_count(0)
