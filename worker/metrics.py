"""Metrics for Prometheus: read from the worker's parts when asked, and served on a port of its own.

The names, their labels and their meaning are an interface; docs/operations/metrics.md lists them.
Serving takes a thread that sleeps until somebody asks. It reads numbers that the event loop's
thread changes, each of them whole.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from worker.errors import StartupRefusedError
from worker.executor import Executor
from worker.heartbeat import Heartbeat
from worker.queue.intake import QueueWorker
from worker.slots import Slots
from worker.telemetry import BOUNDS, Durations, Telemetry

_BOUND_NAMES = (*map(str, BOUNDS), "+Inf")


class WorkerMetrics(Collector):
    """The metrics of one worker."""

    def __init__(
        self,
        telemetry: Telemetry,
        slots: Slots,
        executor: Executor,
        queue: QueueWorker,
        heartbeat: Heartbeat,
    ) -> None:
        self._telemetry = telemetry
        self._slots = slots
        self._executor = executor
        self._queue = queue
        self._heartbeat = heartbeat

    def collect(self) -> Iterator[Metric]:
        """Yield every metric as it stands now."""
        told, queue = self._telemetry, self._queue
        yield _counter(
            "copydesk_executions_claimed", "Executions claimed.", ("source",), told.claimed
        )
        yield _histogram(
            "copydesk_execution_wait_seconds",
            "From when an execution was due until it was claimed.",
            (),
            {(): told.waited},
        )
        yield _counter(
            "copydesk_attempts",
            "Attempts ended, by the status of the execution then.",
            ("agent", "ending"),
            told.ended,
        )
        yield _histogram(
            "copydesk_attempt_seconds",
            "How long attempts took, recording included.",
            ("agent",),
            told.ran,
        )
        yield _counter(
            "copydesk_agents_leaked", "Agents given up that still ran.", ("agent",), told.leaked
        )
        yield _counter(
            "copydesk_executions_rescued", "Abandoned executions.", ("status",), told.rescued
        )
        yield _counter(
            "copydesk_queue_messages",
            "Messages of the queue.",
            ("fate",),
            {"taken": queue.taken, "finished": queue.finished, "quarantined": queue.set_aside},
        )
        yield _counter(
            "copydesk_queue_wakes",
            "Looks into the queue that found something.",
            ("cause",),
            {"hint": queue.wakes_by_hint, "poll": queue.wakes_by_poll},
        )
        gauges = {
            "copydesk_attempts_running": ("Attempts under way.", self._executor.running),
            "copydesk_slots": ("Attempts that may run at a time.", self._slots.total),
            "copydesk_agents_leaked_running": (
                "Agents given up that still run, beside the slots.",
                self._executor.leaked,
            ),
            "copydesk_lease_renewal_age_seconds": (
                "Since the leases of running attempts were last renewed.",
                self._heartbeat.age,
            ),
        }
        for name, (words, value) in gauges.items():
            yield GaugeMetricFamily(name, words, value=value)


@contextmanager
def serving_metrics(metrics: WorkerMetrics, *, host: str, port: int) -> Iterator[None]:
    """Answer GET on a port with the worker's metrics and those of its process.

    Raises:
        StartupRefusedError: the port cannot be had.
    """
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    registry.register(metrics)
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise StartupRefusedError(
            f"COPYDESK_METRICS_PORT: {host}:{port} cannot be listened on ({error.strerror}); "
            "give each worker of a host a port of its own"
        ) from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _counter(
    name: str,
    words: str,
    labels: tuple[str, ...],
    values: Mapping[str, int] | Mapping[tuple[str, str], int],
) -> Metric:
    family = CounterMetricFamily(name, words, labels=labels)
    for key, value in list(values.items()):
        family.add_metric((key,) if isinstance(key, str) else key, value)
    return family


def _histogram(
    name: str,
    words: str,
    labels: tuple[str, ...],
    values: Mapping[str, Durations] | Mapping[tuple[()], Durations],
) -> Metric:
    family = HistogramMetricFamily(name, words, labels=labels)
    for key, durations in list(values.items()):
        names: Iterable[str] = (key,) if isinstance(key, str) else key
        sums = accumulate(list(durations.buckets))
        buckets = list(zip(_BOUND_NAMES, map(float, sums), strict=True))
        family.add_metric(tuple(names), buckets, durations.seconds)
    return family
