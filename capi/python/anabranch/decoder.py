"""The decoder tier: requests in, passes to run, events out."""
import ctypes
import math
import time
import weakref
from dataclasses import dataclass, field

from . import abi
from .abi import EventKind, LogitType, Reason, Role, Status
from .cache import Plan
from .library import Error, c_text, in_range, int_array

# By the format of a memoryview.
LOGIT_TYPES = {"f": LogitType.FLOAT32, "e": LogitType.FLOAT16, "H": LogitType.BFLOAT16}
_TYPE_NAMES = {"f": "float32", "d": "float64", "e": "float16", "b": "int8", "B": "uint8", "h": "int16", "H": "uint16",
              "i": "int32", "I": "uint32", "l": "int64", "L": "uint64", "q": "int64", "Q": "uint64", "?": "bool"}
_YEAR = 366 * 24 * 3600.0  # seconds


@dataclass
class Event:
    """Something that happened; fields as in anb_event."""

    kind: EventKind
    request: int
    branch: int  # 0: the trunk
    token: int = 0
    role: Role = Role.TEXT
    forced: bool = False
    log_probability: float = math.nan
    top: list = field(default_factory=list)  # (token, log-probability), likeliest first
    text: str = ""
    first_branch: int = 0
    n_branches: int = 0
    reason: Reason = Reason.NONE
    user_data: int = 0  # of the request, as submitted

    @classmethod
    def of(cls, e):
        top = [(entry.token, entry.log_probability) for entry in e.top[: e.n_top]]
        return cls(EventKind(e.kind), e.request, e.branch, e.token, Role(e.role), bool(e.forced), e.log_probability,
                   top, _text(e.text, e.n_text), e.first_branch, e.n_branches, Reason(e.reason),
                   e.user_data)

    def __str__(self):
        what = {
            EventKind.TOKEN: repr(self.text),
            EventKind.FORK: f"branches {self.first_branch} to {self.first_branch + self.n_branches - 1}",
            EventKind.JOIN: f"after branches {self.first_branch} to {self.first_branch + self.n_branches - 1}",
        }.get(self.kind, self.reason.name.lower())
        return f"{self.kind.name.lower()} {self.branch}: {what}"


@dataclass
class Branch:
    """A sequence of a request as the reader sees it. `path`: (block, branch) from the trunk down."""

    title: str
    text: str
    reason: Reason
    path: list
    sequence: int
    tokens: list  # as `text`, sampled and forced: tags and titles are among them


class Decoder:
    """Plans the passes of its requests and samples their tokens; never runs a model.

    `markup`: "serial", "skeleton", "aspd", a dict with its `name` and other fields of anb_markup, or an abi.Markup.
    `tokenizer`: has to_text(tokens) -> bytes, what tokens say in the midst of a text, and to_tokens(str) -> integers,
    of a text in the midst of another, so without a blank in front (skeleton needs it;
    with it an aspd branch that a limit ends is closed by a line break); perhaps stop_token(str) -> the special token of
    this name, None when the text holds none: then names of special tokens may be stops. `end_of_text`: tokens
    that end an answer or a branch. `options`: fields of anb_decoder_options.
    """

    def __init__(self, cache, markup="serial", tokenizer=None, end_of_text=(), **options):
        self.cache, self.lib, self._failure, self._plan = cache, cache.lib, None, None
        if isinstance(markup, str):
            markup = {"name": markup}
        if isinstance(markup, dict):
            if "title_separator" in markup:
                markup = {**markup, "n_title_separator": len(markup["title_separator"])}
            markup = self.lib.make(abi.Markup, markup)
        if markup.name == b"skeleton" and not hasattr(tokenizer, "to_tokens"):
            raise Error(Status.BAD_MARKUP, "markup skeleton needs a tokenizer with to_text(tokens) and to_tokens(text); "
                        f"it was given {'none' if tokenizer is None else type(tokenizer).__name__}")
        ends, n_ends = int_array(end_of_text)
        text = self._text_callbacks(tokenizer)
        options = {**options, "markup": markup, "text": text, "end_of_text": ends, "n_end_of_text": n_ends}
        handle = ctypes.c_void_p()
        self._call("decoder_create", cache, self.lib.make(abi.DecoderOptions, options), handle)
        self._as_parameter_ = handle
        destroy = self.lib.destroyer("decoder")
        self.close = weakref.finalize(self, lambda handle, *kept: destroy(handle), handle, text, markup)

    def _text_callbacks(self, tokenizer):
        if tokenizer is None:
            return None
        failures = weakref.ref(self)  # the callbacks must not keep their decoder alive

        def guarded(write):
            def callback(*arguments):
                try:
                    return write(*arguments)
                except BaseException as error:  # must not get into C; raised again once that has returned
                    failures()._failure = error
                    return -2  # below any token

            return callback

        @guarded
        def detokenize(tokens, n, out, capacity, _):
            text = tokenizer.to_text(tokens[:n])
            if not isinstance(text, (bytes, bytearray)):
                raise TypeError(f"the tokenizer's to_text gave {type(text).__name__}; it must give bytes")
            if len(text) <= capacity:
                text = bytes(text)
                ctypes.memmove(out, text, len(text))
            return len(text)

        @guarded
        def text_to_tokens(text, n, out, capacity, _):
            tokens, n_tokens = int_array(tokenizer.to_tokens(_text(text, n)))
            if n_tokens <= capacity:
                ctypes.memmove(out, tokens, ctypes.sizeof(tokens))
            return n_tokens

        @guarded
        def stop_token(text, n, _):
            token = tokenizer.stop_token(_text(text, n))
            return abi.UNKNOWN_TOKEN if token is None else in_range(token, abi.i32)

        if not callable(getattr(tokenizer, "to_text", None)):
            raise TypeError(f"the tokenizer, of type {type(tokenizer).__name__}, has no to_text(tokens) -> bytes")
        callbacks = {"detokenize": abi.DETOKENIZE(detokenize)}
        if hasattr(tokenizer, "stop_token"):
            callbacks["stop_token"] = abi.STOP_TOKEN(stop_token)
        if hasattr(tokenizer, "to_tokens"):
            callbacks["text_to_tokens"] = abi.TEXT_TO_TOKENS(text_to_tokens)
        return self.lib.make(abi.Text, callbacks)

    def _call(self, name, *arguments):
        try:
            return self.lib.call(name, *arguments)
        except Error as error:
            failure, self._failure = self._failure, None
            if error.status == Status.CALLBACK_FAILED and failure is not None:
                raise failure from error
            raise

    def submit(self, prompt, stop=(), logit_bias=None, **options):
        """A new request's number. `prompt`: token ids, from the model's own tokenizer; `stop`: a list of texts, token
        ids and names of special tokens (see the tokenizer's stop_token); `logit_bias`: {token: what its logit gains};
        `options`: fields of anb_request_options."""
        request = ctypes.c_uint64()
        made = self._request_options(stop, logit_bias, options)
        self._call("decoder_submit", self, *int_array(prompt, "the prompt"), made, request)
        return request.value

    def _request_options(self, stop, logit_bias, options):
        for counted in ("n_stop", "stop_tokens", "n_stop_tokens", "n_logit_bias"):
            if counted in options:
                raise TypeError(f"submit takes no {counted}; it is made of the list `stop` and of `logit_bias`")
        texts, tokens = _stops(stop)
        biases = _biases(logit_bias)
        made = self.lib.make(abi.RequestOptions, {
            **options, "n_stop": len(texts), "stop_tokens": tokens, "n_stop_tokens": len(tokens),
            "n_logit_bias": len(biases)})
        made.stop = (ctypes.c_char_p * len(texts))(*texts)
        made.logit_bias = (abi.LogitBias * len(biases))(*biases)
        return made

    def plan(self):
        """The next Plan; false when pages are missing; None when no request runs."""
        return self._plan_with("decoder_plan", self)

    def _plan_with(self, function, *arguments):
        struct = self.lib.make(abi.PlanStruct)
        status = self._call(function, *arguments, struct)
        if status == Status.NOTHING_TO_DO:
            return None
        plan = Plan(self.cache, struct, status)
        self._plan = plan if plan else None
        return plan

    def output(self, i):
        """Everything that decides the token of output i besides its logits (abi.OutputSettings)."""
        settings = self.lib.make(abi.OutputSettings)
        self._call("decoder_get_output", self, i, settings)
        return settings

    def commit(self, logits):
        """`logits`: float32 or float16 [n_outputs, n_vocabulary], anything with the buffer protocol (numpy, torch's
        .numpy()); uint16 is taken as the bits of bfloat16 (torch: .view(torch.uint16).numpy()). Rows of a numpy array
        may lie apart. None for a plan without outputs."""
        self._commit_with("decoder_commit_logits", logits, self)

    def _commit_with(self, function, logits, owner, *now):
        made = self.lib.make(abi.LogitsStruct)
        if logits is not None:
            try:
                values = memoryview(logits)
            except TypeError:
                raise TypeError(f"the model returned {type(logits).__name__}; wanted are contiguous float32, float16 or "
                                "uint16 rows [n_outputs, n_vocabulary] with the buffer protocol, such as a numpy array "
                                "(of a torch tensor on the CPU: .numpy())") from None
            if values.format not in LOGIT_TYPES or values.ndim != 2 or not self._has_rows(values, logits):
                kind = _TYPE_NAMES.get(values.format, "of another type")
                raise Error(Status.BAD_LOGITS, f"logits are {kind} (array type {values.format!r}) of shape "
                                               f"{values.shape}; they must be contiguous float32, float16 or uint16 of "
                                               "shape (n_outputs, n_vocabulary)")
            made.type = LOGIT_TYPES[values.format]
            made.n_outputs, made.n_vocabulary = values.shape
            if values.c_contiguous:
                data = ctypes.c_char * values.nbytes
                data = data.from_buffer_copy(values) if values.readonly else data.from_buffer(values)
                made.values = ctypes.addressof(data)
            else:
                made.row_stride = values.strides[0] // values.itemsize
                made.values = logits.__array_interface__["data"][0]
        self._call(function, owner, made, *now)
        self._end_plan()

    @staticmethod
    def _has_rows(values, logits):
        """Is each row of the matrix contiguous, and its address known?"""
        if values.c_contiguous:
            return True
        row, column = values.strides
        return column == values.itemsize and row > 0 and row % column == 0 and hasattr(logits, "__array_interface__")

    def commit_sampled(self, tokens):
        """One token per output, sampled by the host."""
        self._call("decoder_commit_sampled", self, *int_array(tokens))
        self._end_plan()

    def abort(self):
        self._call("decoder_abort", self)
        self._end_plan()

    def _end_plan(self):
        if self._plan is not None:
            self._plan.end()
        self._plan = None

    def events(self):
        """Takes what has happened since."""
        event = self.lib.make(abi.EventStruct)
        while self._call("decoder_next_event", self, event) == Status.OK:
            yield Event.of(event)

    def run(self, prompt, model, cancel=None, deadline=None, on_pass=None, **options):
        """Answers one prompt with `model`, a function from a Plan to logits (see commit), and yields the events.

        Three things stop it between two passes: `cancel`, a threading.Event (or whatever has is_set()) that is set;
        `deadline`, a time of time.monotonic() (at most a year ahead), that has come; `on_pass`, a function called after the events of each
        pass, that returns False. The request is cancelled then, its last events come out, the end with
        Reason.CANCELLED, and `branch(request)` has the text so far.

        Other requests of this decoder go on beside it. When the model fails, or the caller leaves early, the request
        is cancelled. A pass that is given up is aborted; the model's `abort`, if it has one, is called for it too.
        """
        _check_deadline(deadline)
        request = self.submit(prompt, **options)
        stopped = False
        try:
            while self.request(request).reason == Reason.NONE:
                if stopped or (cancel is not None and cancel.is_set()) or (
                        deadline is not None and time.monotonic() >= deadline):
                    self.cancel(request)
                else:
                    run_pass(self, model)
                yield from self.events()
                stopped = on_pass is not None and on_pass() is False
        finally:
            if self.request(request).reason == Reason.NONE:
                self.cancel(request)

    def cancel(self, request):
        self._call("decoder_cancel", self, request)

    def release(self, request):
        self._call("decoder_release", self, request)

    def request(self, request):
        """Where a request stands and what it cost (abi.RequestState)."""
        state = self.lib.make(abi.RequestState)
        self._call("decoder_get_request", self, request, state)
        return state

    def branch(self, request, branch=0):
        """One Branch; 0 is the trunk, whose text is the whole answer."""
        b = self.lib.make(abi.BranchState)
        self._call("decoder_get_branch", self, request, branch, b)
        path = [(step.block, step.branch) for step in b.path[: b.n_path]]
        return Branch(_text(b.title, b.n_title), _text(b.text, b.n_text), Reason(b.reason), path, b.sequence,
                      b.tokens[: b.n_tokens])


def run_pass(planner, model):
    """One pass of a Decoder or a Scheduler; False: no request runs. Raises what the model raises, and Error (no_room)
    when pages are missing; the pass is aborted then, and the model's `abort`, if it has one, is called too."""
    plan = planner.plan()
    if plan is None:
        return False
    if not plan:
        raise Error(Status.NO_ROOM, f"{plan.n_pages_short} pages short, {plan.n_pages_free} are free")
    try:
        planner.commit(model(plan))
    except BaseException:
        planner.abort()
        getattr(model, "abort", lambda: None)()
        raise
    return True


def _stops(stop):
    """(texts as bytes, token ids) of a list of both."""
    if isinstance(stop, (str, bytes, bytearray)) or not hasattr(stop, "__iter__"):
        raise TypeError(f"stop is {stop!r}; it must be a list of texts and token ids, such as [{stop!r}]")
    texts, tokens = [], []
    for one in stop:
        if isinstance(one, str):
            texts.append(c_text(one, "a stop"))
        elif hasattr(one, "__index__"):
            tokens.append(one)
        else:
            raise TypeError(f"a stop is of type {type(one).__name__}; it must be text or a token id")
    return texts, tokens


def _biases(logit_bias):
    if logit_bias is None:
        return []
    if not hasattr(logit_bias, "items"):
        raise TypeError(f"logit_bias is of type {type(logit_bias).__name__}; it must be a dict of token ids to numbers")
    return [(in_range(token, abi.i32), float(bias)) for token, bias in logit_bias.items()]


def _check_deadline(deadline):
    if deadline is not None and not deadline - time.monotonic() <= _YEAR:
        raise ValueError(f"deadline is {deadline!r}, more than a year ahead; it must be a time of time.monotonic(), which "
                         f"is now {time.monotonic():.3f}, such as time.monotonic() + 20; None: no deadline")


def _text(address, n):
    return ctypes.string_at(address, n).decode("utf-8", "replace") if n else ""
