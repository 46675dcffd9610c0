"""Live calls over a WebSocket: audio in, who speaks out, and nothing kept of either."""

from voxid.service.live.calls import LiveCalls
from voxid.service.live.routes import router

__all__ = ["LiveCalls", "router"]
