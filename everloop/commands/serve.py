"""everloop serve: the HTTP server of a workspace."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from everloop.commands.options import WorkspaceOption
from everloop.progress import over

if TYPE_CHECKING:
    from flows.session import Session
    from serving.labelling.annotation_queue import Labelling

BUSY = 1.0  # seconds that a caller waits for a locked store before the answer goes to disk


def serve(
    workspace: WorkspaceOption = Path(),
    host: Annotated[str | None, typer.Option(help="Instead of serving.host of params.yaml.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Instead of serving.port of params.yaml.")
    ] = None,
    log_level: Annotated[
        Literal["info", "warning", "error"],
        typer.Option(help="info has a line for every request; the others only for failed ones."),
    ] = "info",
) -> None:
    """Serve the champion over HTTP.

    It listens at once, and /ready says when the model is loaded. /docs explains every call, /label is
    the page to label texts. Logs are JSON lines on stderr. SIGTERM or Ctrl-C: it answers what it
    began, stores it, and ends.

    Example: everloop serve -w shop --port 8000
    """
    over()  # its stderr is a log
    from datetime import UTC, datetime
    from functools import partial

    from core.store import Store
    from flows.log import open_writer
    from flows.session import open_session
    from serving.app import create_app
    from serving.cache import Cache
    from serving.engine import Engine
    from serving.engines.chosen import choose
    from serving.keys import check_exposure
    from serving.metrics import Metrics
    from serving.service import Service
    from serving.shutdown import run
    from serving.tracing import tracing

    session = open_session(workspace)
    settings = session.strategy.serving
    clock = partial(datetime.now, UTC)
    with _listening(host or settings.host, settings.port if port is None else port) as door, tracing():
        address = door.getsockname()
        check_exposure(address[0], session.store.keys.all())
        session.store.state.champion()  # without one there is nothing to wait for
        store = Store(session.store.url, BUSY, session.store.label_set_at, session.task)
        metrics, logging = Metrics(), session.strategy.logging
        cache = Cache(settings.cache_entries) if settings.cache_entries else None
        chosen = choose(settings, session.task, session.registry.load)
        service = Service(store, chosen.load, logging.max_text_characters, cache=cache, policy=logging)
        alias = partial(session.registry.version, "champion")
        writer = open_writer(session, store, metrics)
        engine = Engine(
            service,
            clock,
            metrics,
            settings,
            writer=writer,
            alias=alias,
            concurrency=chosen.concurrency,
        )
        app = create_app(engine, store, clock, settings, _labelling(session))
        url = "http://{}:{}".format(f"[{address[0]}]" if ":" in address[0] else address[0], address[1])
        typer.echo(f"serving on {url}, explained at {url}/docs; Ctrl-C stops")
        run(app, door, settings, log_level)


def _labelling(session: Session) -> Labelling:
    """What the page at /label needs of params.yaml."""
    from core.errors import WorkspaceError
    from core.workspace import inside
    from serving.labelling.annotation_queue import Labelling

    section = session.strategy.labeling
    if section.guideline and not inside(session.workspace.root, section.guideline):
        raise WorkspaceError(
            "labeling.guideline leads out of the workspace",
            where=str(session.workspace.params),
            got=str((session.workspace.root / section.guideline).resolve()),
            expected="a file in the workspace",
            do="copy it there, and name the copy",
        )
    closed = section.closed
    return Labelling(
        labels=tuple(closed) if closed else None,
        annotators=section.annotators,
        guideline=session.workspace.root / section.guideline if section.guideline else None,
    )


def _listening(host: str, port: int) -> socket.socket:
    """An open port. Raises EverloopError when it cannot be had."""
    from core.errors import EverloopError

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as fault:
        raise EverloopError(
            "the server cannot listen here",
            where=f"{host}:{port}",
            got=(fault.strerror or str(fault)).partition(" (while")[0].lower(),
            expected="a free port on an address of this machine",
            do="everloop serve --port ANOTHER",
        ) from None
