"""Where a remote is, and whether anybody answers there: the clients of clouds try for many minutes."""

from __future__ import annotations

import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from core.away import LOOK_SECONDS, words

GOOGLE = "https://storage.googleapis.com"


def endpoint(config: Mapping[str, Any]) -> str:
    """The web address that stands behind a remote's section of .dvc/config, "" where there is none.

    >>> endpoint({"url": "s3://bucket/everloop", "endpointurl": "http://minio:9000"})
    'http://minio:9000'
    >>> endpoint({"url": "/mnt/backup"}), endpoint({"url": "https://host/path"})
    ('', 'https://host/path')
    """
    url = str(config.get("url", ""))
    scheme = urlsplit(url).scheme
    if scheme == "s3":
        chosen = (
            config.get("endpointurl"),
            *map(os.environ.get, ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")),
        )
        region = config.get("region") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        return next((str(c) for c in chosen if c), f"https://s3.{region}.amazonaws.com")
    return GOOGLE if scheme == "gs" else url if scheme in ("http", "https") else ""


def check_reachable(address: str) -> None:
    """Raises OSError when nobody answers here, or only with 5xx. Any other answer is one.

    No secret is sent, so whose certificate it is does not matter here: the client itself will ask.
    """
    if not address:
        return
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    ask = urllib.request.build_opener(urllib.request.HTTPSHandler(context=anybody), _NoRedirect)
    try:
        ask.open(address, timeout=LOOK_SECONDS).close()
    except urllib.error.HTTPError as answer:
        if answer.code >= 500:
            said = words(answer.read(2000).decode(errors="replace"))
            raise OSError(f"{answer.code} {said or answer.reason}") from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Being sent elsewhere is an answer."""

    def redirect_request(self, *_: object) -> None:
        return None
