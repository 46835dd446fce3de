"""hybridgen as a service: a queue of jobs over worker processes, and REST routes over the queue.

`jobs` is the contract: what other programs in the same process use too. `app.create_app` is the FastAPI application.
"""
