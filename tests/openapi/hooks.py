"""What schemathesis cannot know of this API.

Requests that the document allows are led to a few names, so that what one makes the next one finds, changes and ends, and to an
upstream of the test's own, because providers are sent real requests. Requests that the document forbids stay as they are.
"""

import os
import zlib
from urllib.parse import urlsplit

import schemathesis

UPSTREAM = os.environ["SCHEMATHESIS_UPSTREAM"]

# Those of the file, which are read-only, and two that come and go.
PROVIDERS = ["main", "north", "south"]
MODELS = ["filed", "east", "west"]
KEYS = ["filed", "red", "green"]
NAMES = {
    "/admin/v1/providers": PROVIDERS,
    "/admin/v1/models": MODELS,
    "/admin/v1/master-keys": KEYS,
    "/api/keys": KEYS,
    "/v1/models": ["gpt-4o", "filed", "east"],
}


def of(names, case):
    """One of the names, always the same for the same request."""
    return names[zlib.crc32(repr((case.path_parameters, case.body)).encode()) % len(names)]


def at_upstream(address):
    """The address at the upstream instead."""
    return UPSTREAM + urlsplit(address).path if isinstance(address, str) else UPSTREAM


def sensible(path, body):
    """The body, leading to somewhere that exists."""
    body = dict(body)
    if path.endswith(("/health", "/health/check")):
        body["models"] = body.get("models") or ["gpt-4o"]
    elif path.startswith("/admin/v1/providers"):
        body["api_base"] = at_upstream(body.get("api_base"))
    elif path.startswith("/admin/v1/models"):
        if isinstance(body.get("endpoint"), str):
            body["endpoint"] = at_upstream(body["endpoint"])
        else:
            # A provider has its own keys and names.
            body = {name: value for name, value in body.items() if name not in ("api_key", "api_keys", "model")}
            body["targets"] = [{**target, "provider": "main"} for target in body.get("targets") or [{}]]
    elif "model" in body:
        body["model"] = "gpt-4o"
    return body


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    path = case.operation.path
    names = next((names for root, names in NAMES.items() if path == root or path.startswith(root + "/")), None)
    # One in four is a stranger.
    is_known = zlib.crc32(repr((path, case.body)).encode()) % 4 != 0
    name = of(names, case) if names and is_known else None
    if isinstance(case.body, dict):
        body = sensible(path, case.body)
        if name and "id" in body:
            body["id"] = name
        case.body = body
    if name and "id" in (case.path_parameters or {}):
        case.path_parameters["id"] = name
