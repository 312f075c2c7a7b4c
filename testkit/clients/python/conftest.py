"""What the suites share: where the gateway is, and what its provider saw."""

import json
import os
import time
import urllib.request
import uuid

import pytest

REST = os.environ["GATEWAY_REST"]
GRPC = os.environ["GATEWAY_GRPC"]
KEY = os.environ["GATEWAY_KEY"]
ADMIN_KEY = os.environ["GATEWAY_ADMIN_KEY"]
CONTROL = os.environ["PROVIDER_CONTROL"]

WITHIN_A_SECOND = 1.0


class Trace:
    """One request's id, and what the provider saw under it."""

    def __init__(self):
        self.id = str(uuid.uuid4())
        self.headers = {"x-request-id": self.id}

    def seen(self):
        with urllib.request.urlopen(f"{CONTROL}/seen?request_id={self.id}") as answer:
            return json.load(answer)

    def the_only_one(self):
        """The one request that the provider saw under this id."""
        seen = self.seen()
        assert len(seen) == 1, seen
        return seen[0]

    def arrives(self):
        """Waits until the provider has the request."""
        until(lambda: self.seen(), 5.0, "the request did not reach the provider")

    def is_open(self):
        return not self.the_only_one()["closed"]

    def closes(self):
        """The provider's connection is closed within a second from now."""
        until(lambda: not self.is_open(), WITHIN_A_SECOND, "the provider's connection was not closed in time")


def until(condition, seconds, otherwise):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, otherwise
        time.sleep(0.01)


@pytest.fixture
def trace():
    return Trace()
