"""The application: routes, errors, limits. It holds no state of its own; the house does."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI

from serving.api import errors
from serving.api.limits import BodyLimit
from serving.api.routes import approvals, cases, effects, events, policies
from serving.api.routes import house as house_routes
from serving.house import House


def make_app(house: House) -> FastAPI:
    app = FastAPI(title="Countersign", version=version("countersign-desk"), docs_url="/docs", redoc_url=None)
    app.state.house = house
    app.add_middleware(BodyLimit)
    errors.install(app)
    for router in (house_routes.router, effects.router, cases.router, approvals.router, events.router, policies.router):
        app.include_router(router)
    return app
