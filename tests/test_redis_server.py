"""The Redis server that tests of the store start."""

from __future__ import annotations

import pytest
import redis

from tests.redis_server import is_answering, running_redis


def test_each_server_is_empty_and_ends_with_its_block() -> None:
    with running_redis() as first, running_redis("--requirepass", "s3cret") as second:
        with redis.Redis.from_url(first) as client:
            client.set("a", "1")
            assert client.keys() == [b"a"]
        with redis.Redis.from_url(second, password="s3cret") as client:
            assert client.keys() == []
        with redis.Redis.from_url(second) as client, pytest.raises(redis.AuthenticationError):
            client.keys()
        ports = [int(url.rpartition(":")[2].partition("/")[0]) for url in (first, second)]
        assert all(map(is_answering, ports))
    assert not any(map(is_answering, ports))


def test_a_wrong_option_is_an_error() -> None:
    with pytest.raises(ConnectionError, match="--no-such-option"), running_redis("--no-such-option", "1"):
        pass
