"""``make demo``: a server, events, a subscriber and a ``kill -9``, seen from outside.

Uses nothing of Eventuary but its command: plain HTTP, and STOMP on a socket, as any client would.
"""
