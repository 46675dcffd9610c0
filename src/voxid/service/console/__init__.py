"""The console: pages for a browser, each a client of the API under the session's own rights."""
