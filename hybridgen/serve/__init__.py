"""hybridgen as a service: a queue of jobs over worker processes, and REST routes over the queue.

`jobs` is the contract: what a page in the same process uses too. `app.create_app` is the FastAPI application.
"""
