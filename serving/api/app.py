"""The application: routes, errors, limits. It holds no state of its own; the house does."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI

from serving.api import contract, errors, headers
from serving.api.bodies import PlainJson
from serving.api.limits import BodyLimit
from serving.api.routes import (
    approvals,
    assistants,
    audit,
    cases,
    chat,
    effects,
    events,
    kpis,
    people,
    policies,
    runs,
    threads,
    tokens,
    traces,
)
from serving.api.routes import house as house_routes
from serving.api.sse import Streams
from serving.api.welcome import StillWelcome
from serving.auth.door import Door
from serving.auth.rates import Rates
from serving.chat.errors import OpenAiErrors
from serving.house import House

ROUTERS = (
    runs.router,
    threads.router,
    assistants.router,
    house_routes.router,
    effects.router,
    cases.router,
    approvals.router,
    events.router,
    policies.router,
    tokens.router,
    people.router,
    audit.router,
    kpis.router,
    traces.router,
    chat.router,
)


def make_app(house: House) -> FastAPI:
    app = routed(docs=house.settings.environment == "development")
    app.state.house = house
    app.state.streams = Streams(house)
    app.state.door = Door(house)
    a_day = house.settings.auth.attached_bytes_a_day
    app.state.attached = Rates(a_day / 86_400, a_day)
    app.add_middleware(StillWelcome, every_s=house.settings.auth.streams_asked_s)
    headers.install(app, house.settings.server)
    return app


def routed(docs: bool = True) -> FastAPI:
    """The routes without a house behind them: enough to describe them."""
    app = FastAPI(
        title="Countersign",
        version=version("countersign-desk"),
        docs_url="/docs" if docs else None,
        redoc_url=None,
        generate_unique_id_function=contract.operation_id,
    )
    app.add_middleware(PlainJson)
    app.add_middleware(BodyLimit)  # added last, it is the first to see a request
    app.add_middleware(OpenAiErrors)
    errors.install(app)
    contract.install(app)
    for router in ROUTERS:
        app.include_router(router)
    return app
