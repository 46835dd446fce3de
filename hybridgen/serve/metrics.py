"""How a server is doing, as Prometheus reads it."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from hybridgen.serve.jobs import Jobs


class JobCollector:
    """Reads a queue when it is asked."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def collect(self) -> Iterator[Metric]:
        """All metrics as they are now."""
        jobs = self._jobs
        yield GaugeMetricFamily("hybridgen_jobs_waiting", "Jobs in the queue.", jobs.n_waiting)
        yield GaugeMetricFamily("hybridgen_jobs_running", "Jobs under way.", jobs.running)
        yield GaugeMetricFamily("hybridgen_workers", "Worker processes.", jobs.n_workers)
        yield GaugeMetricFamily("hybridgen_kept", "Results and uploads that are kept.", jobs.store.n_kept)
        yield GaugeMetricFamily("hybridgen_kept_bytes", "Bytes that they take.", jobs.store.n_bytes)
        yield CounterMetricFamily("hybridgen_refused", "Jobs for which the queue had no room.", jobs.refused)
        yield CounterMetricFamily("hybridgen_worker_restarts", "Workers that have ended unasked.", jobs.restarts)
        ended = CounterMetricFamily("hybridgen_jobs", "Jobs that have ended.", labels=["kind", "state"])
        for (kind, state), count in sorted(jobs.ended.items()):
            ended.add_metric([kind, state], count)
        yield ended
        spent = CounterMetricFamily("hybridgen_job_seconds", "Seconds that workers have worked.", labels=["kind"])
        for kind, seconds in sorted(jobs.spent.items()):
            spent.add_metric([kind], seconds)
        yield spent


def page(jobs: Jobs) -> bytes:
    """The metrics as text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(JobCollector(jobs))
    return generate_latest(registry)
