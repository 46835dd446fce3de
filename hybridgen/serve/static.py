"""The page's own files, as a browser may use them: nothing from elsewhere, nothing inline, nobody's frame."""

import os
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from hybridgen.serve.owners import Owners

FOLDER = Path(__file__).parents[1] / "page"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
    "connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors "
)


class Page(StaticFiles):
    """The files in `FOLDER`, with the headers that a browser is told to hold the page to."""

    def __init__(self, known: Owners) -> None:
        super().__init__(directory=FOLDER, html=True)
        self._headers = {
            "Content-Security-Policy": POLICY + (" ".join(known.framed_by) or "'none'"),
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-cache",  # asked again each time, and answered with 304 while it is the same
        }

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file of the page; a path that goes up again, which would be the page itself, is not there."""
        if ".." in scope["path"].split("/"):
            raise HTTPException(404)
        return await super().get_response(path, scope)

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """A file, or that the browser has it already."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(self._headers)
        return response
