"""The Python package over both tiers of the C ABI, without packages and without a model. ANABRANCH_LIBRARY names the
library."""
import ctypes
import gc
import os
import subprocess
import sys
import threading
import time
import unittest
from array import array
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, os.environ.get("ANABRANCH_PACKAGE", str(ROOT / "capi/python")))  # or an installed wheel's
import anabranch  # noqa: E402
from anabranch import Error, EventKind, Logits, Paged, Positions, Reason, HostOpKind, Status  # noqa: E402

LIB = anabranch.load()
BRANCH, BRANCH_END, TITLE, TITLE_END, PARA, PARA_END, END = range(200, 207)
N_VOCABULARY = 256
ASPD = {"name": "aspd", "branch": BRANCH, "branch_end": BRANCH_END, "title": TITLE, "title_end": TITLE_END,
        "para": PARA, "para_end": PARA_END, "title_separator": b":"}


class Bytes:
    """A tokenizer whose tokens are bytes; what is above 127 has no text."""

    def to_text(self, tokens):
        return bytes(token for token in tokens if token < 128)

    def to_tokens(self, text):
        return text.encode()

    def stop_token(self, text):
        if "<end>" in text and text != "<end>":
            raise ValueError(f"a name among other text: {text}")
        return END if text == "<end>" else None


class Script:
    """A model that writes given tokens: `branches[k]` what branch k samples, 0 the trunk."""

    def __init__(self, branches):
        self.branches, self.decoder, self.n_passes = branches, None, 0

    def tokens(self, plan):
        settings = [self.decoder.output(i) for i in range(len(plan.outputs))]
        return [self.branches[s.branch][s.index] for s in settings]

    def __call__(self, plan):
        self.n_passes += 1
        tokens = self.tokens(plan)
        logits = array("f", [0.0]) * (len(tokens) * N_VOCABULARY)
        for i, token in enumerate(tokens):
            logits[i * N_VOCABULARY + token] = 9.0
        return memoryview(logits).cast("B").cast("f", [len(tokens), N_VOCABULARY]) if tokens else None


TWO_BRANCHES = [
    [*b"Hi", TITLE, *b"a", TITLE_END, TITLE, *b"b", TITLE_END, PARA, *b"!", END],
    [*b"x", BRANCH_END],
    [*b"yz", BRANCH_END],
]


def scripted(branches, **options):
    model = Script(branches)
    model.decoder = LIB.decoder(LIB.cache(n_pages=64), tokenizer=Bytes(), end_of_text=[END], **options)
    return model.decoder, model


class CacheTier(unittest.TestCase):
    def setUp(self):
        self.cache = LIB.cache(n_pages=8, page_size=4)

    def assertStatus(self, status, call, *arguments):
        with self.assertRaises(Error) as raised:
            call(*arguments)
        self.assertEqual(raised.exception.status, status)
        return raised.exception.text

    def fork_two(self, step):
        trunk = step.create_sequence()
        step.append(trunk, [11, 12, 13])
        a, b = step.fork(trunk, 2)
        step.append(a, [21], Logits.LAST)
        step.append(b, [31, 32], Logits.LAST)
        return trunk, a, b

    def test_a_step_of_two_branches_is_one_pass(self):
        with self.cache.step() as step:
            trunk, a, b = self.fork_two(step)
            plan = step.plan()
            self.assertEqual(list(plan.tokens), [11, 12, 13, 21, 31, 32])
            self.assertEqual(list(plan.positions), [0, 1, 2, 3, 3, 4])
            self.assertEqual(list(plan.sequences), [trunk] * 3 + [a, b, b])
            self.assertEqual([(output.row, output.sequence) for output in plan.outputs], [(3, a), (5, b)])
            self.assertEqual([op.kind for op in plan.ops_before], [HostOpKind.SHARE] * len(plan.ops_before))
            step.commit()
        self.cache.check()
        self.assertEqual(self.cache.children(trunk), [a, b])
        self.assertEqual(self.cache.tokens(b)[1], [0, 1, 2, 3, 4])
        self.assertEqual(self.cache.sequence(b).parent, trunk)

    def test_a_plans_arrays_are_the_librarys_own_memory(self):
        with self.cache.step() as step:
            self.fork_two(step)
            plan = step.plan()
            address = ctypes.addressof(plan.struct.slots.contents)
            self.assertEqual(ctypes.addressof(ctypes.c_char.from_buffer(plan.slots)), address)
            address = ctypes.addressof(plan.struct.groups.contents)
            self.assertEqual(ctypes.addressof(plan.groups), address)

    def test_the_mask_shows_what_the_groups_and_the_paged_lists_show(self):
        with self.cache.step() as step:
            self.fork_two(step)
            plan = step.plan()
            from_groups = [set() for _ in plan.tokens]
            for group in plan.groups:
                keys = plan.keys(group)
                for row, n_keys in plan.rows(group):
                    from_groups[row] |= set(keys[:n_keys])
            columns = [(7 * slot + 3) % plan.n_slots for slot in range(plan.n_slots)]
            mask = plan.mask(columns, plan.n_slots, visible=1.0, hidden=0.0).tolist()
            from_mask = [{slot for slot in range(plan.n_slots) if row[columns[slot]]} for row in mask]
            self.assertEqual(from_mask, from_groups)
            self.assertEqual(from_groups[3] & from_groups[5], from_groups[2])
            n_seen = sum(level.indptr[level.n_entries] for level in plan.paged(Paged.SLOTS))
            self.assertEqual(n_seen, len(from_groups[2]) * 2 + 1 + 2)
            self.assertIn("column", self.assertStatus(Status.BAD_ARGUMENT, plan.mask, [0] * plan.n_slots, 0))
            self.assertIn("3", self.assertStatus(Status.BAD_ARGUMENT, plan.mask, [0, 1, 2]))

    def test_a_plan_is_over_after_commit_and_after_abort(self):
        for end in ("commit", "abort"):
            step = self.cache.step()
            step.append(step.create_sequence(), [1])
            plan = step.plan()
            getattr(step, end)()
            with self.assertRaises(Error) as raised:
                plan.tokens
            self.assertEqual(raised.exception.status, Status.WRONG_STATE)
            self.assertStatus(Status.WRONG_STATE, step.commit)

    def test_no_room_is_a_false_plan_and_the_step_goes_on(self):
        with self.cache.step() as step:
            trunk = step.create_sequence()
            step.append(trunk, range(40))
            plan = step.plan()
            self.assertFalse(plan)
            self.assertEqual((plan.n_pages_short, plan.n_pages_free), (2, 8))
            step.rewind(trunk, 32)
            self.assertTrue(step.plan())
            step.commit()
        self.assertEqual(self.cache.statistics().n_free_pages, 0)

    def test_rejected_rows_are_not_committed(self):
        with self.cache.step() as step:
            trunk = step.create_sequence()
            step.append(trunk, [1, 2, 3, 4], Logits.ALL)
            self.assertStatus(Status.WRONG_STATE, step.reject, trunk, 1)
            self.assertTrue(step.plan())
            self.assertIn("5", self.assertStatus(Status.BAD_ARGUMENT, step.reject, trunk, 5))
            step.reject(trunk, 3)
            step.commit()
        self.assertEqual(self.cache.sequence(trunk).n_tokens, 1)
        self.cache.check()

    def test_a_step_that_is_left_or_lost_leaves_no_trace(self):
        with self.assertRaises(ZeroDivisionError), self.cache.step() as step:
            self.fork_two(step)
            step.plan()
            1 / 0
        step = self.cache.step()
        self.fork_two(step)
        del step
        gc.collect()
        self.assertEqual(self.cache.statistics().n_sequences, 0)
        self.assertEqual(self.cache.statistics().n_free_pages, 8)
        self.cache.check()

    def test_given_starts_and_every_other_operation_reach_the_library(self):
        with self.cache.step() as step:
            trunk = step.create_sequence(5)
            step.append_unknown(trunk, 2)  # tokens that only the host knows
            a, b = step.fork(trunk, 2, starts=[100, 200])
            step.append(a, [1])
            step.append(b, [2])
            self.assertEqual(list(step.plan().positions), [5, 6, 100, 200])
            step.commit()
        with self.cache.step() as step:
            step.join(trunk, [b, a], next_position=300)
            c, d = step.fork(trunk, 2, Positions.LONGEST)
            step.append(c, [3, 4])
            step.hold(d, 1)
            step.adopt(trunk, c)
            self.assertStatus(Status.STALE_SEQUENCE, step.drop, d)
            (e,) = step.fork(trunk, 1, 10)
            step.append(e, [5], Logits.ALL)
            step.detach(e)
            step.rewind(trunk, 5)
            f, g = step.fork(e, 2)
            step.request_logits(f)
            step.request_logits(g)
            plan = step.plan()
            self.assertEqual([(plan.tokens[output.row], output.sequence) for output in plan.outputs],
                             [(5, e), (5, f), (5, g)])
            step.commit()
        self.assertEqual(self.cache.sequence(e).parent, anabranch.abi.NO_SEQUENCE)
        self.assertEqual(self.cache.tokens(trunk)[1], [5, 6, 200, 100, 300])
        self.cache.check()

    def test_a_count_is_no_list_of_tokens(self):
        with self.cache.step() as step:
            trunk = step.create_sequence()
            with self.assertRaisesRegex(TypeError, r"\[7\]; append_unknown takes a count"):
                step.append(trunk, 7)

    def test_a_cache_lists_its_sequences_and_the_tokens_it_keeps(self):
        cache = LIB.cache(n_pages=8, keep_tokens=1)
        with cache.step() as step:
            trunk = step.create_sequence()
            step.append(trunk, [1, 2])
            step.append_unknown(trunk, 1)
            a, b = step.fork(trunk, 2)
            step.append(b, [3])
            self.assertTrue(step.plan())
            step.commit()
        self.assertEqual(sorted(cache.sequences()), sorted([trunk, a, b]))
        self.assertEqual(cache.roots(), [trunk])
        self.assertEqual(cache.children(trunk), [a, b])
        self.assertEqual(cache.token_ids(b), [1, 2, anabranch.abi.UNKNOWN_TOKEN, 3])

    def test_errors_tell_the_status_and_the_bad_value(self):
        with self.cache.step() as step:
            self.assertIn("99", self.assertStatus(Status.STALE_SEQUENCE, step.append, 99, [1]))
            trunk = step.create_sequence()
            self.assertIn("-1", self.assertStatus(Status.BAD_ARGUMENT, step.fork, trunk, -1))
            self.assertIn("2", self.assertStatus(Status.BAD_ARGUMENT, lambda: step.fork(trunk, 3, starts=[1, 2])))
            self.assertStatus(Status.WRONG_STATE, self.cache.step)
        self.cache.close()
        self.assertStatus(Status.BAD_HANDLE, self.cache.statistics)

    def test_integers_that_do_not_fit_are_refused_not_cut_off(self):
        with self.cache.step() as step:
            trunk = step.create_sequence()
            for call in (lambda: step.fork(trunk, 2, 2**32), lambda: step.rewind(trunk, 2**31),
                         lambda: step.append(-1, [1]), lambda: step.append(trunk, [2**31]),
                         lambda: step.append_unknown(trunk, 2**40), lambda: LIB.cache(n_pages=2**32 + 4)):
                self.assertIn("is outside [", self.assertStatus(Status.BAD_ARGUMENT, call))
            self.assertStatus(Status.BAD_ARGUMENT, step.rewind, trunk, 1.5)

    def test_an_option_that_is_not_there_is_refused_with_those_that_are(self):
        with self.assertRaisesRegex(TypeError, "n_pagse.*n_pages"):
            LIB.cache(n_pagse=3)

    def test_the_library_is_found_by_argument_and_by_environment(self):
        path = os.environ.get("ANABRANCH_LIBRARY")
        if not path:
            self.skipTest("ANABRANCH_LIBRARY is not set")
        self.assertEqual(anabranch.load(path).version, LIB.version)
        with self.assertRaises(OSError):
            anabranch.load("/nowhere/libanabranch.so")
        code = "import anabranch; print(anabranch.load()._dll._name)"
        found = subprocess.run([sys.executable, "-c", code], env={**os.environ, "ANABRANCH_LIBRARY": path},
                               cwd=ROOT / "capi/python", capture_output=True, text=True, check=True)
        self.assertEqual(found.stdout.strip(), path)


class DecoderTier(unittest.TestCase):
    def test_branches_are_decoded_together_and_joined(self):
        decoder, model = scripted(TWO_BRANCHES, markup=ASPD)
        events = list(decoder.run(b"Q", model))
        request = events[0].request
        kinds = [event.kind for event in events if event.kind != EventKind.TOKEN]
        two_ends = [EventKind.BRANCH_END] * 2
        self.assertEqual(kinds, [EventKind.FORK, *two_ends, EventKind.JOIN, EventKind.END])
        self.assertEqual(decoder.branch(request).text, "Hia:xb:yz!")
        self.assertEqual([decoder.branch(request, k).title for k in (1, 2)], ["a", "b"])
        self.assertEqual([decoder.branch(request, k).text for k in (1, 2)], ["a:x", "b:yz"])
        self.assertEqual(decoder.branch(request, 2).path, [(0, 1)])
        self.assertEqual("".join(event.text for event in events if event.branch == 2), "b:yz")
        state = decoder.request(request)
        self.assertEqual((state.n_branches, state.n_blocks, state.n_passes), (2, 1, model.n_passes))
        self.assertEqual(state.reason, Reason.END_OF_TEXT)
        # The prompt's pass and eight more sample up to the fork, three the longer branch, two "!" and the end.
        self.assertEqual(model.n_passes, 1 + 8 + 3 + 2)

    def test_tokens_that_the_host_sampled_give_the_same_answer(self):
        decoder, model = scripted(TWO_BRANCHES, markup=ASPD)
        request = decoder.submit(b"Q")
        while (plan := decoder.plan()) is not None:
            decoder.commit_sampled(model.tokens(plan))
        self.assertEqual(decoder.branch(request).text, "Hia:xb:yz!")

    def test_what_a_tokenizer_raises_comes_out_as_it_is(self):
        decoder, model = scripted([[*b"abc", END]])
        decoder.submit(b"Q")
        plan = decoder.plan()
        with mock.patch.object(Bytes, "to_text", lambda self, tokens: 1 / 0), self.assertRaises(ZeroDivisionError):
            decoder.commit(model(plan))
        self.assertEqual(list(plan.tokens), [*b"Q"])  # still open
        decoder.commit(model(plan))
        self.assertEqual([event.text for event in decoder.events()], ["a"])

    def test_a_model_that_fails_costs_its_request_and_nothing_else(self):
        decoder, model = scripted([[*b"abcdef", END]])
        aborted = []

        def failing(plan):
            if model.n_passes == 3:
                raise ConnectionError("no model")
            return model(plan)

        failing.abort = lambda: aborted.append(True)
        with self.assertRaisesRegex(ConnectionError, "no model"):
            list(decoder.run(b"Q", failing))
        self.assertEqual(aborted, [True])
        decoder.plan()
        self.assertEqual(decoder.cache.statistics().n_free_pages, 64)
        model.n_passes = 9
        events = list(decoder.run(b"Q", model))
        self.assertEqual("".join(event.text for event in events), "abcdef")

    def test_leaving_early_cancels(self):
        decoder, model = scripted([[*b"abcdef", END]])
        run = decoder.run(b"Q", model)
        request = next(run).request
        run.close()
        self.assertEqual(decoder.request(request).reason, Reason.CANCELLED)
        self.assertIsNone(decoder.plan())
        self.assertEqual(decoder.branch(request).text, "a")

    def test_an_event_a_deadline_and_a_callback_stop_between_passes(self):
        event = threading.Event()

        def set_after_two(model):
            return lambda: event.set() if model.n_passes == 2 else None

        ways = [(lambda model: dict(cancel=event, on_pass=set_after_two(model)), "ab"),
                (lambda model: dict(on_pass=lambda: model.n_passes < 3), "abc"),
                (lambda model: dict(deadline=time.monotonic()), ""),
                (lambda model: dict(cancel=event), "")]  # set before it begins
        for options, text in ways:
            decoder, model = scripted([[*b"abcdef", END]])
            events = list(decoder.run(b"Q", model, **options(model)))
            self.assertEqual((events[-1].kind, events[-1].reason), (EventKind.END, Reason.CANCELLED))
            self.assertEqual(decoder.branch(events[-1].request).text, text)
            self.assertEqual(model.n_passes, len(text))
            self.assertIsNone(decoder.plan())
            self.assertEqual(decoder.cache.statistics().n_free_pages, 64)

    def test_stop_strings_limits_and_log_probabilities_reach_the_request(self):
        decoder, model = scripted([[*b"abcdef", END]])
        events = list(decoder.run(b"Q", model, stop=["cd"], n_log_probabilities=2))
        self.assertEqual((events[-1].kind, events[-1].reason), (EventKind.END, Reason.STOP))
        self.assertEqual(decoder.branch(events[-1].request).text, "ab")
        self.assertEqual(events[0].top[0][0], ord("a"))
        self.assertAlmostEqual(events[0].top[0][1], events[0].log_probability)
        events = list(decoder.run(b"Q", model, max_tokens=3))
        self.assertEqual(events[-1].reason, Reason.LIMIT)

    def test_stops_are_texts_token_ids_and_names_of_special_tokens(self):
        for stop, text in (([ord("c")], "ab"), (["de", 99], "ab"), (("<end>",), "abcdef"), ([], "abcdefg")):
            model = Script([[*b"abcdef", END, *b"g"]])
            model.decoder = LIB.decoder(LIB.cache(n_pages=64), tokenizer=Bytes(), max_tokens=8)
            end = list(model.decoder.run(b"Q", model, stop=stop))[-1]
            self.assertEqual(end.reason, Reason.STOP if stop else Reason.LIMIT)
            self.assertEqual(model.decoder.branch(end.request).text, text)
        with self.assertRaisesRegex(ValueError, "a name among other text: <end>x"):
            model.decoder.submit(b"Q", stop=["<end>x"])
        with self.assertRaisesRegex(Error, "stop token -1") as raised:
            model.decoder.submit(b"Q", stop=[-1])
        self.assertEqual(raised.exception.status, Status.BAD_REQUEST)

    def test_biases_and_penalties_reach_the_sampler(self):
        def first(n=1, **options):
            decoder, model = scripted([[*b"aab", END]])
            events = list(decoder.run(b"Q", model, max_tokens=n, **options))
            return "".join(e.text for e in events if e.kind == EventKind.TOKEN)[:n]

        self.assertEqual(first(), "a")
        self.assertEqual(first(logit_bias={ord("z"): 9.5}), "z")
        self.assertEqual(first(logit_bias={ord("a"): float("-inf"), ord("z"): 0.5}), "z")
        self.assertEqual(first(2, presence_penalty=10.0, logit_bias={ord("z"): 0.5}), "az")
        self.assertEqual(first(2, frequency_penalty=10.0, logit_bias={ord("z"): 0.5}), "az")
        self.assertEqual({first(temperature=5.0, min_p=1.0, seed=seed) for seed in range(8)}, {"a"})
        self.assertGreater(len({first(temperature=5.0, seed=seed) for seed in range(8)}), 1)
        self.assertGreater(len({first(temperature=5.0, number=number) for number in range(8)}), 1)
        decoder, _ = scripted([[END]])
        decoder.submit(b"Q", logit_bias={5: 0.5, 3: -2.0}, min_p=0.25)
        self.assertTrue(decoder.plan())
        settings = decoder.output(0)
        self.assertEqual([(b.token, b.bias) for b in settings.logit_bias[: settings.n_logit_bias]], [(5, 0.5), (3, -2.0)])
        self.assertEqual(settings.min_p, 0.25)

    def test_what_has_the_wrong_type_is_a_type_error_and_never_cut_or_split(self):
        decoder, model = scripted([[*b"ab", END]])
        submits = [dict(stop="User:"), dict(stop=b"User:"), dict(stop=7), dict(stop=None), dict(stop=["U\0x"]),
                   dict(stop=[b"U"]), dict(stop=[None]), dict(stop=[1.5]), dict(logit_bias=[(1, 2.0)]),
                   dict(logit_bias={"a": 1.0}), dict(n_stop=1), dict(stop_tokens=[1]), dict(temperature="hot"),
                   dict(max_tokens=2.5)]
        for options in submits:
            with self.subTest(options), self.assertRaises(TypeError):
                decoder.submit(b"Q", **options)
        decoders = [dict(markup="skel\0eton"), dict(markup={"name": "skeleton", "opening": "a\0b"}),
                    dict(markup={"name": "skeleton", "opening": 7}), dict(end_of_text="<end>"), dict(tokenizer="bytes"),
                    dict(markup={**ASPD, "title_separator": ":"})]
        for options in decoders:
            with self.subTest(options), self.assertRaises(TypeError):
                LIB.decoder(LIB.cache(n_pages=4), **{"tokenizer": Bytes(), **options})
        with decoder.cache.step() as step, self.assertRaises(TypeError):
            step.append(step.create_sequence(), "12")
        for wrong in ("ab", [97], None, memoryview(b"ab")):
            decoder, model = scripted([[*b"ab", END]])
            with mock.patch.object(Bytes, "to_text", lambda self, tokens: wrong), \
                    self.assertRaisesRegex(TypeError, "to_text.*must give bytes"):
                list(decoder.run(b"Q", model))
        with mock.patch.object(Bytes, "to_tokens", lambda self, text: text), self.assertRaises(TypeError):
            scripted([[END]], markup="skeleton")[0].submit(b"Q")

    def test_a_finished_request_goes_on(self):
        decoder, model = scripted([[*b"ab", END]])
        first = list(decoder.run(b"Q", model))[-1].request
        again = list(decoder.run(b"R", model, after=first))[-1].request
        self.assertEqual(decoder.request(again).n_prefill, 1)
        self.assertEqual(decoder.branch(again).text, "ab")
        decoder.release(again)
        with self.assertRaises(Error) as raised:
            decoder.request(again)
        self.assertEqual(raised.exception.status, Status.STALE_REQUEST)

    def test_logits_of_a_wrong_kind_are_refused_and_the_plan_stays(self):
        decoder, model = scripted([[*b"ab", END]])
        decoder.submit(b"Q")
        plan = decoder.plan()
        flat = memoryview(array("f", [0.0] * N_VOCABULARY))
        wrong = (flat, memoryview(array("d", [0.0])).cast("B").cast("d", [1, 1]),
                 flat.cast("B").cast("f", [2, N_VOCABULARY // 2]))
        for logits in wrong:
            with self.assertRaises(Error) as raised:
                decoder.commit(logits)
            self.assertEqual(raised.exception.status, Status.BAD_LOGITS)
        with self.assertRaises(Error) as raised:
            decoder.commit(flat.cast("B").cast("f", [1, N_VOCABULARY]).toreadonly()[0:0])
        self.assertEqual(raised.exception.status, Status.BAD_LOGITS)
        decoder.commit(model(plan))

    def test_half_logits_are_taken_as_they_are(self):
        values = [0.0, 1.0, 4.0, 2.0]
        matrices = [memoryview(array("f", values)).cast("B").cast("f", [1, 4]),
                    memoryview(array("H", [0, 0x3F80, 0x4080, 0x4000])).cast("B").cast("H", [1, 4])]
        try:
            import numpy
        except ImportError:  # nothing else here makes float16, or rows that lie apart
            numpy = None
        if numpy is not None:
            matrices.append(numpy.array([values], numpy.float16))
            matrices.append(numpy.array([[*values, 9.0], [0.0] * 5], numpy.float32)[:1, :4])
            apart = numpy.array([[9.0] * 5, [9.0] * 5, [*values, 9.0]], numpy.float16)
            matrices.append(apart[2:, :4])
        for logits in matrices:
            decoder, _ = scripted([[END]])
            decoder.submit(b"Q")
            self.assertTrue(decoder.plan())
            decoder.commit(logits)
            self.assertEqual(next(e.token for e in decoder.events() if e.kind == EventKind.TOKEN), 2)

    def test_skeleton_needs_a_tokenizer_and_markups_have_names(self):
        for markup, word in (("skeleton", "anb_text"), ("haiku", "haiku")):
            with self.assertRaisesRegex(Error, word) as raised:
                LIB.decoder(markup=markup)
            self.assertEqual(raised.exception.status, Status.BAD_MARKUP)

    def test_a_prompt_that_is_no_tokens_is_refused_with_what_is_wanted(self):
        decoder, model = scripted(TWO_BRANCHES, markup=ASPD)
        for prompt, words in (("hello", "'hello'.*token ids.*tokenizer"), (7, "int.*token ids"), (None, "NoneType.*token ids")):
            with self.assertRaisesRegex(TypeError, words):
                list(decoder.run(prompt, model))
        with self.assertRaises(TypeError):
            decoder.submit(["a"])
        self.assertEqual(decoder.branch(list(decoder.run(b"Q", model))[-1].request).text, "Hia:xb:yz!")

    def test_a_branch_that_a_limit_ends_is_closed_with_a_line_break(self):
        for tokenizer, text in ((Bytes(), "Hia:x\nb:y\n!"), (type("Writer", (), {"to_text": Bytes.to_text})(), "Hia:xb:y!")):
            model = Script([TWO_BRANCHES[0], [*b"xx", BRANCH_END], [*b"yz", BRANCH_END]])
            model.decoder = LIB.decoder(LIB.cache(n_pages=64), tokenizer=tokenizer, end_of_text=[END], markup=ASPD,
                                        max_branch_tokens=1)
            events = list(model.decoder.run(b"Q", model))
            self.assertEqual(model.decoder.branch(events[-1].request).text, text)
            told = {branch: "".join(e.text for e in events if e.branch == branch) for branch in (1, 2)}
            self.assertEqual("Hi" + told[1] + told[2] + "!", text)

    def test_skeleton_writes_no_empty_points_without_being_asked_not_to(self):
        model = Script([[*b"Rest**", *b"Move**", END], [*b"\n a\n"], [END, *b" \n b\n"]])
        model.decoder = LIB.decoder(LIB.cache(n_pages=64), tokenizer=Bytes(), end_of_text=[END], markup="skeleton",
                                    max_tokens=64)
        events = list(model.decoder.run(b"Q", model))
        self.assertEqual(model.decoder.branch(events[-1].request).text,
                         "Here are the main points:\n\n1. **Rest**: a\n2. **Move**:  b")

    def test_skeleton_writes_its_outline_through_the_tokenizer(self):
        outline = [*b"Rest**", *b"Move**", END]
        decoder, model = scripted([outline, [*b" a\n"], [*b" b\n"]], markup="skeleton")
        events = list(decoder.run(b"Q", model))
        answer = decoder.branch(events[-1].request).text
        self.assertEqual(answer, "Here are the main points:\n\n1. **Rest**: a\n2. **Move**: b")

    def test_a_decoder_outlives_the_name_of_its_cache(self):
        decoder, model = scripted(TWO_BRANCHES, markup=ASPD)
        decoder.cache.close()
        request = decoder.submit(b"Q")
        while (plan := decoder.plan()) is not None:
            decoder.commit(model(plan))
        self.assertEqual(decoder.branch(request).text, "Hia:xb:yz!")
        decoder.close()
        with self.assertRaises(Error) as raised:
            decoder.plan()
        self.assertEqual(raised.exception.status, Status.BAD_HANDLE)


if __name__ == "__main__":
    unittest.main()
