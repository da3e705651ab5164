"""The scheduler tier: many requests of a decoder, by priority, deadline, pages and the cost of a pass."""
import ctypes
import time
import weakref

from . import abi
from .abi import Status
from .decoder import run_pass
from .library import int_array


class Scheduler:
    """Says which requests of `decoder` have rows in the next pass, and how many; never runs a model. When pages are
    short a request is preempted, and what it had is computed again later; its text is the same.

    The decoder's options said preemptible=1; it has one scheduler at most. `options`: fields of anb_scheduler_options.
    What requests have written is read from the decoder: events, request, branch. A time `now` is seconds of any clock
    that does not go back, by default time.monotonic().
    """

    def __init__(self, decoder, **options):
        self.decoder, self.lib = decoder, decoder.lib
        handle = ctypes.c_void_p()
        decoder._call("scheduler_create", decoder, self.lib.make(abi.SchedulerOptions, options), handle)
        self._as_parameter_ = handle
        self.close = weakref.finalize(self, self.lib.destroyer("scheduler"), handle)

    def submit(self, prompt, priority=0, deadline=None, stop=(), logit_bias=None, **options):
        """A new request's number, or None: the queue is full. Higher priorities come first; at its deadline, a time as
        `now`, a request ends with what is written. The rest as Decoder.submit."""
        schedule = self.lib.make(abi.Schedule, {"priority": priority, "deadline": deadline or 0.0})
        made = self.decoder._request_options(stop, logit_bias, options)
        request = ctypes.c_uint64()
        status = self.decoder._call(
            "scheduler_submit", self, *int_array(prompt, "the prompt"), made, schedule, request)
        return None if status == Status.NO_ROOM else request.value

    def plan(self, now=None):
        """As Decoder.plan; false: pages that are no request's are in the way."""
        return self.decoder._plan_with("scheduler_plan", self, _seconds(now))

    def commit(self, logits, now=None):
        """As Decoder.commit. What passed since `plan` is what the pass cost."""
        self.decoder._commit_with("scheduler_commit", logits, self, _seconds(now))

    def commit_sampled(self, tokens, now=None):
        """One token per output, sampled by the host."""
        self.decoder._call("scheduler_commit_sampled", self, *int_array(tokens), _seconds(now))
        self.decoder._end_plan()

    def abort(self):
        self.decoder._call("scheduler_abort", self)
        self.decoder._end_plan()

    def run(self, model):
        """Runs passes with `model`, a function from a Plan to logits, while requests run, and yields the events of all
        of them. More may be submitted meanwhile. A pass whose model fails is aborted, its requests stay."""
        while run_pass(self, model):
            yield from self.decoder.events()
        yield from self.decoder.events()

    def cancel(self, request):
        """At any moment; its pages are free then, its text stays."""
        self.decoder._call("scheduler_cancel", self, request)

    def finish(self, request):
        """Between two passes: ends a request as a limit would."""
        self.decoder._call("scheduler_finish", self, request)

    def release(self, request):
        """Forgets a request; until then its history takes pages while these are not short."""
        self.decoder._call("scheduler_release", self, request)

    def state(self):
        """n_running, n_queued, n_preempted, n_evicted, n_deferred, load."""
        state = self.lib.make(abi.SchedulerState)
        self.decoder._call("scheduler_get_state", self, state)
        return state


def _seconds(now):
    return time.monotonic() if now is None else now
