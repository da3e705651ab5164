"""The Python package over the scheduler tier of the C ABI, without packages and without a model."""
import unittest

from scripted import ASPD, BRANCH_END, Bytes, END, LIB, PARA, Script, TITLE, TITLE_END, scripted  # first: finds the package
from anabranch import Error, Reason, Scheduler, Status

LONG = [[*b"Hi", TITLE, *b"a", TITLE_END, TITLE, *b"b", TITLE_END, PARA, *b"!" * 20, END], [*b"x" * 9, BRANCH_END],
        [*b"yz", BRANCH_END]]
TEXT = "Hia:" + "x" * 9 + "b:yz" + "!" * 20


def scheduled(n_pages=64, **options):
    decoder = LIB.decoder(LIB.cache(n_pages=n_pages, page_size=4), markup=ASPD, tokenizer=Bytes(), end_of_text=[END],
                          preemptible=1)
    model = Script(LONG)
    model.decoder = decoder
    return Scheduler(decoder, **options), decoder, model


class SchedulerTier(unittest.TestCase):
    def test_requests_on_a_pool_for_some_of_them_write_what_they_write_alone(self):
        scheduler, decoder, model = scheduled(n_pages=20)
        requests = [scheduler.submit(b"Question", priority=k % 2) for k in range(6)]
        texts = dict.fromkeys(requests, "")
        for event in scheduler.run(model):
            if event.branch == 0:
                texts[event.request] += event.text
        for request in requests:
            self.assertEqual(decoder.branch(request).text, TEXT)
            self.assertEqual(decoder.request(request).reason, Reason.END_OF_TEXT)
            self.assertEqual(texts[request], "Hi" + "!" * 20)
        state = scheduler.state()
        self.assertGreater(state.n_preempted + state.n_evicted + state.n_deferred, 0)
        self.assertEqual((state.n_running, state.n_queued), (0, 0))
        for request in requests:
            scheduler.release(request)
        self.assertEqual(decoder.cache.statistics().n_free_pages, 20)

    def test_a_full_queue_a_deadline_and_the_ends_of_requests_are_told(self):
        scheduler, decoder, model = scheduled(max_queued=3, max_running=1)
        late, cancelled, finished = (scheduler.submit(b"Q", deadline=deadline) for deadline in (2.0, None, None))
        self.assertIsNone(scheduler.submit(b"Q"))
        for now in range(4):
            plan = scheduler.plan(float(now))
            scheduler.commit_sampled(model.tokens(plan), now + 0.5)
        self.assertEqual(decoder.request(late).reason, Reason.CANCELLED)
        self.assertEqual(decoder.branch(late).text, "Hi")
        scheduler.cancel(cancelled)
        scheduler.finish(finished)
        self.assertEqual([decoder.request(r).reason for r in (cancelled, finished)], [Reason.CANCELLED] * 2)
        self.assertIsNone(scheduler.plan(9.0))

    def test_a_model_that_fails_costs_the_pass_only(self):
        scheduler, decoder, model = scheduled()
        request = scheduler.submit(b"Q")
        with self.assertRaises(ZeroDivisionError):
            list(scheduler.run(lambda plan: 1 / 0))
        list(scheduler.run(model))
        self.assertEqual(decoder.branch(request).text, TEXT)

    def test_decoders_that_cannot_preempt_are_refused(self):
        decoder, _ = scripted([[END]])
        with self.assertRaises(Error) as failed:
            Scheduler(decoder)
        self.assertEqual(failed.exception.status, Status.BAD_REQUEST)


if __name__ == "__main__":
    unittest.main()
