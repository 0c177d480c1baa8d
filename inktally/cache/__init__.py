"""Cached recognitions: what there is, who uses it, and how it is removed without harm to anybody.

A recognition stands under the hash of the picture's bytes, with its counts beside it; receipts, which Prefect keeps,
lead to it from the ETags of pictures. What was published of a picture stays when its recognition goes: the next
picture of the same bytes is simply read anew.
"""
