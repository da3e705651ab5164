"""The Python package over the decoder tier of the C ABI, without packages and without a model."""
import threading
import time
import unittest
from array import array
from unittest import mock

from scripted import (  # first: it finds the package
    ASPD, BRANCH_END, Bytes, END, LIB, N_VOCABULARY, Script, TWO_BRANCHES, scripted)
from anabranch import Error, EventKind, Reason, Status


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

    def test_a_model_that_returns_lists_is_told_what_is_wanted(self):
        decoder, model = scripted([[*b"abc", END]])
        decoder.submit(b"Q")
        plan = decoder.plan()
        with self.assertRaisesRegex(TypeError, r"returned list; .*float32, float16 or uint16 rows .n_outputs, n_vocab"):
            decoder.commit([[0.0] * N_VOCABULARY])
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

    def test_a_deadline_that_is_no_time_of_the_monotonic_clock_is_refused(self):
        decoder, model = scripted([[*b"ab", END]])
        for deadline in (time.monotonic() + 400 * 24 * 3600, float("inf"), float("nan")):
            with self.assertRaisesRegex(ValueError, r"deadline is .*time\.monotonic\(\)"):
                list(decoder.run(b"Q", model, deadline=deadline))
        self.assertIsNone(decoder.plan())  # nothing was submitted
        events = list(decoder.run(b"Q", model, deadline=time.monotonic() + 3600))
        self.assertEqual(events[-1].reason, Reason.END_OF_TEXT)

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
        words = (r"float32 \(array type 'f'\) of shape \(256,\)", r"float64 \(array type 'd'\)", "shape")
        for logits, word in zip(wrong, words):
            with self.assertRaisesRegex(Error, word) as raised:
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
        writer = type("Writer", (), {"to_text": Bytes.to_text})()
        for markup, tokenizer, word in (("skeleton", None, "needs a tokenizer with .*to_tokens.* given none"),
                                        ("skeleton", writer, "needs a tokenizer with .*to_tokens.* given Writer"),
                                        ("haiku", None, "haiku")):
            with self.assertRaisesRegex(Error, word) as raised:
                LIB.decoder(markup=markup, tokenizer=tokenizer)
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

    def test_a_title_of_bytes_is_cut_between_characters(self):
        class Utf8(Bytes):
            def to_text(self, tokens):
                return bytes(token for token in tokens if token != END)

        title = "\u4e2d\u6587" * 4
        model = Script([[*title.encode()], [*b" a\n"]])
        model.decoder = LIB.decoder(LIB.cache(n_pages=64), tokenizer=Utf8(), end_of_text=[END], markup="skeleton",
                                    max_tokens=64)
        events = list(model.decoder.run(b"Q", model))
        self.assertEqual(model.decoder.branch(events[-1].request).text,
                         f"Here are the main points:\n\n1. **{title[:5]}**: a")  # of 16 bytes
        self.assertEqual(model.decoder.branch(events[-1].request, 1).title, title[:5])

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
