"""The gallery behind an API: FastAPI application, jobs, live calls, console."""
