"""What a page of another origin may do with the mock, in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Error, Page

from .application import Application

KEY = "sk-nex-demo-every-model"
FETCH = "url => fetch(url).then(answer => answer.text())"
STREAM = """
async ([url, key, scenario]) => {
    const answer = await fetch(url, {
        method: "POST",
        headers: {"Authorization": `Bearer ${key}`, "Content-Type": "application/json", "X-Mock-Scenario": scenario},
        body: JSON.stringify({
            model: "gpt-5.4", stream: true, max_tokens: 40, messages: [{role: "user", content: "Count to ten"}],
        }),
    });
    const pieces = [];
    for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) pieces.push(piece);
    const left = answer.headers.get("x-ratelimit-remaining-requests");
    return {status: answer.status, id: answer.headers.get("x-request-id"), left, pieces};
}
"""


def test_a_page_of_another_origin_reads_a_stream(page: Page, app: Application, other_origin: str) -> None:
    page.goto(other_origin)
    url = f"{app.url}/v1/chat/completions"
    answer = page.evaluate(STREAM, [url, KEY, "pace; tps=100"])
    assert answer["status"] == 200
    assert answer["id"].startswith("req_")
    assert int(answer["left"]) > 0
    assert len(answer["pieces"]) > 5  # as it is written, not at the end
    assert "".join(answer["pieces"]).endswith("data: [DONE]\n\n")


def test_a_page_of_another_origin_reads_why_it_is_refused(page: Page, app: Application, other_origin: str) -> None:
    page.goto(other_origin)
    answer = page.evaluate(STREAM, [f"{app.url}/chat/completions", KEY, ""])
    assert answer["status"] == 404
    assert "The base URL lacks /v1." in "".join(answer["pieces"])


def test_a_page_of_another_origin_cannot_read_the_control_api(page: Page, app: Application, other_origin: str) -> None:
    url = f"{app.url}/_mock"
    answer = page.goto(url)
    assert answer is not None
    assert answer.ok
    page.goto(other_origin)
    with pytest.raises(Error, match="Failed to fetch"):
        page.evaluate(FETCH, url)
