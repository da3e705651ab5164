"""The Python package over the cache tier of the C ABI, without packages and without a model."""
import ctypes
import gc
import os
import subprocess
import sys
import unittest

from scripted import LIB, ROOT  # first: it finds the package
import anabranch
from anabranch import Error, HostOpKind, Logits, Paged, Positions, Status


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


if __name__ == "__main__":
    unittest.main()
