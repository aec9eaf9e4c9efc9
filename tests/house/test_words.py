#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""words.py fails on what it is to fail on, and on that alone."""
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import words  # noqa: E402  pylint: disable=wrong-import-position


class Words(unittest.TestCase):
    def test_patterns(self):
        for text in ("'%s' is no address", "no event loop could be had", "it is made anew",
                     "%s is not let in", "readable by others than its owner", "told to who asks",
                     "nothing was heard for %d s", " ".join(["word"] * 26)):
            self.assertEqual(len(list(words.faults_of(text))), 1, text)

    def test_what_is_plain_passes(self):
        for text in ("'%s' is not an address", "there is no route to %s", "port %u is no longer free",
                     "that is no more than %d", "who answers, and your role",
                     " ".join(["word"] * 25) + ". " + " ".join(["word"] * 25)):
            self.assertEqual(list(words.faults_of(text)), [], text)

    def test_texts_are_found_where_they_are(self):
        with tempfile.NamedTemporaryFile("w", suffix=".c") as file:
            file.write('#include "a b.h"\n/* "not this one" */\nf("one\\n"\n  "text of two");\n'
                       'g("%" PRIu64 " bytes of it");\nh("word", "x");\n')
            file.flush()
            self.assertEqual(list(words.texts_of(file.name)),
                             [(3, "one\\ntext of two"), (5, "% bytes of it")])


if __name__ == "__main__":
    unittest.main()
