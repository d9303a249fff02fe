"""What stands around the protocols: log and numbers, keys, limits, the webhook."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from functools import partial

from fastapi import FastAPI

from core.store import Store
from serving.access_log import AccessLog
from serving.bodies import Bodies
from serving.engine import Engine
from serving.head import HeadRequests
from serving.keys import Guard, Keyring
from serving.limits import FeedbackLimit, Rate
from serving.metrics import metrics_page
from serving.sampler import Sampler
from serving.settings import Serving
from serving.shutdown import Ending, NotReady, lifespan
from serving.sites import CrossSiteGuard
from serving.tracing import Tracing
from serving.webhook import mlflow_webhook


def operate(
    app: FastAPI, engine: Engine, store: Store, clock: Callable[[], datetime], settings: Serving
) -> None:
    """Make an app with routes a server that can be put in front of users."""
    keyring, ending = Keyring(store.keys.all), Ending()
    app.state.ending = ending
    app.router.lifespan_context = lifespan(
        engine, keyring, ending, settings, partial(Sampler, store, engine.metrics, clock)
    )
    app.include_router(metrics_page(engine.metrics))
    secret = os.environ.get("EVERLOOP_WEBHOOK_SECRET", "")
    app.include_router(mlflow_webhook(engine.refresh, secret, clock))
    # the last one added is asked first
    app.add_middleware(HeadRequests)
    app.add_middleware(Bodies, most=settings.max_body_bytes)
    app.add_middleware(FeedbackLimit, rate=Rate(settings.feedback_per_minute))
    app.add_middleware(CrossSiteGuard)
    app.add_middleware(Guard, keyring=keyring)
    app.add_middleware(NotReady, ending=ending)
    app.add_middleware(AccessLog, metrics=engine.metrics)
    app.add_middleware(Tracing)
