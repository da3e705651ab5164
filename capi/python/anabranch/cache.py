"""The cache tier: a cache of sequences, steps over it, and the plan of a step."""
import ctypes
import weakref

from . import abi
from .abi import Logits, Paged, Positions, Status, Visibility
from .library import Error, int_array, sequence_array


class Cache:
    """Books of a paged K/V cache. Sequences are plain integers."""

    def __init__(self, lib, options):
        self.lib = lib
        handle = ctypes.c_void_p()
        lib.call("cache_create", lib.make(abi.CacheOptions, options), handle)
        self._as_parameter_ = handle
        self.close = weakref.finalize(self, lib.destroyer("cache"), handle)

    def step(self):
        """The one open step of this cache."""
        return Step(self)

    def statistics(self):
        """n_pages, n_free_pages, page_size, n_slots, n_sequences, step, epoch."""
        statistics = self.lib.make(abi.CacheStatistics)
        self.lib.call("cache_get_statistics", self, statistics)
        return statistics

    def check(self):
        """Looks at every invariant; raises Error (internal) with what does not hold."""
        self.lib.call("cache_check", self)

    def sequence(self, sequence):
        """n_tokens, next_position, position_limit, start_position, fork_tokens, n_children, parent."""
        state = self.lib.make(abi.SequenceState)
        self.lib.call("sequence_get_state", self, sequence, state)
        return state

    def children(self, sequence):
        """The open children, in the order of their forks."""
        return self._list(ctypes.c_uint64, "sequence_children", sequence)

    def sequences(self):
        """All that are alive, in no order that means anything."""
        return self._list(ctypes.c_uint64, "cache_sequences")

    def roots(self):
        """Those without a parent."""
        return self._list(ctypes.c_uint64, "cache_roots")

    def token_ids(self, sequence):
        """Token ids of all that the sequence sees, abi.UNKNOWN_TOKEN where the host never said; with keep_tokens=1."""
        return self._list(ctypes.c_int32, "sequence_token_ids", sequence)

    def _list(self, element, function, *arguments):
        n = ctypes.c_int32()
        self.lib.call(function, self, *arguments, 0, None, n)
        elements = (element * n.value)()
        self.lib.call(function, self, *arguments, n.value, elements, n)
        return list(elements)

    def tokens(self, sequence):
        """(slots, positions) of all that the sequence sees, in history order."""
        n = ctypes.c_int32()
        self.lib.call("sequence_tokens", self, sequence, 0, None, None, n)
        slots, positions = (ctypes.c_int32 * n.value)(), (ctypes.c_int32 * n.value)()
        self.lib.call("sequence_tokens", self, sequence, n.value, slots, positions, n)
        return list(slots), list(positions)


class Step:
    """A transaction: operations, then plan, then commit or abort. As a context manager it aborts what is not
    committed."""

    def __init__(self, cache):
        self.cache, self._call, self._plan = cache, cache.lib.call, None
        self._as_parameter_ = ctypes.c_void_p()
        self._call("step_begin", cache, self._as_parameter_)
        self._over = weakref.finalize(self, cache.lib._dll.anb_step_abort, self._as_parameter_)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self._over.alive:
            self.abort()

    def create_sequence(self, first=0):
        sequence = ctypes.c_uint64()
        self._call("step_create_sequence", self, first, sequence)
        return sequence.value

    def append(self, sequence, tokens, logits=Logits.NONE):
        """One row per token of the list `tokens`."""
        if isinstance(tokens, int):
            raise TypeError(f"append takes a list of tokens: [{tokens}]; append_unknown takes a count")
        self._call("step_append", self, sequence, *int_array(tokens, "the list of tokens"), logits)

    def append_unknown(self, sequence, n, logits=Logits.NONE):
        """`n` rows whose tokens only the host will know: abi.UNKNOWN_TOKEN in the plan."""
        self._call("step_append_unknown", self, sequence, n, logits)

    def request_logits(self, sequence):
        self._call("step_request_logits", self, sequence)

    def fork(self, parent, n, positions=Positions.SEQUENTIAL, starts=None):
        """`n` children; with `starts` ([n]) each child's first position is given."""
        children = (ctypes.c_uint64 * max(n, 0))()
        if starts is None:
            self._call("step_fork", self, parent, n, positions, children)
        else:
            starts, n_starts = int_array(starts)
            if n_starts != n:
                raise Error(Status.BAD_ARGUMENT, f"{n_starts} starts for {n} children")
            self._call("step_fork_given", self, parent, n, starts, children)
        return list(children)

    def join(self, parent, children, next_position=None):
        """`next_position`: for children that were forked with `starts`."""
        if next_position is None:
            self._call("step_join", self, parent, *sequence_array(children))
        else:
            self._call("step_join_given", self, parent, *sequence_array(children), next_position)

    def rewind(self, sequence, n_tokens):
        self._call("step_rewind", self, sequence, n_tokens)

    def adopt(self, parent, child):
        self._call("step_adopt", self, parent, child)

    def drop(self, sequence):
        self._call("step_drop", self, sequence)

    def detach(self, sequence):
        self._call("step_detach", self, sequence)

    def hold(self, sequence, n_slots):
        self._call("step_hold", self, sequence, n_slots)

    def plan(self):
        """The Plan of the pass. It is false when pages are missing: n_pages_short; the step is open as before."""
        struct = self.cache.lib.make(abi.PlanStruct)
        plan = Plan(self.cache, struct, self._call("step_plan", self, struct))
        self._plan = plan if plan else None
        return plan

    def reject(self, sequence, n):
        """After the plan: the commit forgets the last `n` rows of the sequence, which were wrong drafts."""
        self._call("step_reject", self, sequence, n)

    def commit(self):
        self._call("step_commit", self)
        self._end()

    def abort(self):
        self._call("step_abort", self)
        self._end()

    def _end(self):
        self._over.detach()
        if self._plan is not None:
            self._plan.end()


def _array(name, count):
    def read(plan):
        struct = plan.struct
        pointer, n = getattr(struct, name), getattr(struct, count)
        element = pointer._type_
        elements = (element * n).from_address(ctypes.addressof(pointer.contents)) if n else (element * 0)()
        if issubclass(element, ctypes.Structure):
            return elements
        return memoryview(elements).cast("B").cast(element._type_)

    return property(read, doc=f"[{count}], as {name} in anb_plan")


class Plan:
    """One forward pass. False when there was no room.

    Arrays are views of the library's own, without a copy: of numbers a memoryview (numpy.asarray takes it as it is),
    of structs a ctypes array. They are valid until the step, or the decoder's pass, is committed or aborted.
    """

    def __init__(self, cache, struct, status):
        self._cache, self._struct, self._status = cache, struct, status

    def __bool__(self):
        return self._status == Status.OK

    @property
    def struct(self):
        if self._struct is None:
            raise Error(Status.WRONG_STATE, "the plan is over: its step was committed or aborted")
        return self._struct

    def end(self):
        self._struct = None

    tokens, positions = _array("tokens", "n_rows"), _array("positions", "n_rows")
    slots, sequences = _array("slots", "n_rows"), _array("sequences", "n_rows")
    outputs, groups = _array("outputs", "n_outputs"), _array("groups", "n_groups")
    views = _array("views", "n_views")
    ops_before = _array("ops_before", "n_ops_before")
    ops_after_commit = _array("ops_after_commit", "n_ops_after_commit")
    n_rows = property(lambda plan: plan.struct.n_rows)
    n_slots = property(lambda plan: plan.struct.n_slots)
    page_size = property(lambda plan: plan.struct.page_size)
    epoch = property(lambda plan: plan.struct.epoch)
    n_pages_short = property(lambda plan: plan.struct.n_pages_short)
    n_pages_free = property(lambda plan: plan.struct.n_pages_free)

    def keys(self, group):
        """Slots of the group's keys, in history order."""
        slots = []
        for view in self.views[group.view_begin : group.view_end]:
            for run in view.runs[: view.n_runs]:
                begin, end = max(view.begin, run.offset), min(view.end, run.offset + run.count)
                slots += range(run.first + begin - run.offset, run.first + end - run.offset)
        return slots

    def mask(self, columns=None, n_columns=None, **options):
        """The dense additive mask, a float32 memoryview [n_rows, n_columns].

        `columns` ([n_slots], None: column = slot) says in which column each slot's token stands, abi.NONE: nowhere.
        `options`: visible, hidden.
        """
        struct = self.struct
        n_columns = struct.n_slots if n_columns is None else n_columns
        made = self._cache.lib.make(abi.MaskOptions, {"n_columns": n_columns, **options})
        if columns is not None:
            map_, n = int_array(columns)
            if n != struct.n_slots:
                raise Error(Status.BAD_ARGUMENT, f"columns of {n} slots for a pool of {struct.n_slots}")
            made.columns = ctypes.cast(map_, abi.ints)
        size = struct.n_rows * max(n_columns, 0)
        mask = (ctypes.c_float * size)()
        self._cache.lib.call("cache_mask", self._cache, made, size, mask)
        flat = memoryview(mask).cast("B")
        return flat.cast("f", [struct.n_rows, n_columns]) if size else flat.cast("f")

    def paged(self, kind=Paged.SLOTS):
        """Levels for paged kernels (abi.PagedLevel): valid like the plan, until the next call of this."""
        paged = self._cache.lib.make(abi.PagedStruct)
        self.struct  # the plan must be open
        self._cache.lib.call("cache_paged", self._cache, kind, paged)
        return paged.levels[: paged.n_levels]

    def rows(self, group):
        """(row, how many of the group's keys it sees), for each row of the group."""
        causal = group.visibility == Visibility.CAUSAL
        for row in range(group.row_begin, group.row_end):
            yield row, group.n_keys - (group.row_end - 1 - row if causal else 0)
