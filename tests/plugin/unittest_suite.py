"""A suite for unittest, run by `test_fixtures.test_unittest`."""

# ruff: noqa: PT009, PT027
from __future__ import annotations

import unittest

import httpx2

import aione_mock


class Support(unittest.TestCase):
    """One mock for the class, reset for each test."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.mock = cls.enterClassContext(aione_mock.mock_server(seed=7))

    def setUp(self) -> None:
        self.mock.reset()

    def ask(self) -> str:
        asked = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello"}]}
        headers = {"authorization": f"Bearer {self.mock.api_key}"}
        answer = httpx2.post(f"{self.mock.openai_base_url}/chat/completions", json=asked, headers=headers)
        return answer.json()["choices"][0]["message"]["content"]

    def test_reply(self) -> None:
        self.mock.reply("Hello to you")
        self.assertEqual(self.ask(), "Hello to you")

    def test_fresh(self) -> None:
        self.assertEqual(self.mock.calls, [])

    def test_options_are_checked(self) -> None:
        with self.assertRaisesRegex(TypeError, r"mock_server\(\) has no option 'sed'; did you mean 'seed'\?"):
            aione_mock.mock_server(sed=7).__enter__()
