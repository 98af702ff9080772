"""HTTP: the app and the process that serves it. Nothing else in the service knows the framework."""

from service.api.app import create_app
from service.api.server import run_api

__all__ = ["create_app", "run_api"]
