# rejects: comment.py:2: over 132 columns
# The test that reads this comment has to be found by the gate, which must look at Python too, and count characters: ä, ö, ü and ß are one.
