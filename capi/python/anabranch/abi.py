"""The C ABI as ctypes sees it: the structs, constants and functions of anabranch.h,
anabranch_decoder.h and anabranch_scheduler.h.

One class per struct (`c_name` is its name in C), one IntEnum per enum, one entry of FUNCTIONS per function. A test
compares all of it with the headers. Nothing here runs C code.
"""
import ctypes
import enum
import operator
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_double, c_float, c_size_t, c_void_p


def _checked(name, c_type, least, most):
    """An integer type that refuses what does not fit; ctypes would cut it off."""

    def from_param(cls, value):
        return c_type(in_range(value, cls))

    members = {"plain": c_type, "least": least, "most": most, "from_param": classmethod(from_param)}
    return type(name, (c_type,), members)


def in_range(value, c_type):
    """`value` as an int that `c_type` holds; OverflowError else, TypeError for what is no integer."""
    value = operator.index(value)
    if not c_type.least <= value <= c_type.most:
        raise OverflowError(f"{value} is outside [{c_type.least}, {c_type.most}]")
    return value


i32 = _checked("i32", ctypes.c_int32, -(2**31), 2**31 - 1)
i64 = _checked("i64", ctypes.c_int64, -(2**63), 2**63 - 1)
u32 = _checked("u32", ctypes.c_uint32, 0, 2**32 - 1)
u64 = _checked("u64", ctypes.c_uint64, 0, 2**64 - 1)
ints = POINTER(ctypes.c_int32)
sequences = POINTER(ctypes.c_uint64)

VERSION = 1 << 8  # major * 65536 + minor * 256 + patch of the headers below
UNKNOWN_TOKEN = -1
NO_SEQUENCE = 0xFFFFFFFF
NO_REQUEST = 0
NONE = -1
UNLIMITED = 2**31 - 1


class Status(enum.IntEnum):  # ANB_*
    OK = 0
    BAD_ARGUMENT = 1
    STALE_SEQUENCE = 2
    NOT_A_CHILD = 3
    OPEN_CHILDREN = 4
    OUT_OF_RANGE = 5
    LIMIT_REACHED = 6
    WRONG_STATE = 7
    NO_ROOM = 8
    BAD_SNAPSHOT = 9
    NOT_EXACT = 10
    BAD_MARKUP = 11
    BAD_REQUEST = 12
    STALE_REQUEST = 13
    BAD_LOGITS = 14
    BAD_FILE = 15
    UNSUPPORTED = 16
    INTERNAL = 17
    OUT_OF_MEMORY = 18
    BAD_HANDLE = 19
    CALLBACK_FAILED = 20
    POISONED = 21
    NOTHING_TO_DO = 22


class Positions(enum.IntEnum):
    """Position policies; a positive number C instead of one of these means reserved(C)."""

    SEQUENTIAL = 0
    LONGEST = -1


Logits = enum.IntEnum("Logits", [("NONE", 0), ("LAST", 1), ("ALL", 2)])
ShareTail = enum.IntEnum("ShareTail", [("SPARE", 0), ("NEVER", 1)])
Visibility = enum.IntEnum("Visibility", [("FULL", 0), ("CAUSAL", 1)])
HostOpKind = enum.IntEnum("HostOpKind", [("SHARE", 0), ("RESTART", 1), ("BECOME", 2), ("REMOVE", 3)])
Paged = enum.IntEnum("Paged", [("SLOTS", 0), ("PAGES", 1)])
LogitType = enum.IntEnum("LogitType", [("FLOAT32", 0), ("BFLOAT16", 1), ("FLOAT16", 2)])
Role = enum.IntEnum("Role", [("TEXT", 0), ("TITLE", 1), ("TAG", 2)])
Next = enum.IntEnum("Next", [("SAMPLE", 0), ("FORK", 1), ("END_BRANCH", 2), ("FINISH", 3)])
EventKind = enum.IntEnum("EventKind", [("TOKEN", 0), ("FORK", 1), ("BRANCH_END", 2), ("JOIN", 3), ("END", 4)])


class Reason(enum.IntEnum):  # ANB_REASON_*
    NONE = 0
    END_TAG = 1
    END_OF_TEXT = 2
    FINISHED = 3
    LIMIT = 4
    RANGE = 5
    STOP = 6
    CANCELLED = 7
    NO_ROOM = 8
    MALFORMED = 9
    LOST = 10


# Each enum with what its constants begin with in C.
ENUMS = {
    "ANB_": Status,
    "ANB_POSITIONS_": Positions,
    "ANB_LOGITS_": Logits,
    "ANB_SHARE_TAIL_": ShareTail,
    "ANB_VISIBILITY_": Visibility,
    "ANB_HOST_OP_": HostOpKind,
    "ANB_PAGED_": Paged,
    "ANB_ROLE_": Role,
    "ANB_LOGIT_": LogitType,
    "ANB_REASON_": Reason,
    "ANB_NEXT_": Next,
    "ANB_EVENT_": EventKind,
}
STRUCTS: list = []


def _struct(c_name, **fields):
    """The class of a struct; a field's keyword is its name in C. `fields` keeps the checked types."""
    plain = [(name, getattr(c_type, "plain", c_type)) for name, c_type in fields.items()]
    made = type(c_name, (Structure,), {"c_name": c_name, "fields": fields, "_fields_": plain})
    STRUCTS.append(made)
    return made


# ---- anabranch.h

ALLOCATE = CFUNCTYPE(c_void_p, c_size_t, c_size_t, c_void_p)
RELEASE = CFUNCTYPE(None, c_void_p, c_size_t, c_size_t, c_void_p)

Allocator = _struct("anb_allocator", struct_size=u32, reserved=u32, allocate=ALLOCATE, release=RELEASE, user=c_void_p)
CacheOptions = _struct(
    "anb_cache_options", struct_size=u32, n_pages=i32, page_size=i32, max_sequences=i32, max_depth=i32, max_position=i32,
    share_tail=i32, keep_tokens=i32, allocator=POINTER(Allocator))
CacheStatistics = _struct(
    "anb_cache_statistics", struct_size=u32, n_pages=i32, n_free_pages=i32, page_size=i32, n_slots=i32, n_sequences=i32,
    step=i32, reserved=i32, epoch=u64)
SequenceState = _struct(
    "anb_sequence_state", struct_size=u32, n_tokens=i32, next_position=i32, position_limit=i32, start_position=i32,
    fork_tokens=i32, n_children=i32, reserved=i32, parent=u64)
Output = _struct("anb_output", row=i32, reserved=i32, sequence=u64)
SlotRun = _struct("anb_slot_run", first=i32, count=i32, offset=i32)
View = _struct("anb_view", runs=POINTER(SlotRun), n_runs=i32, begin=i32, end=i32, first_position=i32, segment=u64)
Group = _struct(
    "anb_group", row_begin=i32, row_end=i32, view_begin=i32, view_end=i32, n_keys=i32, visibility=i32)
HostOp = _struct("anb_host_op", kind=i32, reserved=i32, sequence=u64, source=u64, begin=i32, end=i32)
PlanStruct = _struct(
    "anb_plan", struct_size=u32, n_rows=i32, n_outputs=i32, n_groups=i32, n_views=i32, n_ops_before=i32,
    n_ops_after_commit=i32, n_slots=i32, page_size=i32, n_pages_short=i32, n_pages_free=i32, reserved=i32, epoch=u64,
    tokens=ints, positions=ints, slots=ints, sequences=sequences, outputs=POINTER(Output), groups=POINTER(Group),
    views=POINTER(View), ops_before=POINTER(HostOp), ops_after_commit=POINTER(HostOp))
MaskOptions = _struct(
    "anb_mask_options", struct_size=u32, n_columns=i32, columns=ints, visible=c_float, hidden=c_float)
PagedLevel = _struct(
    "anb_paged_level", causal=i32, n_entries=i32, row_indptr=ints, indptr=ints, indices=ints, last_page_len=ints)
PagedStruct = _struct("anb_paged", struct_size=u32, n_levels=i32, levels=POINTER(PagedLevel))

# ---- anabranch_decoder.h

DETOKENIZE = CFUNCTYPE(ctypes.c_int32, ints, ctypes.c_int32, c_void_p, ctypes.c_int32, c_void_p)
TEXT_TO_TOKENS = CFUNCTYPE(ctypes.c_int32, c_void_p, ctypes.c_int32, ints, ctypes.c_int32, c_void_p)

STOP_TOKEN = CFUNCTYPE(ctypes.c_int32, c_void_p, ctypes.c_int32, c_void_p)
Text = _struct(
    "anb_text", struct_size=u32, reserved=u32, detokenize=DETOKENIZE, text_to_tokens=TEXT_TO_TOKENS,
    user=c_void_p, stop_token=STOP_TOKEN)
ForcedToken = _struct("anb_forced_token", token=i32, role=i32)
Seed = _struct("anb_seed", prefix=POINTER(ForcedToken), n_prefix=i32, n_title=i32, title=ints)
Action = _struct(
    "anb_action", struct_size=u32, next=i32, role=i32, forget=i32, n_forced=i32, n_seeds=i32,
    forced=POINTER(ForcedToken), seeds=POINTER(Seed))
Constraint = _struct(
    "anb_constraint", struct_size=u32, n_allowed=i32, n_forbidden=i32, reserved=i32, allowed=ints, forbidden=ints)

ACTION_OF_STATE = CFUNCTYPE(ctypes.c_int32, c_void_p, POINTER(Action), c_void_p)
MarkupCallbacks = _struct(
    "anb_markup_callbacks", struct_size=u32, state_size=u32,
    child=CFUNCTYPE(ctypes.c_int32, c_void_p, ctypes.c_int32, c_void_p, c_void_p),
    next=CFUNCTYPE(ctypes.c_int32, c_void_p, ctypes.c_int32, POINTER(Action), c_void_p),
    joined=ACTION_OF_STATE, closing=ACTION_OF_STATE, open=ACTION_OF_STATE, end_of_text=ACTION_OF_STATE,
    constrain=CFUNCTYPE(ctypes.c_int32, c_void_p, POINTER(Constraint), c_void_p), user=c_void_p)
Markup = _struct(
    "anb_markup", struct_size=u32, n_title_separator=i32, name=c_char_p, branch=i32, branch_end=i32, title=i32,
    title_end=i32, para=i32, para_end=i32, title_separator=ints, opening=c_char_p, outline_end=c_char_p,
    separator=c_char_p, after_text=c_char_p, go_on=i32, max_points=i32, max_title_tokens=i32, n_vocabulary=i32,
    callbacks=POINTER(MarkupCallbacks), unique_titles=i32, max_titles=i32,
    well_formed=i32, reserved=i32)
DecoderOptions = _struct(
    "anb_decoder_options", struct_size=u32, max_branches=i32, max_tokens=i32, max_branch_tokens=i32, max_depth=i32,
    max_rows=i32, positions=i32, n_end_of_text=i32, end_of_text=ints, markup=POINTER(Markup), text=POINTER(Text),
    draft=i32, preemptible=i32)
LogitBias = _struct("anb_logit_bias", token=i32, bias=c_float)
RequestOptions = _struct(
    "anb_request_options", struct_size=u32, temperature=c_float, top_k=i32, top_p=c_float, repetition_penalty=c_float,
    max_tokens=i32, max_branch_tokens=i32, n_log_probabilities=i32, seed=u64, after=u64, stop=POINTER(c_char_p),
    n_stop=i32, reserved=i32, max_parallel_branches=i32, no_repeat_ngram=i32, prefix=u64, user_data=u64, min_p=c_float,
    frequency_penalty=c_float, presence_penalty=c_float, n_stop_tokens=i32, stop_tokens=ints,
    logit_bias=POINTER(LogitBias), n_logit_bias=i32, reserved2=i32, number=u64)
OutputSettings = _struct(
    "anb_output_settings", struct_size=u32, branch=i32, request=u64, temperature=c_float, top_k=i32, top_p=c_float,
    repetition_penalty=c_float, uniform=c_double, index=i64, allowed=ints, forbidden=ints, seen=ints, n_allowed=i32,
    n_forbidden=i32, n_seen=i32, reserved=i32, spared=ints, n_spared=i32, reserved2=i32,
    user_data=u64, min_p=c_float, frequency_penalty=c_float, presence_penalty=c_float, n_logit_bias=i32,
    logit_bias=POINTER(LogitBias))
TokenLogProbability = _struct("anb_token_log_probability", token=i32, log_probability=c_float)
LogitsStruct = _struct(
    "anb_logits", struct_size=u32, type=i32, n_outputs=i32, n_vocabulary=i32, row_stride=i64, values=c_void_p)
EventStruct = _struct(
    "anb_event", struct_size=u32, kind=i32, request=u64, branch=i32, token=i32, role=i32, forced=i32,
    log_probability=c_float, n_top=i32, top=POINTER(TokenLogProbability), text=c_void_p, n_text=c_size_t,
    first_branch=i32, n_branches=i32, reason=i32, reserved=i32, user_data=u64)
RequestState = _struct(
    "anb_request_state", struct_size=u32, reason=i32, n_branches=i32, n_blocks=i32, n_serial=i32, n_branch=i32,
    n_title=i32, n_tag=i32, n_prompt=i32, n_sampled=i32, n_forced=i32, n_forgotten=i32, n_passes=i32, n_prefill=i32,
    n_serial_passes=i32, reserved=i32, user_data=u64, n_pages_needed=i32, n_pages_used=i32)
PathStep = _struct("anb_path_step", block=i32, branch=i32)
BranchState = _struct(
    "anb_branch_state", struct_size=u32, reason=i32, sequence=u64, title=c_void_p, text=c_void_p, n_title=c_size_t,
    n_text=c_size_t, path=POINTER(PathStep), n_path=i32, reserved=i32, tokens=ints, n_tokens=i32,
    reserved2=i32)

# ---- anabranch_scheduler.h

SchedulerOptions = _struct(
    "anb_scheduler_options", struct_size=u32, max_queued=i32, max_running=i32, reserved=i32, target_seconds=c_double)
Schedule = _struct("anb_schedule", struct_size=u32, priority=i32, deadline=c_double)
SchedulerState = _struct(
    "anb_scheduler_state", struct_size=u32, n_running=i32, n_queued=i32, reserved=i32, n_preempted=i64, n_evicted=i64,
    n_deferred=i64, load=c_double)

# ---- Functions: what each returns and takes. Handles are void pointers.

_status, _handle, _new_handle = ctypes.c_int32, c_void_p, POINTER(c_void_p)
_new_line, _new_count = sequences, ints
FUNCTIONS = {
    "anb_version": (ctypes.c_uint32,),
    "anb_status_name": (c_char_p, i32),
    "anb_last_error": (c_char_p,),
    "anb_cache_create": (_status, POINTER(CacheOptions), _new_handle),
    "anb_cache_destroy": (None, _handle),
    "anb_cache_get_statistics": (_status, _handle, POINTER(CacheStatistics)),
    "anb_cache_check": (_status, _handle),
    "anb_sequence_get_state": (_status, _handle, u64, POINTER(SequenceState)),
    "anb_sequence_children": (_status, _handle, u64, i32, sequences, _new_count),
    "anb_sequence_tokens": (_status, _handle, u64, i32, ints, ints, _new_count),
    "anb_sequence_token_ids": (_status, _handle, u64, i32, ints, _new_count),
    "anb_cache_sequences": (_status, _handle, i32, sequences, _new_count),
    "anb_cache_roots": (_status, _handle, i32, sequences, _new_count),
    "anb_step_begin": (_status, _handle, _new_handle),
    "anb_step_create_sequence": (_status, _handle, i32, _new_line),
    "anb_step_append": (_status, _handle, u64, ints, i32, i32),
    "anb_step_append_unknown": (_status, _handle, u64, i32, i32),
    "anb_step_request_logits": (_status, _handle, u64),
    "anb_step_fork": (_status, _handle, u64, i32, i32, sequences),
    "anb_step_fork_given": (_status, _handle, u64, i32, ints, sequences),
    "anb_step_join": (_status, _handle, u64, sequences, i32),
    "anb_step_join_given": (_status, _handle, u64, sequences, i32, i32),
    "anb_step_rewind": (_status, _handle, u64, i32),
    "anb_step_reject": (_status, _handle, u64, i32),
    "anb_step_adopt": (_status, _handle, u64, u64),
    "anb_step_drop": (_status, _handle, u64),
    "anb_step_detach": (_status, _handle, u64),
    "anb_step_hold": (_status, _handle, u64, i32),
    "anb_step_plan": (_status, _handle, POINTER(PlanStruct)),
    "anb_cache_mask": (_status, _handle, POINTER(MaskOptions), c_size_t, POINTER(c_float)),
    "anb_cache_paged": (_status, _handle, i32, POINTER(PagedStruct)),
    "anb_step_commit": (_status, _handle),
    "anb_step_abort": (_status, _handle),
    "anb_decoder_create": (_status, _handle, POINTER(DecoderOptions), _new_handle),
    "anb_decoder_destroy": (None, _handle),
    "anb_decoder_submit": (_status, _handle, ints, i32, POINTER(RequestOptions), sequences),
    "anb_decoder_plan": (_status, _handle, POINTER(PlanStruct)),
    "anb_decoder_get_output": (_status, _handle, i32, POINTER(OutputSettings)),
    "anb_decoder_commit": (_status, _handle, POINTER(c_float), i32, i32),
    "anb_decoder_commit_logits": (_status, _handle, POINTER(LogitsStruct)),
    "anb_decoder_commit_sampled": (_status, _handle, ints, i32),
    "anb_decoder_abort": (_status, _handle),
    "anb_decoder_next_event": (_status, _handle, POINTER(EventStruct)),
    "anb_decoder_cancel": (_status, _handle, u64),
    "anb_decoder_release": (_status, _handle, u64),
    "anb_decoder_get_request": (_status, _handle, u64, POINTER(RequestState)),
    "anb_decoder_get_branch": (_status, _handle, u64, i32, POINTER(BranchState)),
    "anb_scheduler_create": (_status, _handle, POINTER(SchedulerOptions), _new_handle),
    "anb_scheduler_destroy": (None, _handle),
    "anb_scheduler_submit": (
        _status, _handle, ints, i32, POINTER(RequestOptions), POINTER(Schedule), sequences),
    "anb_scheduler_plan": (_status, _handle, c_double, POINTER(PlanStruct)),
    "anb_scheduler_commit": (_status, _handle, POINTER(LogitsStruct), c_double),
    "anb_scheduler_commit_sampled": (_status, _handle, ints, i32, c_double),
    "anb_scheduler_abort": (_status, _handle),
    "anb_scheduler_cancel": (_status, _handle, u64),
    "anb_scheduler_finish": (_status, _handle, u64),
    "anb_scheduler_release": (_status, _handle, u64),
    "anb_scheduler_get_state": (_status, _handle, POINTER(SchedulerState)),
}
_WITHOUT_INIT = {Output, SlotRun, View, Group, HostOp, PagedLevel, ForcedToken, Seed, Action, Constraint,
                 LogitBias, TokenLogProbability, PathStep}
FUNCTIONS |= {made.c_name + "_init": (None, POINTER(made), c_size_t) for made in STRUCTS if made not in _WITHOUT_INIT}
