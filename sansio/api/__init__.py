"""The server API over HTTP."""

from .api import Api as Api
