"""`python -m bench tune`: measure what is fastest on this device.

Needs few packages besides torch, so that it runs on a bare GPU host.
"""
