"""Rows out of leaked files of any format, a chunk at a time, never staged.

The parent process cuts a file into chunks and counts the rows in each; a worker makes columns of text of a chunk.
What a worker found, and what it refused, must come to the number of rows that the parent counted.
"""
