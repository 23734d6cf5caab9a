"""A mock in a container for the tests of an application: pip install testcontainers openai pytest.

Needs Docker, and the image: `docker build --tag aione-mock .` in the checkout, or AIONE_MOCK_IMAGE.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from openai import OpenAI
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HttpWaitStrategy


@pytest.fixture(scope="session")
def mock_url() -> Iterator[str]:
    """Start a mock that serves all tests, and give its URL."""
    image = os.environ.get("AIONE_MOCK_IMAGE", "aione-mock")
    ready = HttpWaitStrategy(8000, "/_mock/ready").for_status_code(200)
    with DockerContainer(image).with_exposed_ports(8000).with_env("AIONE_MOCK_SEED", "7").waiting_for(ready) as mock:
        yield f"http://{mock.get_container_host_ip()}:{mock.get_exposed_port(8000)}"


def test_the_application_asks_a_model(mock_url: str) -> None:
    client = OpenAI(base_url=f"{mock_url}/v1", api_key="sk-nex-demo-every-model")
    answer = client.chat.completions.create(
        model="gpt-5.4", messages=[{"role": "user", "content": "Reply with exactly: On its way."}]
    )
    assert answer.choices[0].message.content == "On its way."
