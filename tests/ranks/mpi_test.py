#!/usr/bin/env python3
"""Ranks over MPI: all operations, and what happens when a rank dies, stops, or does something else.

    mpi_test.py PROGRAM        tests/ranks/mpi_program.cpp
"""
import sys
import unittest

from mpirun import Run

PROGRAM = sys.argv.pop(1)
LIMIT = 5000  # milliseconds; more than any rank here needs on a busy machine
PATIENCE = 60  # seconds until a run counts as hanging


class Mpi(unittest.TestCase):
    def run_program(self, n, way):
        return Run(n, PROGRAM, LIMIT, way).end(PATIENCE)

    def test_all_operations_on_two_and_three_ranks(self):
        for n in (2, 3):
            status, out, err, _ = Run(n, PROGRAM, 30000, "right").end(PATIENCE)
            self.assertEqual((status, out.count("is right")), (0, n), err)

    def test_a_rank_that_is_stopped_is_named_with_the_reason(self):
        status, _, err, _ = self.run_program(2, "stops")
        self.assertNotEqual(status, 0)
        self.assertRegex(err, r"rank 0: limit_reached: rank 0 waited 5000 ms in all_reduce number \d+: rank 1 has sent nothing "
                              r"\(its process \d+ is stopped\)")

    def test_a_rank_that_is_late_is_named_and_alive(self):
        status, _, err, _ = self.run_program(3, "is-late")
        self.assertNotEqual(status, 0)
        self.assertRegex(err, r"rank 1 has sent nothing \(its process \d+ is alive\)")

    def test_a_rank_that_dies_is_named(self):
        status, _, err, seconds = self.run_program(2, "dies")
        self.assertNotEqual(status, 0)
        self.assertRegex(err, r"process rank 1 .*exited on signal 9|rank 1 has .*(gone|ended)")

    def test_ranks_that_do_different_things_say_so_at_once(self):
        for way, told in (("other-operation", r"rank 0 does something else than rank 1: it is in all_reduce|rank 1 does "
                                              r"something else than rank 0: it is in barrier"),
                          ("other-size", r"rank \d does something else than rank \d: in all_reduce number \d+ it sent")):
            status, _, err, _ = self.run_program(2, way)
            self.assertNotEqual(status, 0)
            self.assertRegex(err, told)


if __name__ == "__main__":
    unittest.main()
