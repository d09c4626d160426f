"""A model hub on this machine, of folders: what huggingface_hub asks when it looks models up and fetches them."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def stand_in_hub(repositories: Mapping[str, Path]) -> Iterator[tuple[str, list[str]]]:
    """Its address, for ``HF_ENDPOINT``, and the paths of files that were fetched from it.

    Args:
        repositories: ``owner/name`` -> folder; each has one commit.
    """
    fetched: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is written."""

        def _answer(self, *, body: bool) -> None:
            parts = self.path.partition("?")[0].strip("/").split("/")
            if parts[:2] == ["api", "models"] and "/".join(parts[2:4]) in repositories:
                name = "/".join(parts[2:4])
                files = _files(repositories[name])
                if "tree" in parts:
                    found: object = [
                        {"type": "file", "path": path, "size": len(data), "oid": _tag(data)}
                        for path, data in files.items()
                    ]
                else:
                    siblings = [{"rfilename": path} for path in files]
                    found = {"id": name, "sha": COMMIT, "siblings": siblings, "tags": [], "private": False}
                self._send(json.dumps(found).encode(), body, "application/json")
                return
            name, path = "/".join(parts[:2]), "/".join(parts[4:])
            data = (
                _files(repositories[name]).get(path)
                if name in repositories and parts[2:3] == ["resolve"]
                else None
            )
            if data is None:
                self._missing("EntryNotFound" if name in repositories else "RepoNotFound")
                return
            if body:
                fetched.append(f"{name}/{path}")
            self._send(data, body, "application/octet-stream")

        def _send(self, data: bytes, body: bool, kind: str) -> None:
            self.send_response(200)
            for key, value in (
                ("Content-Type", kind), ("Content-Length", str(len(data))), ("ETag", f'"{_tag(data)}"'),
                ("X-Repo-Commit", COMMIT),
            ):  # fmt: skip
                self.send_header(key, value)
            self.end_headers()
            if body:
                self.wfile.write(data)

        def _missing(self, code: str) -> None:
            self.send_response(404)
            self.send_header("X-Error-Code", code)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", "0")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", fetched
    finally:
        server.shutdown()
        server.server_close()


def _files(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def _tag(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()
