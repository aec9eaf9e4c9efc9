# SPDX-License-Identifier: Apache-2.0
"""The verdicts of pairs.py and instructions.py."""
import contextlib
import io
import unittest

import instructions
import pairs


class Pairs(unittest.TestCase):
    def test_interval_of_fifteen_leaves_out_three_at_each_end(self):
        self.assertEqual(pairs.interval(list(range(15))), (3, 11))

    def test_too_few_values_have_no_interval(self):
        low, high = pairs.interval([1.0, 1.0, 1.0])
        self.assertEqual(pairs.verdict(low, high, 1.05), pairs.INCONCLUSIVE)

    def test_an_interval_across_the_limit_is_inconclusive(self):
        self.assertEqual(pairs.verdict(0.9, 1.04, 1.05), pairs.KEPT)
        self.assertEqual(pairs.verdict(1.06, 1.2, 1.05), pairs.LOST)
        self.assertEqual(pairs.verdict(0.9, 1.2, 1.05), pairs.INCONCLUSIVE)


class Instructions(unittest.TestCase):
    def test_what_is_above_the_tolerance_is_named(self):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            worse = instructions.compare({"a": 100, "b": 100, "c": 100},
                                         {"a": 101.9, "b": 102.1, "c": 50}, 2)
        self.assertEqual(worse, ["b"])
        self.assertIn("WORSE", out.getvalue())


if __name__ == "__main__":
    unittest.main()
